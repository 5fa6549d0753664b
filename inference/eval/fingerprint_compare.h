// SPDX-License-Identifier: Apache-2.0
// Two fingerprints side by side: where the second departs from the first by
// more than their element types and rounding explain. The rules and their
// numbers are those of docs/formats/fingerprint.md, section 4.
// Tested by tests/inference/eval/fingerprint_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inference/eval/fingerprint.h"

namespace inference {

// In the order in which departures are told within a layer.
enum class FingerprintPart {
  kConfiguration,
  kTokenizer,
  kEmbedding,
  kAttentionNorm,
  kScores,
  kAttention,
  kFfnNorm,
  kGate,
  kExpert,
  kRouting,   // of the run
  kResidual,  // of the run
  kOutputNorm,
  kOutput,
  kLogits,        // of the run
  kContinuation,  // of the run
};

struct Departure {
  FingerprintPart part = FingerprintPart::kConfiguration;
  int64_t layer = -1;
  int64_t expert = -1;
  double distance = 0;  // relative; infinity: not comparable
  double tolerance = 0;
  std::string detail{};  // what is known of the cause; may be empty
};

// "embedding", "layer 2, expert 5 (ffn)".
std::string PlaceName(const Departure& departure);
// The place, the detail, distance and tolerance, in a line.
std::string DescribeDeparture(const Departure& departure);

// In the order of a forward pass; a layer by itself comes before what the run
// shows of it. Nothing if all is within tolerance. Of models of different
// shape only the configuration and the tokenizer are compared.
std::vector<Departure> CompareFingerprints(const Fingerprint& published,
                                           const Fingerprint& measured);

// How close the two are.
struct FingerprintCloseness {
  uint64_t parts = 0;  // compared
  // Of each kind of part within tolerance, the one that uses most of it.
  std::vector<Departure> by_part;
  // The first among them; null if nothing could be compared.
  const Departure* widest() const;
  // Both were measured with the same kernels from the same element types in
  // the same order of rows, so that equal weights give equal bits.
  bool bits_comparable = false;
  // First layer whose bits differ, where they are comparable.
  std::optional<uint64_t> first_other_bits;
};
FingerprintCloseness CompareCloseness(const Fingerprint& published,
                                      const Fingerprint& measured);

// Whether logits are recorded of the state that has passed so many layers.
bool IsDepth(uint64_t depth, uint64_t num_layers);

// Where logits of the run's own tokens are recorded: position and depth. At
// last the end of the run.
std::vector<FingerprintLogits> LogitPlaces(
    uint64_t num_layers, const std::vector<uint64_t>& positions);

}  // namespace inference
