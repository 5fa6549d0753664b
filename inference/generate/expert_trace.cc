// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/expert_trace.h"

#include <algorithm>
#include <cmath>

namespace inference {

double NormalisedEntropy(std::span<const uint64_t> counts) {
  double total = 0;
  for (const uint64_t count : counts) total += static_cast<double>(count);
  if (total == 0) return 0;
  if (counts.size() == 1) return 1;
  double entropy = 0;
  for (const uint64_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / total;
    entropy -= share * std::log(share);
  }
  return entropy / std::log(static_cast<double>(counts.size()));
}

ExpertTrace::ExpertTrace(const verify::ModelConfig& config)
    : num_layers_(config.is_moe() ? static_cast<size_t>(config.num_layers) : 0),
      num_experts_(static_cast<size_t>(config.num_experts)) {
  Reset();
}

void ExpertTrace::Reset() {
  tokens_ = 0;
  ExpertUse none;
  none.counts.resize(num_experts_);
  none.first_counts.resize(num_experts_);
  none.gate_sum.resize(num_experts_);
  layers_.assign(num_layers_, none);
  routes_.assign(num_layers_, {});
}

void ExpertTrace::OnExperts(int64_t layer, std::span<const uint32_t> experts,
                            std::span<const float> weights, size_t num_tokens,
                            size_t k) {
  ExpertUse& use = layers_[static_cast<size_t>(layer)];
  std::vector<uint32_t>& before = routes_[static_cast<size_t>(layer)];
  for (size_t t = 0; t < num_tokens; ++t) {
    const auto chosen = experts.subspan(t * k, k);
    const auto gates = weights.subspan(t * k, k);
    for (size_t i = 0; i < k; ++i) {
      ++use.counts[chosen[i]];
      use.gate_sum[chosen[i]] += static_cast<double>(gates[i]);
    }
    ++use.first_counts[chosen[0]];
    if (k > 1) {
      use.margin_sum +=
          static_cast<double>(gates[0]) - static_cast<double>(gates[1]);
    }
    if (!before.empty()) {
      ++use.pairs;
      if (before[0] == chosen[0]) ++use.repeat_first;
      if (std::find_first_of(chosen.begin(), chosen.end(), before.begin(),
                             before.end()) != chosen.end()) {
        ++use.repeat_any;
      }
    }
    before.assign(chosen.begin(), chosen.end());
  }
  if (layer == 0) tokens_ += num_tokens;
}

}  // namespace inference
