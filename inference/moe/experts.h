// SPDX-License-Identifier: Apache-2.0
// Runs the experts that a batch of tokens was routed to, each expert once for
// all of its tokens. Tested by tests/inference/model/model_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/model/input_observer.h"
#include "inference/model/weights.h"
#include "inference/ops/kernels.h"
#include "inference/ops/matmul.h"
#include "inference/tensor/aligned_buffer.h"
#include "verify/base/thread_pool.h"

namespace inference {

// Which experts each token goes to: [num_tokens, k].
struct Routing {
  std::span<const uint32_t> experts;
  std::span<const float> weights;
  size_t k = 0;
};

// One thread at a time; kernels, pool and matmul must outlive it.
class Experts {
 public:
  Experts(const Kernels& kernels, verify::ThreadPool& pool, MatMul& matmul)
      : kernels_(kernels), pool_(pool), matmul_(matmul) {}

  // residual[t] += sum over the experts e of t of weight * W2(silu(W1 x[t]) *
  // (W3 x[t])), added by ascending e whatever the batch: same bits for a token
  // alone and in company. Scratch grows with num_tokens * ff_dim, at most.
  //   x, residual: [num_tokens, dim]
  // False if there is no memory.
  [[nodiscard]] bool Run(std::span<const FfnWeights> experts,
                         const Routing& routing, const float* x,
                         size_t num_tokens, float* residual);

  // Shows what the experts would multiply with, and nothing else comes of it.
  // routing.weights are those of the rows. False if there is no memory.
  [[nodiscard]] bool Show(std::span<const FfnWeights> experts,
                          const Routing& routing, const float* x,
                          size_t num_tokens, const InputTap& tap);

 private:
  struct Pair {
    uint32_t token;
    float weight;
  };

  void GroupByExpert(size_t num_experts, const Routing& routing,
                     size_t num_tokens);
  // One past the last expert of the group that begins with `first`.
  size_t GroupEnd(size_t first, size_t num_experts, size_t max_pairs) const;
  // What the down matrices of these experts are multiplied with, in gate_.
  [[nodiscard]] bool RunGates(std::span<const FfnWeights> experts,
                              size_t first_expert, size_t end_expert,
                              const float* x);
  [[nodiscard]] bool RunGroup(std::span<const FfnWeights> experts,
                              size_t first_expert, size_t end_expert,
                              const float* x, float* residual);

  const Kernels& kernels_;
  verify::ThreadPool& pool_;
  MatMul& matmul_;
  std::vector<size_t> starts_;  // of each expert in pairs_; one more at the end
  std::vector<Pair> pairs_;     // by expert, then token
  std::vector<MatMulJob> jobs_;
  AlignedBuffer<float> gathered_;  // [pairs, dim]
  AlignedBuffer<float> gate_;      // [pairs, ff_dim]
  AlignedBuffer<float> up_;        // [pairs, ff_dim]
  AlignedBuffer<float> out_;       // [pairs, dim]
};

}  // namespace inference
