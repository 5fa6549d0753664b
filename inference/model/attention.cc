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

Attention::Partial Attention::PartialAt(float* memory, size_t queries) const {
  return {memory, memory + queries, memory + 2 * queries};
}

Attention::KeyRange Attention::Visible(uint64_t position) const {
  const uint64_t end = position + 1;
  return {window_ == 0 || end <= window_ ? 0 : end - window_, end};
}

void Attention::RunBlock(size_t layer, const float* q, size_t queries,
                         size_t kv_head, KeyRange keys, KvCache& cache,
                         const Partial& result, float* scores) const {
  AttendArgs args;
  args.q = q;
  args.num_queries = queries;
  args.head_dim = head_dim_;
  args.type = cache.type();
  args.keys = cache.Key(layer, keys.begin) + kv_head * cache.head_bytes();
  args.values = cache.Value(layer, keys.begin) + kv_head * cache.head_bytes();
  args.row_bytes = cache.row_bytes();
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
    std::memcpy(into.max, from.max, group_ * sizeof(float));
    std::memcpy(into.sum, from.sum, group_ * sizeof(float));
    std::memcpy(into.out, from.out, group_ * head_dim_ * sizeof(float));
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

bool Attention::Run(size_t layer, const float* q, size_t first,
                    size_t num_tokens, const TokenPlaces& places, float* out) {
  // Per thread and query of a tile: itself, scores, the part of one block, the
  // joined parts.
  const size_t floats =
      kTileTokens *
      (group_ * (head_dim_ + kAttentionBlockKeys) + 2 * partial_floats_);
  for (auto& scratch : scratch_) {
    if (!scratch.Reserve(floats)) return false;
  }
  if (num_tokens == 1) {
    return RunOne(layer, q, places.position(first), places.cache(first), out);
  }
  if (places.in_one_sequence()) {
    RunMany(layer, q, num_tokens, places.position(first), places.cache(first),
            out);
  } else {
    RunEach(layer, q, first, num_tokens, places, out);
  }
  return true;
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
    return PartialAt(
        partials_.data() + (kv_head * per_head + block) * partial_floats_,
        group_);
  };
  const auto run = [&](size_t begin, size_t end, size_t worker) {
    for (size_t item = begin; item < end; ++item) {
      const size_t kv_head = item / num_blocks;
      const size_t b = item % num_blocks;
      const uint64_t block_begin = (first_block + b) * kAttentionBlockKeys;
      RunBlock(layer, q + kv_head * group_ * head_dim_, group_, kv_head,
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

// Some tokens of a batch and the queries of one kv head.
struct Attention::Tile {
  size_t layer;
  size_t kv_head;
  const float* q;  // of the first token: rows of all heads
  float* out;      // the same
  uint64_t first;  // its position
  size_t tokens;
};

void Attention::RunMany(size_t layer, const float* q, size_t num_tokens,
                        uint64_t position, KvCache& cache, float* out) {
  const size_t row = num_heads_ * head_dim_;
  const size_t num_tiles = (num_tokens + kTileTokens - 1) / kTileTokens;
  const auto run = [&](size_t item, size_t end, size_t worker) {
    for (; item < end; ++item) {
      const size_t t0 = item / num_kv_heads_ * kTileTokens;
      const size_t kv_head = item % num_kv_heads_;
      const size_t offset = t0 * row + kv_head * group_ * head_dim_;
      RunTile({layer, kv_head, q + offset, out + offset, position + t0,
               std::min(kTileTokens, num_tokens - t0)},
              cache, scratch_[worker].data());
    }
  };
  pool_.ParallelForWorkers(num_tiles * num_kv_heads_, 1, std::ref(run));
}

void Attention::RunEach(size_t layer, const float* q, size_t first,
                        size_t num_tokens, const TokenPlaces& places,
                        float* out) {
  const size_t row = num_heads_ * head_dim_;
  const auto run = [&](size_t item, size_t end, size_t worker) {
    for (; item < end; ++item) {
      const size_t t = item / num_kv_heads_;
      const size_t kv_head = item % num_kv_heads_;
      const size_t offset = t * row + kv_head * group_ * head_dim_;
      RunTile({layer, kv_head, q + offset, out + offset,
               places.position(first + t), 1},
              places.cache(first + t), scratch_[worker].data());
    }
  };
  pool_.ParallelForWorkers(num_tokens * num_kv_heads_, 1, std::ref(run));
}

void Attention::RunTile(const Tile& tile, KvCache& cache,
                        float* scratch) const {
  const size_t row = num_heads_ * head_dim_;
  const size_t of_token = group_ * head_dim_;
  float* const q = scratch;
  float* const scores = q + kTileTokens * of_token;
  float* const memory = scores + kTileTokens * group_ * kAttentionBlockKeys;
  float* const joined_memory = memory + kTileTokens * partial_floats_;
  for (size_t t = 0; t < tile.tokens; ++t) {
    std::memcpy(q + t * of_token, tile.q + t * row, of_token * sizeof(float));
  }
  const auto joined = [&](size_t t) {
    return PartialAt(joined_memory + t * partial_floats_, group_);
  };
  const KeyRange of_last = Visible(tile.first + tile.tokens - 1);
  const uint64_t begin =
      Visible(tile.first).begin / kAttentionBlockKeys * kAttentionBlockKeys;
  for (uint64_t block = begin; block < of_last.end;
       block += kAttentionBlockKeys) {
    const KeyRange whole = {block, block + kAttentionBlockKeys};
    // What the first token sees to the end and the last from the beginning is
    // seen by all.
    if (of_last.begin <= whole.begin && whole.end <= tile.first + 1) {
      const size_t queries = tile.tokens * group_;
      const Partial parts = PartialAt(memory, queries);
      RunBlock(tile.layer, q, queries, tile.kv_head, whole, cache, parts,
               scores);
      for (size_t t = 0; t < tile.tokens; ++t) {
        Join({parts.max + t * group_, parts.sum + t * group_,
              parts.out + t * of_token},
             Visible(tile.first + t).begin == whole.begin, joined(t));
      }
      continue;
    }
    const Partial part = PartialAt(memory, group_);
    for (size_t t = 0; t < tile.tokens; ++t) {
      const KeyRange all = Visible(tile.first + t);
      const KeyRange keys = {std::max(all.begin, whole.begin),
                             std::min(all.end, whole.end)};
      if (keys.begin >= keys.end) continue;
      RunBlock(tile.layer, q + t * of_token, group_, tile.kv_head, keys, cache,
               part, scores);
      Join(part, keys.begin == all.begin, joined(t));
    }
  }
  for (size_t t = 0; t < tile.tokens; ++t) {
    Finish(joined(t), tile.out + t * row);
  }
}

}  // namespace inference
