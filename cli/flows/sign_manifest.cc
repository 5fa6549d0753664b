// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/sign_manifest.h"

#include <unistd.h>

#include <cerrno>
#include <span>
#include <utility>
#include <variant>

#include "verify/base/text.h"
#include "verify/base/utc.h"
#include "verify/digest/digest.h"
#include "verify/manifest/oms_signature.h"

namespace cli {
namespace {

using verify::Manifest;
using verify::Result;
using verify::StrCat;

constexpr std::string_view kMinisigSuffix = ".minisig";
constexpr std::string_view kBundleSuffix = ".sig";

// Says what was signed to whoever sees the signature alone.
std::string TrustedComment(const Manifest& manifest, const std::string& name) {
  std::string comment = StrCat("file:", name, "\tmodel:", manifest.model,
                               "\tversion:", manifest.version);
  if (const auto& hash = manifest.torrent.info_hash_v1) {
    comment += StrCat("\tbtih:", verify::HexEncode(*hash));
  }
  if (const auto& hash = manifest.torrent.info_hash_v2) {
    comment += StrCat("\tbtmh:", verify::HexEncode(*hash));
  }
  if (manifest.issued_s.has_value()) {
    comment += StrCat("\tissued:", verify::FormatUtc(*manifest.issued_s));
  }
  return comment;
}

}  // namespace

Result<ManifestSignature> SignManifest(const SigningKey& key,
                                       const Manifest& manifest,
                                       const std::string& name,
                                       std::string_view text) {
  const verify::ByteSpan bytes = std::as_bytes(std::span(text));
  if (const auto* minisign = std::get_if<verify::MinisignSecretKey>(&key)) {
    ASSIGN_OR_RETURN(std::string signature,
                     MinisigText(*minisign, verify::Blake2b512(bytes), name,
                                 TrustedComment(manifest, name)));
    return ManifestSignature{std::string(kMinisigSuffix), std::move(signature)};
  }
  verify::OmsStatement statement;
  statement.model_name = name;
  verify::PublishedSum sum;
  sum.name = name;
  sum.algorithm = verify::SumAlgorithm::kSha256;
  const verify::Sha256Digest digest = verify::Sha256(bytes);
  sum.digest.assign(digest.begin(), digest.end());
  statement.resources.push_back(std::move(sum));
  ASSIGN_OR_RETURN(
      std::string bundle,
      verify::SignOms(statement, std::get<verify::EcPrivateKey>(key)));
  return ManifestSignature{std::string(kBundleSuffix), std::move(bundle)};
}

Result<void> RemoveManifestSignatures(const std::string& manifest_path) {
  for (const std::string_view suffix : {kMinisigSuffix, kBundleSuffix}) {
    const std::string path = StrCat(manifest_path, suffix);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return verify::FailErrno("remove", path, errno);
    }
  }
  return {};
}

}  // namespace cli
