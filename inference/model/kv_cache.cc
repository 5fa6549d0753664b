// SPDX-License-Identifier: Apache-2.0
#include "inference/model/kv_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "inference/ops/kernels.h"
#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::CheckedMul;
using verify::ErrorCode;
using verify::Fail;
using verify::StrCat;

uint64_t PhysicalMemoryBytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page_bytes = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return UINT64_MAX;
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes);
}

// Bytes of keys and values, or nothing on overflow.
std::optional<uint64_t> CacheBytes(const verify::ModelConfig& config,
                                   KvType type, uint64_t capacity) {
  return CheckedMul<uint64_t>(KvBytesPerToken(config, type), capacity);
}

}  // namespace

verify::Result<void> CheckKvType(const verify::ModelConfig& config,
                                 KvType type) {
  if (config.head_dim % KvBlockElements(type) == 0) return {};
  return Fail(ErrorCode::kUnsupported,
              StrCat("keys and values as ", KvTypeName(type),
                     " need heads of a multiple of ", KvBlockElements(type),
                     " numbers, this model's have ", config.head_dim))
      .Id("E-KV")
      .Hint("--kv f16 fits every model");
}

// The bounds of a configuration keep this far from overflow.
uint64_t KvBytesPerToken(const verify::ModelConfig& config, KvType type) {
  const auto row = static_cast<size_t>(config.num_kv_heads * config.head_dim);
  return 2 * config.num_layers * KvBytes(type, row);
}

verify::Result<KvCache> KvCache::Create(const verify::ModelConfig& config,
                                        uint64_t max_tokens, KvType type) {
  RETURN_IF_ERROR(CheckKvType(config, type));
  if (max_tokens == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "a sequence of 0 tokens was asked for");
  }
  uint64_t needed = max_tokens;
  if (config.sliding_window.has_value()) {
    // The first token of a batch still sees window - 1 older keys when the
    // last one has been written.
    const auto ring =
        verify::CheckedAdd<uint64_t>(*config.sliding_window, kMaxBatchTokens);
    if (ring.has_value()) needed = std::min(needed, *ring);
  }
  const auto capacity = verify::AlignUp<uint64_t>(needed, kAttentionBlockKeys);
  const auto bytes = capacity.has_value() ? CacheBytes(config, type, *capacity)
                                          : std::optional<uint64_t>();
  const uint64_t memory = PhysicalMemoryBytes();
  if (!bytes.has_value() || *bytes > memory) {
    return Fail(ErrorCode::kLimit,
                StrCat("a sequence of ", max_tokens, " tokens needs ",
                       bytes.has_value() ? verify::FormatSize(*bytes)
                                         : std::string("too much"),
                       " of keys and values, the machine has ",
                       verify::FormatSize(memory)))
        .Id("E-MEMORY")
        .Hint("ask for a shorter context");
  }
  // The kernel gives zeroed pages one by one as they are touched.
  void* memory_map =
      ::mmap(nullptr, static_cast<size_t>(*bytes), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory_map == MAP_FAILED) {
    return Fail(ErrorCode::kLimit,
                StrCat("no room for ", verify::FormatSize(*bytes),
                       " of keys and values"))
        .Id("E-MEMORY")
        .Hint("ask for a shorter context");
  }
  KvCache cache;
  cache.data_ = static_cast<std::byte*>(memory_map);
  cache.mapped_bytes_ = static_cast<size_t>(*bytes);
  cache.capacity_ = static_cast<size_t>(*capacity);
  cache.type_ = type;
  cache.head_bytes_ = KvBytes(type, static_cast<size_t>(config.head_dim));
  cache.row_bytes_ =
      static_cast<size_t>(config.num_kv_heads) * cache.head_bytes_;
  cache.window_ = config.sliding_window.value_or(0);
  cache.max_tokens_ = max_tokens;
  return cache;
}

KvCache::KvCache(KvCache&& other) noexcept { *this = std::move(other); }

KvCache& KvCache::operator=(KvCache&& other) noexcept {
  if (this == &other) return *this;
  Release();
  data_ = std::exchange(other.data_, nullptr);
  mapped_bytes_ = std::exchange(other.mapped_bytes_, 0);
  capacity_ = other.capacity_;
  type_ = other.type_;
  row_bytes_ = other.row_bytes_;
  head_bytes_ = other.head_bytes_;
  window_ = other.window_;
  max_tokens_ = other.max_tokens_;
  position_ = other.position_;
  oldest_ = other.oldest_;
  return *this;
}

KvCache::~KvCache() { Release(); }

void KvCache::Release() {
  if (data_ != nullptr) ::munmap(data_, mapped_bytes_);
  data_ = nullptr;
}

void KvCache::Advance(uint64_t count) {
  CHECK(count <= max_tokens_ - position_);
  position_ += count;
  if (position_ > capacity_) oldest_ = std::max(oldest_, position_ - capacity_);
}

void KvCache::Resume(uint64_t oldest, uint64_t position) {
  CHECK(position_ == 0 && position <= max_tokens_ && oldest <= position &&
        position - oldest <= capacity_);
  position_ = position;
  oldest_ = oldest;
}

bool KvCache::Rewind(uint64_t position) {
  if (position > position_) return false;
  const uint64_t first_seen =
      window_ == 0 || position < window_ ? 0 : position - window_ + 1;
  if (position != position_ && position != 0 && first_seen < oldest_) {
    return false;
  }
  position_ = position;
  if (position == 0) oldest_ = 0;
  return true;
}

}  // namespace inference
