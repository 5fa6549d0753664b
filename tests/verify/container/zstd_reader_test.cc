// SPDX-License-Identifier: Apache-2.0
#include "verify/container/zstd_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/archive_builder.h"
#include "tests/support/expect_error.h"
#include "tests/support/test_random.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::RawZstdFrame;
using tests::SkippableFrame;
using tests::ZstdBlock;
using tests::ZstdBlockOf;
using tests::ZstdFrameOf;

// All that comes out, asked for `step` bytes at a time.
Result<std::string> Unpack(const std::string& bytes,
                           const ZstdOptions& options = {},
                           size_t step = 1000) {
  const MemorySource source(AsBytes(bytes));
  SourceStream input(source);
  ZstdStream stream(input, options);
  std::string out;
  std::vector<std::byte> buffer(step);
  while (true) {
    ASSIGN_OR_RETURN(const size_t got, stream.Read(buffer));
    if (got == 0) return out;
    out += AsText(ByteSpan(buffer).first(got));
  }
}

std::string Noise(size_t size) {
  tests::TestRandom random(7);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random.NextU32() % 17);
  return out;
}

TEST(ZstdStreamTest, GivesBackWhatLibzstdCompressed) {
  const std::string text = Noise(400'000);
  for (const size_t step : {size_t{1}, size_t{777}, size_t{1} << 20}) {
    const auto out = Unpack(ZstdFrameOf(text), {}, step);
    ASSERT_TRUE(out) << out.error().ToString();
    EXPECT_EQ(*out, text);
  }
}

TEST(ZstdStreamTest, JoinsFramesAndPassesOverSkippableOnes) {
  tests::ZstdFrameOptions bare;
  bare.checksum = false;
  bare.content_size = false;
  const auto out = Unpack(
      SkippableFrame("x") + ZstdFrameOf("one") + ZstdFrameOf("") +
      SkippableFrame(std::string(300'000, 's'), 5) + ZstdFrameOf("two", bare));
  ASSERT_TRUE(out) << out.error().ToString();
  EXPECT_EQ(*out, "onetwo");
}

// 1 KiB that would become 100 GB.
TEST(ZstdStreamTest, E1StopsABomb) {
  std::string blocks;
  constexpr uint32_t kBlock = 128u << 10;
  for (int i = 0; i < 600; ++i) {
    blocks += ZstdBlockOf(ZstdBlock::kRepeated, kBlock, "0", i == 599);
  }
  // Window 1 MiB, no size.
  const std::string bomb = RawZstdFrame(0, std::string_view("\x50", 1), blocks);
  ExpectError(Unpack(bomb, {}, kBlock), ErrorCode::kLimit,
              "do not shrink like that", "E-ARCHIVE-BOMB");
  ZstdOptions small;
  small.limit.max_bytes = 1u << 20;
  ExpectError(Unpack(bomb, small), ErrorCode::kLimit, "more than 1.0 MiB",
              "E-ARCHIVE-BOMB");
  ZstdOptions allowed;
  allowed.limit.max_ratio = ~uint64_t{0};
  const auto all = Unpack(bomb, allowed, 1u << 20);
  ASSERT_TRUE(all) << all.error().ToString();
  EXPECT_EQ(all->size(), size_t{600} * kBlock);
}

TEST(ZstdStreamTest, E1RefusesAClaimBeyondTheLimitBeforeAnyOutput) {
  ZstdOptions small;
  small.limit.max_bytes = 100;
  ExpectError(Unpack(ZstdFrameOf(std::string(101, 'a')), small),
              ErrorCode::kLimit, "says that it holds 101", "E-ARCHIVE-BOMB");
  EXPECT_TRUE(Unpack(ZstdFrameOf(std::string(100, 'a')), small));
}

TEST(ZstdStreamTest, E1RefusesALyingContentSize) {
  std::string frame = ZstdFrameOf(Noise(5000));
  // Descriptor 0x64: single segment, checksum, size in 2 bytes, from 256.
  ASSERT_EQ(frame[4], 0x64);
  for (const int change : {-1, +1}) {
    std::string lying = frame;
    lying[5] = static_cast<char>(lying[5] + change);
    ExpectError(Unpack(lying), ErrorCode::kCorrupt, "damaged", "E-ZSTD");
  }
}

// libzstd does not compare where a frame is one empty block and says that it
// holds more than there is room for. Descriptor 0x80: the size in 4 bytes,
// after a window of 128 KiB.
TEST(ZstdStreamTest, E1RefusesALyingContentSizeOfAnEmptyFrame) {
  const auto frame = [](std::string_view size) {
    return RawZstdFrame(0x80, std::string("\x38", 1).append(size),
                        ZstdBlockOf(ZstdBlock::kRaw, 0, "", true));
  };
  const auto right = Unpack(frame({"\0\0\0\0", 4}));
  ASSERT_TRUE(right) << right.error().ToString();
  EXPECT_EQ(*right, "");
  ExpectError(Unpack(frame({"\x02\xfd\0\0", 4})), ErrorCode::kCorrupt,
              "0 bytes come out of a frame that says it holds 64770", "E-ZSTD");
}

TEST(ZstdStreamTest, E1RefusesALargeWindow) {
  const std::string large =
      RawZstdFrame(0, std::string_view("\xa8", 1),
                   ZstdBlockOf(ZstdBlock::kRaw, 3, "abc", true));
  ExpectError(Unpack(large), ErrorCode::kLimit, "window", "E-ZSTD-WINDOW");
}

TEST(ZstdStreamTest, E1HoldsToTheExpectedSize) {
  ZstdOptions options;
  options.limit.expected_bytes = 4;
  EXPECT_TRUE(Unpack(ZstdFrameOf("four"), options));
  ExpectError(Unpack(ZstdFrameOf("fives"), options), ErrorCode::kMismatch,
              "more than the 4", "E-SIZE");
  ExpectError(Unpack(ZstdFrameOf("two"), options), ErrorCode::kMismatch,
              "3 bytes came out, 4 were to", "E-SIZE");
}

TEST(ZstdStreamTest, E2RefusesAWrongChecksum) {
  std::string frame = ZstdFrameOf("some content");
  frame.back() = static_cast<char>(frame.back() ^ 1);
  ExpectError(Unpack(frame), ErrorCode::kCorrupt, "own checksum",
              "E-ZSTD-CHECKSUM");
}

TEST(ZstdStreamTest, E2RefusesEveryTruncation) {
  const std::string whole = ZstdFrameOf(Noise(3000)) + SkippableFrame("12345");
  ASSERT_TRUE(Unpack(whole));
  const size_t first = whole.size() - 13;
  for (size_t size = 0; size < whole.size(); ++size) {
    if (size == first) continue;  // a whole frame
    const auto out = Unpack(whole.substr(0, size));
    ASSERT_FALSE(out) << size;
    EXPECT_EQ(out.error().code, ErrorCode::kCorrupt) << size;
  }
}

TEST(ZstdStreamTest, E2RefusesTrailingBytesDictionariesAndFloods) {
  const std::string frame = ZstdFrameOf("x");
  ExpectError(Unpack(frame + "tail"), ErrorCode::kCorrupt, "begin no frame",
              "E-ZSTD-TRAILING");
  ExpectError(
      Unpack(RawZstdFrame(0x21, "\x05\x03",
                          ZstdBlockOf(ZstdBlock::kRaw, 3, "abc", true))),
      ErrorCode::kCorrupt, "dictionary 5", "E-ZSTD-DICTIONARY");
  std::string flood = frame;
  for (int i = 0; i < 66; ++i) flood += SkippableFrame("");
  ExpectError(Unpack(flood), ErrorCode::kLimit, "flood", "E-ZSTD");
}

// A flipped byte anywhere is refused, or is in what is passed over.
TEST(ZstdStreamTest, E2FindsEveryFlippedByteOfAFrame) {
  const std::string text = Noise(600);
  const std::string frame = ZstdFrameOf(text);
  for (size_t i = 0; i < frame.size(); ++i) {
    for (const int mask : {0x01, 0x80}) {
      std::string flipped = frame;
      flipped[i] = static_cast<char>(flipped[i] ^ mask);
      const auto out = Unpack(flipped);
      if (out) {
        EXPECT_EQ(*out, text) << i;
      }
    }
  }
}

TEST(ZstdStreamTest, CountsFramesWithoutChecksum) {
  tests::ZstdFrameOptions bare;
  bare.checksum = false;
  const std::string bytes = ZstdFrameOf("one") + ZstdFrameOf("two", bare);
  const MemorySource source(AsBytes(bytes));
  SourceStream input(source);
  ZstdStream stream(input, {});
  std::vector<std::byte> buffer(100);
  const auto got = ReadUpTo(stream, buffer);
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, 6u);
  EXPECT_EQ(stream.tally().frames, 2u);
  EXPECT_EQ(stream.tally().without_checksum, 1u);
  EXPECT_EQ(stream.compressed_bytes(), bytes.size());
}

}  // namespace
}  // namespace verify
