// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/manifest_file.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "p2p/magnet.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/base/utc.h"
#include "verify/digest/digest.h"
#include "verify/manifest/minisign.h"
#include "verify/manifest/oms_signature.h"
#include "verify/manifest/signed_evidence.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Manifest;
using verify::ManifestSigner;
using verify::Result;
using verify::SignatureFinding;
using verify::StrCat;
using verify::TrustLevel;

// Clocks of two machines may differ by so much.
constexpr int64_t kClockDifference_s = 300;

std::string FileName(const std::string& path) {
  return fs::path(path).filename().string();
}

// Whoever uses the link must get what the manifest names.
Result<void> CheckMagnet(const Manifest& manifest) {
  const auto link = p2p::ParseMagnet(manifest.torrent.magnet);
  if (link && link->repairs.empty() &&
      link->magnet.info_hashes.v1 == manifest.torrent.info_hash_v1 &&
      link->magnet.info_hashes.v2 == manifest.torrent.info_hash_v2) {
    return {};
  }
  return Fail(ErrorCode::kCorrupt,
              "manifest: torrent: \"magnet\" is no link to the info-hashes "
              "beside it")
      .Id("E-MANIFEST");
}

Result<SignatureFinding> JudgeMinisig(const std::string& signature_file,
                                      verify::ByteSpan text,
                                      const KeyRing& keys) {
  ASSIGN_OR_RETURN(
      const std::string signature,
      verify::ReadSmallTextFile(signature_file, verify::kMaxMinisigBytes));
  ASSIGN_OR_RETURN(const verify::Minisig minisig,
                   verify::Minisig::Parse(signature));
  return verify::CheckMinisig(minisig, verify::Blake2b512(text), keys.View());
}

// The bundle must speak of one manifest, with these bytes, and of nothing else.
// Its name may be another: what is kept with the torrent is called otherwise.
Result<SignatureFinding> JudgeBundle(const std::string& signature_file,
                                     verify::ByteSpan text,
                                     const KeyRing& keys) {
  ASSIGN_OR_RETURN(
      const std::string bundle,
      verify::ReadSmallTextFile(signature_file, verify::kMaxOmsBundleBytes));
  ASSIGN_OR_RETURN(
      const verify::Evidence evidence,
      verify::CheckOmsBundle(bundle, FileName(signature_file), keys.View()));
  SignatureFinding finding;
  finding.level = evidence.level;
  finding.key = evidence.signer_key;
  finding.name = evidence.signer_name;
  // What an unknown key signed is not looked at.
  if (finding.level != TrustLevel::kTrustedKey) return finding;
  const verify::Sha256Digest digest = verify::Sha256(text);
  if (evidence.sums.size() != 1 ||
      !evidence.sums[0].name.ends_with(verify::kManifestSuffix) ||
      !std::equal(digest.begin(), digest.end(), evidence.sums[0].digest.begin(),
                  evidence.sums[0].digest.end())) {
    return Fail(ErrorCode::kUntrusted,
                "it does not sign the manifest as it is here")
        .Id("E-SIGNATURE");
  }
  return finding;
}

const verify::AcceptedKey* KeyOfFingerprint(const KeyRing& keys,
                                            const std::string& fingerprint) {
  for (const auto* group : {&keys.given, &keys.stored}) {
    for (const verify::AcceptedKey& key : *group) {
      if (key.Fingerprint() == fingerprint) return &key;
    }
  }
  return nullptr;
}

}  // namespace

std::string SeenKeyId(const verify::AcceptedKey& key) {
  const std::string text = key.Portable();
  return verify::HexEncode(verify::Sha256(std::as_bytes(std::span(text))));
}

std::optional<std::string> FindManifest(const std::string& path,
                                        const std::string& kept) {
  for (const std::string& candidate :
       {StrCat(path, verify::kManifestSuffix), kept}) {
    std::error_code ignored;
    if (!candidate.empty() && fs::is_regular_file(candidate, ignored)) {
      return candidate;
    }
  }
  return std::nullopt;
}

std::string ManifestClockRemark(const Manifest& manifest, int64_t now_s) {
  if (manifest.expires_s.has_value() && now_s >= *manifest.expires_s) {
    return StrCat("the manifest is stale: it expired at ",
                  verify::FormatUtc(*manifest.expires_s),
                  ", and the clock of this machine says ",
                  verify::FormatUtc(now_s));
  }
  if (manifest.issued_s.has_value() &&
      *manifest.issued_s > now_s + kClockDifference_s) {
    return StrCat("the manifest is from the future: it was issued at ",
                  verify::FormatUtc(*manifest.issued_s),
                  ", and the clock of this machine says ",
                  verify::FormatUtc(now_s));
  }
  return {};
}

Result<FoundManifest> ReadManifest(const std::string& path,
                                   const KeyRing& keys) {
  const std::string name = FileName(path);
  const std::string shown = StrCat("\"", EscapeForTerminal(name, 200), "\"");
  ASSIGN_OR_RETURN(const std::string text,
                   verify::ReadSmallTextFile(path, verify::kMaxManifestBytes));
  const verify::ByteSpan bytes = std::as_bytes(std::span(text));
  FoundManifest found;
  found.path = path;
  found.sha256 = verify::HexEncode(verify::Sha256(bytes));
  auto manifest = verify::ParseManifest(text);
  if (!manifest) {
    return verify::WithContext(std::move(manifest).error(), shown);
  }
  found.manifest = *std::move(manifest);
  RETURN_IF_ERROR(CheckMagnet(found.manifest));
  for (const bool is_minisig : {true, false}) {
    const std::string file = path + (is_minisig ? ".minisig" : ".sig");
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(file, ignored))) continue;
    auto finding = is_minisig ? JudgeMinisig(file, bytes, keys)
                              : JudgeBundle(file, bytes, keys);
    if (!finding) {
      verify::Error error = std::move(finding).error();
      // Whatever rule it breaks: it is a signature that is no good.
      if (error.code == ErrorCode::kCorrupt ||
          error.code == ErrorCode::kLimit) {
        error.code = ErrorCode::kUntrusted;
      }
      return verify::WithContext(
          std::move(error),
          StrCat("\"", EscapeForTerminal(FileName(file), 200), "\""));
    }
    if (found.signer.has_value() && found.signer->trusted) continue;
    ManifestSigner signer{.key = verify::AsciiLower(finding->key),
                          .name = finding->name,
                          .trusted = finding->level == TrustLevel::kTrustedKey};
    found.signature_file = file;
    if (signer.trusted) {
      RETURN_IF_ERROR(verify::CheckManifestSigner(found.manifest, signer));
      const verify::AcceptedKey* key = KeyOfFingerprint(keys, finding->key);
      found.seen = {.key = key != nullptr ? SeenKeyId(*key) : signer.key,
                    .model = found.manifest.model,
                    .version = found.manifest.version,
                    .sha256 = found.sha256};
    }
    found.signer = std::move(signer);
  }
  if (found.seen.has_value()) {
    RETURN_IF_ERROR(SeenManifests::Default().Check(*found.seen));
  }
  return found;
}

}  // namespace cli
