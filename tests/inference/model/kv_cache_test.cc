// SPDX-License-Identifier: Apache-2.0
#include "inference/model/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>

#include "inference/ops/kernels.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

verify::ModelConfig Config(uint64_t window) {
  auto config = tests::TinyModelConfig();
  if (window > 0) config.sliding_window = window;
  return config;
}

KvCache Create(const verify::ModelConfig& config, uint64_t max_tokens) {
  auto cache = KvCache::Create(config, max_tokens);
  EXPECT_TRUE(cache) << cache.error().ToString();
  return std::move(*cache);
}

TEST(KvCacheTest, HoldsAllPositionsOrTheWindowAndABatch) {
  EXPECT_EQ(Create(Config(0), 1).capacity(), kAttentionBlockKeys);
  EXPECT_EQ(Create(Config(0), 257).capacity(), 2 * kAttentionBlockKeys);
  // 100 + 512 rounded up to blocks of 256.
  EXPECT_EQ(Create(Config(100), 1'000'000).capacity(), 768u);
  EXPECT_EQ(Create(Config(100), 200).capacity(), 256u);
  // Two heads of 16 halves.
  EXPECT_EQ(Create(Config(0), 1).row_bytes(), 64u);
  EXPECT_EQ(Create(Config(0), 1).head_bytes(), 32u);
}

TEST(KvCacheTest, RowsDoNotOverlap) {
  KvCache cache = Create(Config(0), 256);
  uint16_t mark = 0;
  const auto fill = [&](std::byte* row) {
    ++mark;
    for (size_t i = 0; i < cache.row_bytes(); i += sizeof(mark)) {
      std::memcpy(row + i, &mark, sizeof(mark));
    }
  };
  const auto at = [](const std::byte* place) {
    uint16_t found = 0;
    std::memcpy(&found, place, sizeof(found));
    return found;
  };
  for (size_t layer = 0; layer < 2; ++layer) {
    for (uint64_t p = 0; p < 256; ++p) {
      fill(cache.Key(layer, p));
      fill(cache.Value(layer, p));
    }
  }
  KvCache moved = std::move(cache);
  mark = 0;
  for (size_t layer = 0; layer < 2; ++layer) {
    for (uint64_t p = 0; p < 256; ++p) {
      for (std::byte* row : {moved.Key(layer, p), moved.Value(layer, p)}) {
        ++mark;
        ASSERT_EQ(at(row), mark);
        ASSERT_EQ(at(row + moved.row_bytes() - sizeof(mark)), mark);
      }
    }
  }
}

TEST(KvCacheTest, RewindsAnywhereWithoutAWindow) {
  KvCache cache = Create(Config(0), 300);
  cache.Advance(300);
  EXPECT_TRUE(cache.Rewind(1));
  EXPECT_EQ(cache.position(), 1u);
  EXPECT_FALSE(cache.Rewind(2));
  EXPECT_EQ(cache.position(), 1u);
}

// 768 slots, window 100: at position 1000 the keys from 232 on are left, and
// the first position that sees only those is 232 + 99.
TEST(KvCacheTest, RewindsAsFarAsTheRingReaches) {
  KvCache cache = Create(Config(100), 5000);
  cache.Advance(512);
  cache.Advance(488);
  EXPECT_FALSE(cache.Rewind(330));
  EXPECT_EQ(cache.position(), 1000u);
  EXPECT_TRUE(cache.Rewind(1000));
  EXPECT_TRUE(cache.Rewind(331));
  EXPECT_EQ(cache.position(), 331u);
  // What was overwritten stays lost after going back.
  EXPECT_FALSE(cache.Rewind(50));
  EXPECT_TRUE(cache.Rewind(0));
  cache.Advance(100);
  EXPECT_TRUE(cache.Rewind(50));
}

TEST(KvCacheTest, RefusesNothingAndMoreThanMemory) {
  EXPECT_EQ(KvCache::Create(Config(0), 0).error().code,
            verify::ErrorCode::kInvalidArgument);
  for (const uint64_t tokens :
       {UINT64_MAX, UINT64_MAX / 2, uint64_t{1} << 45}) {
    const auto cache = KvCache::Create(Config(0), tokens);
    ASSERT_FALSE(cache);
    EXPECT_EQ(cache.error().code, verify::ErrorCode::kLimit);
    EXPECT_EQ(cache.error().id, "E-MEMORY");
  }
}

// By hand: a head of 32 numbers is one block, 32 bytes and a half, where halves
// take 64 bytes; two layers of two such heads, keys and values.
TEST(KvCacheTest, BytesTakeHalfTheMemory) {
  auto config = Config(0);
  config.head_dim = 32;
  auto cache = KvCache::Create(config, 300, KvType::kQ8_0);
  ASSERT_TRUE(cache) << cache.error().ToString();
  EXPECT_EQ(cache->type(), KvType::kQ8_0);
  EXPECT_EQ(cache->head_bytes(), 34u);
  EXPECT_EQ(cache->row_bytes(), 68u);
  EXPECT_EQ(KvBytesPerToken(config, KvType::kQ8_0), 2u * 2 * 68);
  EXPECT_EQ(KvBytesPerToken(config, KvType::kF16), 2u * 2 * 128);
}

TEST(KvCacheTest, HeadsThatAreNoWholeBlocksAreRefused) {
  for (const uint64_t head_dim : {16u, 48u, 80u}) {
    auto config = Config(0);
    config.head_dim = head_dim;
    const auto cache = KvCache::Create(config, 10, KvType::kQ8_0);
    ASSERT_FALSE(cache);
    EXPECT_EQ(cache.error().code, verify::ErrorCode::kUnsupported);
    EXPECT_EQ(cache.error().id, "E-KV");
    EXPECT_NE(cache.error().message.find(std::to_string(head_dim)),
              std::string::npos);
    EXPECT_TRUE(KvCache::Create(config, 10));
  }
}

}  // namespace
}  // namespace inference
