// SPDX-License-Identifier: Apache-2.0
// The feed-forward half of a layer: router and experts, or one dense block.
// Tested by tests/inference/model/model_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/model/input_observer.h"
#include "inference/moe/experts.h"
#include "inference/ops/kernels.h"
#include "inference/ops/matmul.h"
#include "verify/base/thread_pool.h"
#include "verify/structure/model_config.h"

namespace inference {

// One thread at a time; config, kernels, pool and matmul must outlive it.
class FeedForward {
 public:
  FeedForward(const verify::ModelConfig& config, const Kernels& kernels,
              verify::ThreadPool& pool, MatMul& matmul);

  // residual[t] += FFN(x[t]); both [num_tokens, dim]. False if there is no
  // memory. Whoever watches changes nothing of the result.
  [[nodiscard]] bool Run(const LayerWeights& layer, const float* x,
                         size_t num_tokens, float* residual,
                         const InputTap& tap = {});

  // Where the tokens of the last Run went.
  const Routing& routing() const { return routing_; }

 private:
  [[nodiscard]] bool Route(const LayerWeights& layer, const float* x,
                           size_t num_tokens);
  [[nodiscard]] bool ShowInputs(const LayerWeights& layer, const float* x,
                                size_t num_tokens, const InputTap& tap);

  const verify::ModelConfig& config_;
  MatMul& matmul_;
  Experts experts_;
  std::vector<float> logits_;     // [num_tokens, num_experts]
  std::vector<uint32_t> chosen_;  // [num_tokens, k]
  std::vector<float> weights_;    // [num_tokens, k]
  Routing routing_;
};

}  // namespace inference
