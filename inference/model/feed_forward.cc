// SPDX-License-Identifier: Apache-2.0
#include "inference/model/feed_forward.h"

#include <algorithm>

#include "inference/moe/router.h"

namespace inference {

FeedForward::FeedForward(const verify::ModelConfig& config,
                         const Kernels& kernels, verify::ThreadPool& pool,
                         MatMul& matmul)
    : config_(config), matmul_(matmul), experts_(kernels, pool, matmul) {}

bool FeedForward::Run(const LayerWeights& layer, const float* x,
                      size_t num_tokens, float* residual, const InputTap& tap) {
  const size_t k = layer.is_moe() ? config_.num_experts_per_token : 1;
  // A dense block is a mixture of one, taken whole.
  chosen_.assign(num_tokens * k, 0);
  weights_.assign(num_tokens * k, 1.0f);
  if (layer.is_moe() && !Route(layer, x, num_tokens)) return false;
  routing_ = {chosen_, weights_, k};
  if (tap.observer != nullptr && !ShowInputs(layer, x, num_tokens, tap)) {
    return false;
  }
  return experts_.Run(layer.experts, routing_, x, num_tokens, residual);
}

// By a run of its own, since those who watch may ask for more experts than the
// tokens are routed to.
bool FeedForward::ShowInputs(const LayerWeights& layer, const float* x,
                             size_t num_tokens, const InputTap& tap) {
  const size_t num_experts = layer.experts.size();
  const size_t k =
      std::min(num_experts, routing_.k + tap.observer->more_experts());
  std::vector<uint32_t> experts(num_tokens * k, 0);
  std::vector<float> weights(num_tokens * k, 1.0f);
  for (size_t t = 0; layer.is_moe() && t < num_tokens; ++t) {
    const std::span<float> of_token = std::span(weights).subspan(t * k, k);
    RouteTopK(std::span(logits_).subspan(t * num_experts, num_experts),
              config_.expert_weights, std::span(experts).subspan(t * k, k),
              of_token);
    const float best = of_token.front();
    for (float& weight : of_token) weight = weight / best * (weight / best);
  }
  return experts_.Show(layer.experts, {experts, weights, k}, x, num_tokens,
                       tap);
}

bool FeedForward::Route(const LayerWeights& layer, const float* x,
                        size_t num_tokens) {
  const size_t num_experts = config_.num_experts;
  const size_t k = config_.num_experts_per_token;
  logits_.resize(num_tokens * num_experts);
  // Rounded activations would send tokens near a tie to other experts.
  const MatMulJob job = {&layer.router,  x,           num_tokens,
                         logits_.data(), num_experts, /*exact=*/true};
  if (!matmul_.Run({&job, 1})) return false;
  for (size_t t = 0; t < num_tokens; ++t) {
    RouteTopK(std::span(logits_).subspan(t * num_experts, num_experts),
              config_.expert_weights, std::span(chosen_).subspan(t * k, k),
              std::span(weights_).subspan(t * k, k));
  }
  return true;
}

}  // namespace inference
