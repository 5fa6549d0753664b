// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/asked_proof.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "cli/flows/accepted_keys.h"
#include "cli/flows/evidence.h"
#include "cli/flows/evidence_forms.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/manifest/manifest.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Evidence;
using verify::Fail;
using verify::Result;
using verify::StrCat;

Result<Evidence> ReadSha256List(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  ASSIGN_OR_RETURN(Evidence evidence, ReadSumList(path, name, name, ""));
  for (const verify::PublishedSum& sum : evidence.sums) {
    if (sum.algorithm == verify::SumAlgorithm::kSha256) continue;
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("--sha256sums: the sum of \"",
                       EscapeForTerminal(sum.name, 200), "\" in \"",
                       EscapeForTerminal(path, 200), "\" is no SHA-256"))
        .Id("E-SUMS")
        .Hint("verify --against takes sums of every kind");
  }
  if (!evidence.sums.empty()) return evidence;
  return Fail(ErrorCode::kCorrupt, StrCat("--sha256sums: no sum stands in \"",
                                          EscapeForTerminal(path, 200), "\""))
      .Id("E-SUMS");
}

// Lists have names relative to the folder of the payload, or with its name.
bool NamesAnyOf(const Evidence& evidence, const p2p::Metainfo& metainfo) {
  return std::any_of(
      evidence.sums.begin(), evidence.sums.end(), [&](const auto& sum) {
        return std::any_of(metainfo.files.begin(), metainfo.files.end(),
                           [&](const auto& file) {
                             return sum.name == file.path ||
                                    sum.name ==
                                        StrCat(metainfo.name, "/", file.path);
                           });
      });
}

bool MayBeSignature(std::string_view path) {
  constexpr std::array<std::string_view, 3> kEnds = {".sig", ".minisig",
                                                     verify::kManifestSuffix};
  return std::any_of(kEnds.begin(), kEnds.end(), [path](std::string_view end) {
    return path.ends_with(end);
  });
}

}  // namespace

Result<void> CheckAskedProof(const AskedProof& proof, Context& context) {
  for (const std::string& list : proof.sum_lists) {
    RETURN_IF_ERROR(ReadSha256List(list));
  }
  if (!proof.signature_file.empty()) {
    RETURN_IF_ERROR(verify::ReadOnlyFile::Open(proof.signature_file));
  }
  if (proof.keys.empty()) return {};
  RETURN_IF_ERROR(LoadKeyRing(proof.keys, context));
  return {};
}

Result<void> CheckProofFits(const AskedProof& proof,
                            const p2p::Metainfo& metainfo) {
  for (const std::string& list : proof.sum_lists) {
    ASSIGN_OR_RETURN(const Evidence evidence, ReadSha256List(list));
    if (NamesAnyOf(evidence, metainfo)) continue;
    return Fail(
               ErrorCode::kNotFound,
               StrCat("--sha256sums: \"", EscapeForTerminal(list, 200),
                      "\" names no file of the torrent; it speaks of \"",
                      EscapeForTerminal(evidence.sums.front().name, 200), "\""))
        .Id("E-LIST-NAMES")
        .Hint("nothing was fetched; get --dry-run prints the names there are");
  }
  const bool any = !proof.signature_file.empty() ||
                   std::any_of(metainfo.files.begin(), metainfo.files.end(),
                               [](const p2p::MetainfoFile& file) {
                                 return MayBeSignature(file.path);
                               });
  if (!proof.require_signature || any) return {};
  return Fail(ErrorCode::kUntrusted,
              "--require-signature: there is no signature in the torrent, and "
              "none was given")
      .Id("E-NO-SIGNATURE")
      .Hint("nothing was fetched; give the publisher's with --signature FILE");
}

Result<void> AddProof(const AskedProof& proof, Context& context,
                      VerifyOptions& options) {
  if (!proof.sum_lists.empty()) {
    AgainstOptions against;
    against.path = options.path;
    against.against = proof.sum_lists;
    ASSIGN_OR_RETURN(FoundEvidence found, ReadAgainst(against, context));
    options.evidence = std::move(found.evidence);
    options.source_files = std::move(found.source_files);
  }
  options.signature_file = proof.signature_file;
  options.keys = proof.keys;
  if (proof.require_signature) options.require = Requirement::kSigned;
  if (!proof.signature_file.empty() || !proof.keys.empty() ||
      proof.require_signature) {
    options.level = std::max(options.level, VerifyLevel::kSignature);
  }
  return {};
}

}  // namespace cli
