// SPDX-License-Identifier: Apache-2.0
#include "inference/model/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

namespace inference {
namespace {

// Tokens whose queries pass over a block of keys while it is in the cache.
constexpr size_t kTileTokens = 8;

}  // namespace

void NormaliseParts(const Kernels& kernels, std::span<const float> gain,
                    float eps, std::span<float> x) {
  if (gain.empty()) return;
  for (size_t at = 0; at < x.size(); at += gain.size()) {
    float* const part = x.data() + at;
    kernels.rms_norm(part, gain.data(), gain.size(), eps, part);
  }
}

Attention::Attention(const verify::ModelConfig& config, const Kernels& kernels,
                     verify::ThreadPool& pool)
    : kernels_(kernels),
      pool_(pool),
      head_dim_(config.head_dim),
      num_heads_(config.num_heads),
      num_kv_heads_(config.num_kv_heads),
      group_(config.num_heads / config.num_kv_heads),
      window_(config.sliding_window.value_or(0)),
      scale_(static_cast<float>(
          1.0 / std::sqrt(static_cast<double>(config.head_dim)))),
      partial_floats_(group_ * (head_dim_ + 2)),
      scratch_(pool.num_threads()) {}

Attention::Partial Attention::PartialAt(float* memory) const {
  return {memory, memory + group_, memory + 2 * group_};
}

Attention::KeyRange Attention::Visible(uint64_t position) const {
  const uint64_t end = position + 1;
  return {window_ == 0 || end <= window_ ? 0 : end - window_, end};
}

void Attention::RunBlock(size_t layer, const float* q, size_t kv_head,
                         KeyRange keys, KvCache& cache, const Partial& result,
                         float* scores) const {
  AttendArgs args;
  args.q = q + kv_head * group_ * head_dim_;
  args.group = group_;
  args.head_dim = head_dim_;
  args.keys = cache.Key(layer, keys.begin) + kv_head * head_dim_;
  args.values = cache.Value(layer, keys.begin) + kv_head * head_dim_;
  args.stride = cache.stride();
  args.count = static_cast<size_t>(keys.end - keys.begin);
  args.scale = scale_;
  args.max = result.max;
  args.sum = result.sum;
  args.out = result.out;
  args.scores = scores;
  kernels_.attend(args);
}

void Attention::Join(const Partial& from, bool is_first,
                     const Partial& into) const {
  if (is_first) {
    std::memcpy(into.max, from.max, partial_floats_ * sizeof(float));
    return;
  }
  for (size_t g = 0; g < group_; ++g) {
    const float max = std::max(into.max[g], from.max[g]);
    const float keep = std::exp(into.max[g] - max);
    const float add = std::exp(from.max[g] - max);
    into.max[g] = max;
    into.sum[g] = into.sum[g] * keep + from.sum[g] * add;
    float* a = into.out + g * head_dim_;
    const float* b = from.out + g * head_dim_;
    for (size_t i = 0; i < head_dim_; ++i) a[i] = a[i] * keep + b[i] * add;
  }
}

void Attention::Finish(const Partial& from, float* out) const {
  for (size_t g = 0; g < group_; ++g) {
    const float factor = 1.0f / from.sum[g];
    for (size_t i = g * head_dim_; i < (g + 1) * head_dim_; ++i) {
      out[i] = from.out[i] * factor;
    }
  }
}

bool Attention::Run(size_t layer, const float* q, size_t num_tokens,
                    uint64_t first, KvCache& cache, float* out) {
  // Per thread: scores, the part of one block, the joined parts of a tile.
  const size_t floats =
      group_ * kAttentionBlockKeys + (1 + kTileTokens) * partial_floats_;
  for (auto& scratch : scratch_) {
    if (!scratch.Reserve(floats)) return false;
  }
  return num_tokens == 1 ? RunOne(layer, q, first, cache, out)
                         : RunMany(layer, q, num_tokens, first, cache, out);
}

bool Attention::RunOne(size_t layer, const float* q, uint64_t position,
                       KvCache& cache, float* out) {
  const KeyRange keys = Visible(position);
  const uint64_t first_block = keys.begin / kAttentionBlockKeys;
  const auto num_blocks = static_cast<size_t>(
      (keys.end - 1) / kAttentionBlockKeys - first_block + 1);
  // One part more than blocks for each kv head: the last joins them.
  const size_t per_head = num_blocks + 1;
  if (!partials_.Reserve(num_kv_heads_ * per_head * partial_floats_)) {
    return false;
  }
  const auto part = [&](size_t kv_head, size_t block) {
    return PartialAt(partials_.data() +
                     (kv_head * per_head + block) * partial_floats_);
  };
  const auto run = [&](size_t begin, size_t end, size_t worker) {
    for (size_t item = begin; item < end; ++item) {
      const size_t kv_head = item / num_blocks;
      const size_t b = item % num_blocks;
      const uint64_t block_begin = (first_block + b) * kAttentionBlockKeys;
      RunBlock(layer, q, kv_head,
               {std::max(keys.begin, block_begin),
                std::min(keys.end, block_begin + kAttentionBlockKeys)},
               cache, part(kv_head, b), scratch_[worker].data());
    }
  };
  pool_.ParallelForWorkers(num_kv_heads_ * num_blocks, 1, std::ref(run));
  for (size_t h = 0; h < num_kv_heads_; ++h) {
    const Partial joined = part(h, num_blocks);
    for (size_t b = 0; b < num_blocks; ++b) Join(part(h, b), b == 0, joined);
    Finish(joined, out + h * group_ * head_dim_);
  }
  return true;
}

bool Attention::RunMany(size_t layer, const float* q, size_t num_tokens,
                        uint64_t first, KvCache& cache, float* out) {
  const size_t row = num_heads_ * head_dim_;
  const size_t num_tiles = (num_tokens + kTileTokens - 1) / kTileTokens;
  const auto run_tile = [&](size_t tile, size_t kv_head, float* scratch) {
    const size_t t0 = tile * kTileTokens;
    const size_t t1 = std::min(num_tokens, t0 + kTileTokens);
    float* scores = scratch;
    float* memory = scores + group_ * kAttentionBlockKeys;
    const Partial part = PartialAt(memory);
    const auto joined = [&](size_t t) {
      return PartialAt(memory + (1 + t - t0) * partial_floats_);
    };
    const uint64_t begin =
        Visible(first + t0).begin / kAttentionBlockKeys * kAttentionBlockKeys;
    for (uint64_t block = begin; block < first + t1;
         block += kAttentionBlockKeys) {
      for (size_t t = t0; t < t1; ++t) {
        const KeyRange all = Visible(first + t);
        const KeyRange keys = {std::max(all.begin, block),
                               std::min(all.end, block + kAttentionBlockKeys)};
        if (keys.begin >= keys.end) continue;
        RunBlock(layer, q + t * row, kv_head, keys, cache, part, scores);
        Join(part, keys.begin == all.begin, joined(t));
      }
    }
    for (size_t t = t0; t < t1; ++t) {
      Finish(joined(t), out + t * row + kv_head * group_ * head_dim_);
    }
  };
  const auto run = [&](size_t item, size_t end, size_t worker) {
    for (; item < end; ++item) {
      run_tile(item / num_kv_heads_, item % num_kv_heads_,
               scratch_[worker].data());
    }
  };
  pool_.ParallelForWorkers(num_tiles * num_kv_heads_, 1, std::ref(run));
  return true;
}

}  // namespace inference
