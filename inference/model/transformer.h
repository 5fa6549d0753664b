// SPDX-License-Identifier: Apache-2.0
// The forward pass: tokens to logits through all layers. Arithmetic is float
// on weights of any computed type; the formulas are those of Mistral's own
// code without its casts to bf16.
// Tested by tests/inference/model/model_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "inference/model/attention.h"
#include "inference/model/feed_forward.h"
#include "inference/model/kv_cache.h"
#include "inference/model/model.h"
#include "inference/model/weights.h"
#include "inference/ops/kernels.h"
#include "inference/ops/matmul.h"
#include "inference/ops/rope.h"
#include "inference/tensor/aligned_buffer.h"
#include "verify/base/thread_pool.h"

namespace inference {

// Scratch is reused from call to call and grows with the largest batch, which
// is at most kMaxBatchTokens. `exact`: as for MatMul. One thread at a time; all
// that is passed in must outlive it. Neither copyable nor movable: its parts
// refer to each other.
class Transformer {
 public:
  Transformer(const verify::ModelConfig& config, const ModelWeights& weights,
              const Kernels& kernels, verify::ThreadPool& pool, bool exact);
  Transformer(const Transformer&) = delete;
  Transformer& operator=(const Transformer&) = delete;

  // Runs `tokens` (1..kMaxBatchTokens, ids inside the vocabulary, the cache
  // has room for them) at the cache's position and advances it. The last
  // `num_outputs` of them can then be asked for their logits; what the last
  // layer would do for others is left out unless somebody observes.
  // kLimit (no memory), kCancelled: the cache is then where it was.
  verify::Result<void> Forward(std::span<const TokenId> tokens, KvCache& cache,
                               size_t num_outputs, ForwardObserver* observer,
                               const verify::CancelToken* cancel = nullptr);

  // The same for tokens of several sequences: tokens[i] at the position of
  // caches[i], which are not the same, each with room for one. All are outputs,
  // with the same bits as by Forward.
  verify::Result<void> ForwardEach(std::span<const TokenId> tokens,
                                   std::span<KvCache* const> caches,
                                   const verify::CancelToken* cancel = nullptr);

  // Logits of tokens of the last Forward, counted from the first of its batch:
  // [count, vocab_size]. Requires that they are among its outputs. kLimit,
  // kCancelled.
  verify::Result<void> Logits(size_t first, size_t count,
                              std::span<float> logits,
                              const verify::CancelToken* cancel = nullptr);

 private:
  [[nodiscard]] bool Reserve(size_t num_tokens);
  void Embed(std::span<const TokenId> tokens);
  void Normalise(const std::vector<float>& gain, size_t first,
                 size_t num_tokens);
  void RotateAndStore(size_t layer, size_t first, size_t num_tokens,
                      const TokenPlaces& places);
  [[nodiscard]] bool RunAttention(size_t layer, size_t first, size_t num_tokens,
                                  const TokenPlaces& places,
                                  InputObserver* inputs);
  [[nodiscard]] bool RunLayers(size_t num_tokens, size_t first_output,
                               const TokenPlaces& places,
                               ForwardObserver* observer);
  verify::Result<void> Run(std::span<const TokenId> tokens,
                           const TokenPlaces& places, size_t num_outputs,
                           ForwardObserver* observer);
  verify::Result<void> Stopped() const;

  const verify::ModelConfig& config_;
  const ModelWeights& weights_;
  const Kernels& kernels_;
  verify::ThreadPool& pool_;
  MatMul matmul_;
  Attention attention_;
  FeedForward feed_forward_;
  RopeTable rope_;
  AlignedBuffer<float> hidden_;    // [tokens, dim], the residual stream
  AlignedBuffer<float> normed_;    // [tokens, dim]
  AlignedBuffer<float> q_;         // [tokens, num_heads * head_dim]
  AlignedBuffer<float> k_;         // [tokens, num_kv_heads * head_dim]
  AlignedBuffer<float> v_;         // [tokens, num_kv_heads * head_dim]
  AlignedBuffer<float> attended_;  // [tokens, num_heads * head_dim]
  AlignedBuffer<float> branch_;    // [tokens, dim]
  AlignedBuffer<float> cos_;       // [tokens, head_dim / 2]
  AlignedBuffer<float> sin_;       // [tokens, head_dim / 2]
};

}  // namespace inference
