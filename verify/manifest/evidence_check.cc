// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/evidence_check.h"

#include <algorithm>
#include <array>
#include <optional>

#include "verify/base/text.h"

namespace verify {
namespace {

const ComputedDigest* Find(std::span<const ComputedDigest> digests,
                           SumAlgorithm algorithm) {
  for (const ComputedDigest& digest : digests) {
    if (digest.algorithm == algorithm) return &digest;
  }
  return nullptr;
}

std::string Shown(const Evidence& evidence) {
  return EscapeForTerminal(evidence.source, 200);
}

// ", signed by Ann (key 1f2e..)".
std::string SignerText(const Evidence& evidence) {
  if (evidence.signer_key.empty()) return "";
  if (evidence.signer_name.empty()) {
    return StrCat(", signed by unknown key ",
                  EscapeForTerminal(evidence.signer_key, 80));
  }
  return StrCat(", signed by ", EscapeForTerminal(evidence.signer_name, 80),
                " (key ", EscapeForTerminal(evidence.signer_key, 80), ")");
}

std::string Expected(const PublishedSum& sum) {
  return StrCat(SumAlgorithmName(sum.algorithm), ":", HexEncode(sum.digest));
}

}  // namespace

TrustLevel LevelOf(SumAlgorithm algorithm) {
  switch (algorithm) {
    case SumAlgorithm::kMd5:
      return TrustLevel::kMd5Only;
    case SumAlgorithm::kSha1:
    case SumAlgorithm::kGitBlob:
      return TrustLevel::kSha1Only;
    case SumAlgorithm::kSha256:
    case SumAlgorithm::kSha384:
    case SumAlgorithm::kSha512:
    case SumAlgorithm::kBlake2b:
      return TrustLevel::kSha256;
  }
  return TrustLevel::kUnverified;
}

TrustLevel LevelOf(const Evidence& evidence, SumAlgorithm algorithm) {
  const TrustLevel own = LevelOf(algorithm);
  if (evidence.level == TrustLevel::kUnverified) return own;
  return own < TrustLevel::kSha256 ? std::min(own, evidence.level)
                                   : evidence.level;
}

EvidenceIndex::EvidenceIndex(const std::vector<Evidence>& evidence) {
  for (const Evidence& one : evidence) {
    for (const PublishedSum& sum : one.sums) {
      by_name_[sum.name].push_back({&one, &sum});
    }
  }
}

std::span<const Statement> EvidenceIndex::Of(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return {};
  return found->second;
}

EvidenceVerdict CompareFile(std::span<const Statement> statements,
                            uint64_t size_bytes,
                            std::span<const ComputedDigest> digests) {
  EvidenceVerdict verdict;
  for (const Statement& statement : statements) {
    const PublishedSum& sum = *statement.sum;
    const std::string source = Shown(*statement.evidence);
    if (sum.size_bytes.has_value() && *sum.size_bytes != size_bytes) {
      verdict = {};
      verdict.agreement = Agreement::kWrongSize;
      verdict.source = statement.evidence->source;
      verdict.expected = Expected(sum);
      verdict.detail =
          StrCat(size_bytes, " bytes, ", source, " says ", *sum.size_bytes);
      return verdict;
    }
    const ComputedDigest* actual = Find(digests, sum.algorithm);
    const std::string_view kind = SumAlgorithmName(sum.algorithm);
    if (actual == nullptr) {
      if (verdict.agreement != Agreement::kNothingStated) continue;
      verdict.agreement = Agreement::kNotCompared;
      verdict.detail =
          StrCat("the ", kind, " in ", source, " was not compared");
      continue;
    }
    if (actual->bytes != sum.digest) {
      const std::string agreed = verdict.agreement == Agreement::kAgrees
                                     ? StrCat("; yet ", verdict.detail)
                                     : "";
      verdict = {};
      verdict.agreement = Agreement::kDiffers;
      verdict.source = statement.evidence->source;
      verdict.expected = Expected(sum);
      verdict.detail = StrCat(kind, " ", HexEncode(actual->bytes), ", ", source,
                              " says ", HexEncode(sum.digest), agreed);
      return verdict;
    }
    const TrustLevel level = LevelOf(*statement.evidence, sum.algorithm);
    if (verdict.agreement == Agreement::kAgrees && level <= verdict.level) {
      continue;
    }
    verdict.agreement = Agreement::kAgrees;
    verdict.level = level;
    verdict.source = statement.evidence->source;
    verdict.signer_key = statement.evidence->signer_key;
    verdict.signer_name = statement.evidence->signer_name;
    verdict.expected = Expected(sum);
    verdict.detail =
        StrCat(kind, " as in ", source, SignerText(*statement.evidence));
  }
  return verdict;
}

bool LeavesOut(const Evidence& evidence, std::string_view name) {
  return std::any_of(evidence.ignored.begin(), evidence.ignored.end(),
                     [&](const std::string& ignored) {
                       return name == ignored ||
                              (name.size() > ignored.size() &&
                               name.starts_with(ignored) &&
                               name[ignored.size()] == '/');
                     });
}

bool IsReadByModels(std::string_view name) {
  const std::string lower = AsciiLower(name.substr(name.find_last_of('/') + 1));
  static constexpr std::array<std::string_view, 20> kEndings = {
      ".safetensors", ".gguf",  ".ggml",     ".bin",   ".pth",
      ".pt",          ".ckpt",  ".pkl",      ".onnx",  ".h5",
      ".npz",         ".model", ".tiktoken", ".jinja", ".py",
      ".so",          ".dll",   ".dylib",    ".spm",   ".msgpack"};
  for (const std::string_view ending : kEndings) {
    if (lower.ends_with(ending)) return true;
  }
  if (lower == "merges.txt" || lower == "vocab.txt") return true;
  if (!lower.ends_with(".json")) return false;
  static constexpr std::array<std::string_view, 7> kParts = {
      "config", "token", "vocab", "params", "index", "template", "processor"};
  return std::any_of(kParts.begin(), kParts.end(), [&](std::string_view part) {
    return lower.find(part) != std::string::npos;
  });
}

}  // namespace verify
