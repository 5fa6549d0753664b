// SPDX-License-Identifier: Apache-2.0
#include "verify/base/joined_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::TempDir;

constexpr size_t kPage = 4096;

// Bytes without a period that a page or a power of two has.
std::string Numbers(size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    bytes.push_back(static_cast<char>((i * i + i / 251) % 253));
  }
  return bytes;
}

// `whole` in files of these sizes.
std::vector<std::string> Cut(const TempDir& dir, const std::string& whole,
                             const std::vector<size_t>& sizes) {
  std::vector<std::string> paths;
  size_t at = 0;
  for (const size_t size : sizes) {
    paths.push_back(dir.Write("part" + std::to_string(paths.size()),
                              whole.substr(at, size)));
    at += size;
  }
  EXPECT_EQ(at, whole.size());
  return paths;
}

std::string Text(ByteSpan bytes) { return std::string(AsText(bytes)); }

Result<std::unique_ptr<JoinedSource>> Join(
    const std::vector<std::string>& paths) {
  std::vector<std::unique_ptr<ByteSource>> parts;
  for (const std::string& path : paths) {
    auto file = ReadOnlyFile::Open(path);
    EXPECT_TRUE(file);
    parts.push_back(std::make_unique<ReadOnlyFile>(std::move(*file)));
  }
  return JoinedSource::Create("whole", std::move(parts));
}

TEST(JoinedSourceTest, ReadsAcrossCuts) {
  const TempDir dir;
  const std::string whole = Numbers(40);
  const auto source = Join(Cut(dir, whole, {7, 0, 1, 20, 12}));
  ASSERT_TRUE(source);
  EXPECT_EQ((*source)->size(), 40u);
  EXPECT_EQ((*source)->begins(), (std::vector<uint64_t>{0, 7, 7, 8, 28, 40}));
  for (size_t begin = 0; begin <= 40; ++begin) {
    for (size_t size = 0; begin + size <= 40; ++size) {
      std::vector<std::byte> out(size);
      ASSERT_TRUE((*source)->ReadAt(begin, out));
      EXPECT_EQ(Text(out), whole.substr(begin, size));
    }
  }
  std::vector<std::byte> out(2);
  ExpectError((*source)->ReadAt(39, out), ErrorCode::kCorrupt,
              "its parts together have 40");
  ExpectError((*source)->ReadAt(UINT64_MAX, out), ErrorCode::kCorrupt, "whole");
}

// Cuts at pages, next to them and anywhere; parts of a page, of many and of
// less than one: what lies across is the same bytes in one piece.
TEST(JoinedMapTest, BridgesCutsAnywhere) {
  const std::vector<std::vector<size_t>> cuts = {
      {10 * kPage},
      {3 * kPage, 7 * kPage},
      {3 * kPage + 1, 7 * kPage - 1},
      {kPage - 1, 9 * kPage + 1},
      {100, 10 * kPage - 100},
      {10 * kPage - 100, 100},
      {2 * kPage, 5, 3 * kPage, 5 * kPage - 5},
      {4 * kPage + 7, 0, 2 * kPage + 2, kPage, 3 * kPage - 9},
  };
  const std::string whole = Numbers(10 * kPage);
  for (const auto& sizes : cuts) {
    const TempDir dir;
    const std::vector<std::string> paths = Cut(dir, whole, sizes);
    for (const ByteRange range :
         {ByteRange{0, 10 * kPage}, ByteRange{50, 10 * kPage - 50},
          ByteRange{3 * kPage - 8, 3 * kPage + 8},
          ByteRange{kPage + 13, 8 * kPage + 3}}) {
      auto map = JoinedMap::Open(paths);
      ASSERT_TRUE(map) << map.error().ToString();
      EXPECT_EQ(map->size(), whole.size());
      const auto bridged = map->Bridge({range});
      ASSERT_TRUE(bridged) << bridged.error().ToString();
      const JoinedMap moved = std::move(*map);
      const uint64_t size = range.end - range.begin;
      EXPECT_EQ(Text(moved.Bytes(range.begin, size)),
                whole.substr(range.begin, size));
      EXPECT_EQ(Text(moved.Bytes(range.begin + 3, size - 5)),
                whole.substr(range.begin + 3, size - 5));
    }
  }
}

