// SPDX-License-Identifier: Apache-2.0
// Holds the digests of files against all that sources say of them, and says
// what a file gains by it. Every statement counts: one that differs is a
// mismatch, whatever another says. No input or output.
// Tested by tests/verify/manifest/evidence_check_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/manifest/evidence.h"

namespace verify {

// What an unsigned list of such digests is worth.
TrustLevel LevelOf(SumAlgorithm algorithm);
// What a file gains by a digest of that kind in that source: a signature under
// a list of MD5 or SHA-1 does not make those strong.
TrustLevel LevelOf(const Evidence& evidence, SumAlgorithm algorithm);

// A sum and who states it. Both live as long as the evidence.
struct Statement {
  const Evidence* evidence = nullptr;
  const PublishedSum* sum = nullptr;
};

// All statements by file name. The evidence must outlive it.
class EvidenceIndex {
 public:
  explicit EvidenceIndex(const std::vector<Evidence>& evidence);

  // Those about one file; empty if there are none.
  std::span<const Statement> Of(const std::string& name) const;
  const std::map<std::string, std::vector<Statement>>& all() const {
    return by_name_;
  }

 private:
  std::map<std::string, std::vector<Statement>> by_name_;
};

struct ComputedDigest {
  SumAlgorithm algorithm = SumAlgorithm::kSha256;
  std::vector<std::byte> bytes;
};

enum class Agreement {
  kNothingStated,
  kAgrees,
  kDiffers,
  kWrongSize,    // a source states another size
  kNotCompared,  // stated, but no digest of that kind was computed
};

// What all statements about one file came to. `level`, `source` and the signer
// are those of the strongest that agrees.
struct EvidenceVerdict {
  Agreement agreement = Agreement::kNothingStated;
  TrustLevel level = TrustLevel::kUnverified;
  std::string source;
  std::string signer_key;
  std::string signer_name;
  std::string expected;  // "sha256:HEX" of the statement that decided
  std::string detail;    // for people; names from outside are escaped
};

EvidenceVerdict CompareFile(std::span<const Statement> statements,
                            uint64_t size_bytes,
                            std::span<const ComputedDigest> digests);

// Whether the source itself says that it does not cover that file.
bool LeavesOut(const Evidence& evidence, std::string_view name);

// Whether programs that load a model read such a file: weights, configuration,
// tokenizer, code. Told from the name; for what no source covers.
bool IsReadByModels(std::string_view name);

}  // namespace verify
