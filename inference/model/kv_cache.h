// SPDX-License-Identifier: Apache-2.0
// Keys and values of one sequence, [layer, position, kv_head, head_dim], as
// halves or as bytes in blocks; with a sliding window a ring of positions.
// Tested by tests/inference/model/kv_cache_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "inference/ops/kv_row.h"
#include "verify/base/result.h"
#include "verify/structure/model_config.h"

namespace inference {

// Tokens that one forward pass takes at most.
inline constexpr size_t kMaxBatchTokens = 512;

// kUnsupported, E-KV, if heads are no whole number of the type's blocks.
verify::Result<void> CheckKvType(const verify::ModelConfig& config,
                                 KvType type);
// Of the keys and values of one position, in all layers.
uint64_t KvBytesPerToken(const verify::ModelConfig& config, KvType type);

// Address space for all positions is taken at once, memory only as positions
// are written. Movable; thread-compatible (different positions of a layer may
// be written by different threads).
class KvCache {
 public:
  // Room for `max_tokens` positions, or for the sliding window and one batch
  // if that is less. Errors: kInvalidArgument (0), kLimit (more than the
  // machine's memory), those of CheckKvType.
  static verify::Result<KvCache> Create(const verify::ModelConfig& config,
                                        uint64_t max_tokens,
                                        KvType type = KvType::kF16);
  KvCache(KvCache&& other) noexcept;
  KvCache& operator=(KvCache&& other) noexcept;
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;
  ~KvCache();

  uint64_t max_tokens() const { return max_tokens_; }
  uint64_t position() const { return position_; }
  KvType type() const { return type_; }
  // From one position to the next, of all kv heads; and of one of them.
  size_t row_bytes() const { return row_bytes_; }
  size_t head_bytes() const { return head_bytes_; }
  // Positions that are there at once; a multiple of kAttentionBlockKeys, so
  // that a block of keys never wraps.
  size_t capacity() const { return capacity_; }

  // The row of a position. Requires position < max_tokens() and, to read,
  // that it was written and not overwritten since.
  std::byte* Key(size_t layer, uint64_t position) {
    return data_ + (2 * layer * capacity_ + Slot(position)) * row_bytes_;
  }
  std::byte* Value(size_t layer, uint64_t position) {
    return data_ + ((2 * layer + 1) * capacity_ + Slot(position)) * row_bytes_;
  }

  // First position whose row is there.
  uint64_t oldest() const { return oldest_; }
  // Takes up a sequence of which the rows from `oldest` to `position` have been
  // written. Requires a fresh cache, position <= max_tokens() and
  // position - oldest <= capacity().
  void Resume(uint64_t oldest, uint64_t position);

  // Moves the position after `count` tokens have been written to all layers.
  void Advance(uint64_t count);
  // Forgets all from `position` on. False, and nothing changed, if keys that
  // a token there would see have been overwritten.
  bool Rewind(uint64_t position);

 private:
  KvCache() = default;
  size_t Slot(uint64_t position) const {
    return static_cast<size_t>(position % capacity_);
  }
  void Release();

  std::byte* data_ = nullptr;
  size_t mapped_bytes_ = 0;
  size_t capacity_ = 1;
  KvType type_ = KvType::kF16;
  size_t row_bytes_ = 0;
  size_t head_bytes_ = 0;
  uint64_t window_ = 0;  // 0: none
  uint64_t max_tokens_ = 0;
  uint64_t position_ = 0;
  uint64_t oldest_ = 0;  // first position that has not been overwritten
};

// Where the tokens of one pass stand: one after the other at the end of one
// sequence, or each at the end of its own. What it is made from must outlive
// it; positions are those before Advance.
class TokenPlaces {
 public:
  explicit TokenPlaces(KvCache& one) : one_(&one) {}
  explicit TokenPlaces(std::span<KvCache* const> each) : each_(each) {}

  bool in_one_sequence() const { return one_ != nullptr; }
  KvCache& cache(size_t token) const {
    return one_ != nullptr ? *one_ : *each_[token];
  }
  uint64_t position(size_t token) const {
    return one_ != nullptr ? one_->position() + token
                           : each_[token]->position();
  }

 private:
  KvCache* one_ = nullptr;
  std::span<KvCache* const> each_;
};

}  // namespace inference