TEST(JoinedMapTest, RangesThatOverlapShareABridge) {
  const TempDir dir;
  const std::string whole = Numbers(3000);
  auto map = JoinedMap::Open(Cut(dir, whole, {1000, 1000, 1000}));
  ASSERT_TRUE(map);
  ASSERT_TRUE(map->Bridge(
      {{1990, 2010}, {900, 1100}, {990, 1300}, {10, 20}, {1000, 1000}}));
  EXPECT_EQ(Text(map->Bytes(900, 400)), whole.substr(900, 400));
  EXPECT_EQ(Text(map->Bytes(1990, 20)), whole.substr(1990, 20));
  EXPECT_EQ(Text(map->Bytes(10, 10)), whole.substr(10, 10));
  EXPECT_TRUE(map->Bytes(1000, 0).empty());
}

// Sparse files: neither side of a cut that is no whole page may be copied
// without bound, while whole pages cost nothing.
TEST(JoinedMapTest, RefusesToCopyTooMuch) {
  const TempDir dir;
  const uint64_t side = kMaxBridgeBytes + kPage;
  const auto parts = [&](uint64_t first) {
    std::vector<std::string> paths;
    for (const uint64_t size : {first, side}) {
      paths.push_back(dir.Write("s" + std::to_string(paths.size()), ""));
      EXPECT_EQ(::truncate(paths.back().c_str(), static_cast<off_t>(size)), 0);
    }
    return paths;
  };
  auto map = JoinedMap::Open(parts(side + 1));
  ASSERT_TRUE(map);
  ExpectError(map->Bridge({{0, 2 * side + 1}}), ErrorCode::kLimit,
              "lies across the cuts", "E-BRIDGE");
  auto even = JoinedMap::Open(parts(side));
  ASSERT_TRUE(even);
  ASSERT_TRUE(even->Bridge({{0, 2 * side}}));
  EXPECT_EQ(even->Bytes(side - 1, 2).size(), 2u);
}

TEST(JoinedMapTest, ReservesAddressesAndFillsThem) {
  const std::string whole = Numbers(20'000'003);  // more than one step
  auto map = JoinedMap::Reserve("x.zst", whole.size());
  ASSERT_TRUE(map) << map.error().ToString();
  EXPECT_EQ(map->size(), whole.size());
  const ByteSpan part = map->Bytes(1000, 500);
  EXPECT_EQ(map->Bytes(1100, 1).data(), part.data() + 100);
  const JoinedMap moved = [&] {
    const MemorySource content(AsBytes(whole));
    uint64_t told = 0;
    EXPECT_TRUE(map->Fill(content, [&](uint64_t done) {
      EXPECT_GE(done, told);
      told = done;
      return true;
    }));
    EXPECT_LT(told, whole.size());
    return *std::move(map);
  }();
  EXPECT_EQ(moved.Bytes(1000, 500).data(), part.data());
  EXPECT_EQ(Text(moved.Bytes(0, whole.size())), whole);
}

TEST(JoinedMapTest, FillingEndsWithAnErrorOrWhenCancelled) {
  // Says that it is longer than what can be read.
  class Short final : public ByteSource {
   public:
    std::string_view name() const override { return "short"; }
    uint64_t size() const override { return 100'000'000; }
    Result<void> ReadAt(uint64_t offset, std::span<std::byte>) const override {
      if (offset < 50'000'000) return {};
      return Fail(ErrorCode::kCorrupt, "no more");
    }
  };
  auto map = JoinedMap::Reserve("x.zst", Short().size());
  ASSERT_TRUE(map);
  const auto go_on = [](uint64_t) { return true; };
  ExpectError(map->Fill(Short(), go_on), ErrorCode::kCorrupt, "no more");
  ExpectError(map->Fill(Short(), [](uint64_t) { return false; }),
              ErrorCode::kCancelled, "interrupted");
}

TEST(JoinedMapTest, ReservesNothingForNothing) {
  auto map = JoinedMap::Reserve("empty.zst", 0);
  ASSERT_TRUE(map);
  EXPECT_TRUE(map->Bytes(0, 0).empty());
  EXPECT_TRUE(map->Fill(MemorySource({}), [](uint64_t) { return true; }));
}

}  // namespace
}  // namespace verify
