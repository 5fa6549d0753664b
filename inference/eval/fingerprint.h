// SPDX-License-Identifier: Apache-2.0
// What a model does, in some hundred kilobytes: recorded where it is published
// and measured again on any copy, in any format or quantisation, to show that
// the model that runs there is the one that was published, or which layer
// first departs. Format and tolerances: docs/formats/fingerprint.md.
// Tested by tests/inference/eval/fingerprint_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inference/eval/sketch.h"
#include "inference/model/model.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

inline constexpr uint64_t kFingerprintVersion = 1;

// Shape and numbers of the model that its function depends on.
struct FingerprintModel {
  uint64_t dim = 0;
  uint64_t num_layers = 0;
  uint64_t head_dim = 0;
  uint64_t ff_dim = 0;
  uint64_t num_heads = 0;
  uint64_t num_kv_heads = 0;
  uint64_t vocab_size = 0;
  uint64_t num_experts = 0;            // 0: dense
  uint64_t num_experts_per_token = 0;  // 0: dense
  double norm_eps = 0;
  double rope_theta = 0;
  std::optional<uint64_t> sliding_window;

  // Experts that have weights: one where the model is dense.
  uint64_t ffn_blocks() const { return num_experts == 0 ? 1 : num_experts; }
  // Whether two models can be measured against each other at all.
  bool SameShape(const FingerprintModel& other) const;
  bool operator==(const FingerprintModel&) const = default;
};

struct FingerprintPrompt {
  std::string text;
  std::vector<TokenId> ids;  // of the text alone
  bool operator==(const FingerprintPrompt&) const = default;
};

// Element types of the tensors that a part is made of: sorted, each once.
using TypeSet = std::vector<verify::DType>;

// Each layer run by itself on made-up states, and what passed it in the run.
struct FingerprintLayer {
  TypeSet norm_types;
  TypeSet score_types;  // q, k
  TypeSet value_types;  // v, o
  TypeSet gate_types;   // empty: dense
  TypeSet expert_types;
  Sketch attention_norm;
  Sketch scores;     // q . k after the rotation
  Sketch attention;  // its output
  Sketch ffn_norm;
  Sketch gate;  // [kFfnStates, num_experts], not projected
  std::vector<Sketch> experts;
  // Of the run, at each of its positions: the residual stream after the layer.
  std::vector<Sketch> residual;
  // Of the run's first tokens, [tokens, k]: experts, best first, and their
  // weights in thousandths. Empty: dense.
  std::vector<uint32_t> routed;
  std::vector<uint32_t> routed_weights;
  // SHA-256, first 16 hex digits, of all floats that the parts above gave when
  // run by themselves: equal where types, kernels and row order are.
  std::string bits;
  bool operator==(const FingerprintLayer&) const = default;
};

// Logits at one place: the largest and where they are.
struct FingerprintLogits {
  uint64_t position = 0;     // of the token that they follow
  uint64_t depth = 0;        // layers that the state has passed
  std::vector<TokenId> ids;  // largest first
  // The standard deviation of all logits, then those of `ids` less the mean.
  Sketch values;
  bool operator==(const FingerprintLogits&) const = default;
};

// All prompts as one sequence, then a few tokens that the model adds.
struct FingerprintRun {
  std::vector<TokenId> ids;
  std::vector<uint64_t> positions;    // where residuals are recorded, ascending
  std::vector<TokenId> continuation;  // greedy
  std::vector<FingerprintLogits> logits;
  bool operator==(const FingerprintRun&) const = default;
};

struct Fingerprint {
  std::string kernels;   // that it was measured with: "AVX3"
  std::string rotation;  // row order of q and k: "interleaved" or "half"
  std::string weights;   // what most weights are: "bf16"
  FingerprintModel model;
  std::string vocabulary;  // SHA-256 over all pieces, hex
  std::vector<FingerprintPrompt> prompts;
  TypeSet embedding_types;
  TypeSet output_types;
  TypeSet output_norm_types;
  Sketch embedding;
  Sketch output_norm;
  Sketch output;  // the norm included
  std::vector<FingerprintLayer> layers;
  FingerprintRun run;
  bool operator==(const Fingerprint&) const = default;
};

// Measures a model: each expert of each layer once, then one sequence of some
// 200 tokens through all layers and a few tokens more. Reads all weights
// once, and those of the experts that the last tokens go to again. The result
// does not depend on the number of threads. `progress` (may be null) counts
// bytes of weights.
// With `published`, what decides the work is taken from there (the ids of the
// run, its continuation, the texts of the prompts), so that a difference in
// one place is not carried to another; a model of another shape is not run.
// Errors: kCancelled, kLimit (no memory).
// Numbers that are not finite are no error: they are in the result.
verify::Result<Fingerprint> MeasureFingerprint(
    const Model& model, const Fingerprint* published,
    const verify::CancelToken& cancel,
    verify::ProgressSink* progress = nullptr);

// The same for publishing. Also kCorrupt, E-FINGERPRINT: a part of the model
// gives NaN or infinity; it is named.
verify::Result<Fingerprint> MakeFingerprint(
    const Model& model, const verify::CancelToken& cancel,
    verify::ProgressSink* progress = nullptr);

}  // namespace inference
