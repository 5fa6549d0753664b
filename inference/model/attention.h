// SPDX-License-Identifier: Apache-2.0
// Grouped-query attention of a batch of tokens over the KV cache, with an
// optional sliding window. Tested by tests/inference/model/model_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/model/kv_cache.h"
#include "inference/ops/kernels.h"
#include "inference/tensor/aligned_buffer.h"
#include "verify/base/thread_pool.h"
#include "verify/structure/model_config.h"

namespace inference {

// Every gain.size() values of `x` (a head, or all heads) by themselves become
// x / RMS(x) * gain, in place: what stands between q or k and their rotation in
// some families. Nothing happens without a gain. Requires that gain.size()
// divides x.size().
void NormaliseParts(const Kernels& kernels, std::span<const float> gain,
                    float eps, std::span<float> x);

// Keys are taken in blocks whose borders are fixed positions of the sequence;
// each block gives a partial softmax, and the parts are joined in order. Where
// several tokens see all of a block their queries pass over it together. So
// the bits of a result depend neither on the number of threads nor on how many
// tokens are run together. One thread at a time; kernels and pool must outlive
// it.
class Attention {
 public:
  Attention(const verify::ModelConfig& config, const Kernels& kernels,
            verify::ThreadPool& pool);

  // out[t] = softmax(q[t] . K / sqrt(head_dim)) V over the keys j with
  // i - window < j <= i, i the position of token first + t of `places`. Query
  // heads h * group .. share the kv head h. Keys and values of all tokens are
  // already in their caches.
  //   q, out: [num_tokens, num_heads * head_dim]
  // False if there is no memory for scratch.
  [[nodiscard]] bool Run(size_t layer, const float* q, size_t first,
                         size_t num_tokens, const TokenPlaces& places,
                         float* out);

 private:
  // Softmax over some of the keys for some queries of one kv head: the largest
  // score and the sum of exp(score - max), then the weighted values.
  struct Partial {
    float* max;  // [queries]
    float* sum;  // [queries]
    float* out;  // [queries, head_dim]
  };
  struct KeyRange {
    uint64_t begin;
    uint64_t end;
  };

  struct Tile;

  // Of so many queries.
  Partial PartialAt(float* memory, size_t queries) const;
  KeyRange Visible(uint64_t position) const;
  // `q`: [queries, head_dim], of the kv head.
  void RunBlock(size_t layer, const float* q, size_t queries, size_t kv_head,
                KeyRange keys, KvCache& cache, const Partial& result,
                float* scores) const;
  // Joins the group of queries of one token.
  void Join(const Partial& from, bool is_first, const Partial& into) const;
  void Finish(const Partial& from, float* out) const;

  bool RunOne(size_t layer, const float* q, uint64_t position, KvCache& cache,
              float* out);
  // Tokens of one sequence, the first of them at `position`.
  void RunMany(size_t layer, const float* q, size_t num_tokens,
               uint64_t position, KvCache& cache, float* out);
  // Tokens of a sequence each.
  void RunEach(size_t layer, const float* q, size_t first, size_t num_tokens,
               const TokenPlaces& places, float* out);
  void RunTile(const Tile& tile, KvCache& cache, float* scratch) const;

  const Kernels& kernels_;
  verify::ThreadPool& pool_;
  size_t head_dim_;
  size_t num_heads_;
  size_t num_kv_heads_;
  size_t group_;
  uint64_t window_;  // 0: none
  float scale_;
  size_t partial_floats_;
  AlignedBuffer<float> partials_;
  std::vector<AlignedBuffer<float>> scratch_;  // one per thread
};

}  // namespace inference
