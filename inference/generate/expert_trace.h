// SPDX-License-Identifier: Apache-2.0
// Which experts a text goes through: counted while it is run, layer by layer.
// Counts alone are kept, and the choice for the last token.
// Tested by tests/inference/generate/expert_trace_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/model/model.h"
#include "verify/structure/model_config.h"

namespace inference {

// Of one layer. Random routing gives, with E experts of which k are taken, an
// entropy of 1, repeat_first = tokens / E, and repeats of any expert with
// probability 1 - C(E - k, k) / C(E, k) (Mixtral, arXiv:2401.04088, section 5).
struct ExpertUse {
  std::vector<uint64_t> counts;        // tokens that took the expert
  std::vector<uint64_t> first_counts;  // of those, as their first choice
  std::vector<double> gate_sum;        // of its weights
  double margin_sum = 0;      // of first weight less second, over the tokens
  uint64_t pairs = 0;         // tokens that followed another
  uint64_t repeat_first = 0;  // of pairs: the first choice is the same
  uint64_t repeat_any = 0;    // of pairs: an expert was taken by both
};

// Entropy of shares over that of a uniform choice, 0 to 1; 1 for one expert,
// 0 if nothing was counted.
double NormalisedEntropy(std::span<const uint64_t> counts);

// Give it to Generate or Session::Append. Costs a few additions for each token
// and layer. A dense model gives it nothing. One thread.
class ExpertTrace final : public ForwardObserver {
 public:
  explicit ExpertTrace(const verify::ModelConfig& config);

  // Forgets all.
  void Reset();

  uint64_t tokens() const { return tokens_; }
  const std::vector<ExpertUse>& layers() const { return layers_; }
  // [layer][k], best first, of the last token that was run: where its
  // continuation was decided. Empty before the first.
  const std::vector<std::vector<uint32_t>>& last_routes() const {
    return routes_;
  }

  void OnLayer(int64_t /*layer*/, std::span<const float> /*hidden*/,
               size_t /*num_tokens*/) override {}
  void OnExperts(int64_t layer, std::span<const uint32_t> experts,
                 std::span<const float> weights, size_t num_tokens,
                 size_t k) override;

 private:
  size_t num_layers_;
  size_t num_experts_;
  uint64_t tokens_ = 0;
  std::vector<ExpertUse> layers_;
  std::vector<std::vector<uint32_t>> routes_;
};

}  // namespace inference
