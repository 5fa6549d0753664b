// SPDX-License-Identifier: Apache-2.0
// Frames that are not made by libzstd are put together by hand after RFC 8878.
#include "verify/container/zstd_frames.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/archive_builder.h"
#include "tests/support/byte_builder.h"
#include "tests/support/expect_error.h"

namespace verify {
namespace {

using tests::ByteBuilder;
using tests::ExpectError;
using tests::RawZstdFrame;
using tests::SkippableFrame;
using tests::ZstdBlock;
using tests::ZstdBlockOf;
using tests::ZstdFrameOf;

Result<ZstdSummary> Walk(const std::string& bytes,
                         int window_log = kZstdWindowLog) {
  return WalkZstd(MemorySource(AsBytes(bytes)), window_log);
}

// Window 1 KiB (descriptor 0, window byte 0), one raw block.
std::string SmallFrame() {
  return RawZstdFrame(0, std::string_view("\0", 1),
                      ZstdBlockOf(ZstdBlock::kRaw, 3, "abc", true));
}

TEST(ZstdFramesTest, CountsWhatLibzstdWrote) {
  const std::string text(300'000, 'x');
  tests::ZstdFrameOptions bare;
  bare.checksum = false;
  bare.content_size = false;
  const auto summary = Walk(ZstdFrameOf(text) + SkippableFrame("note") +
                            ZstdFrameOf("more", bare));
  ASSERT_TRUE(summary) << summary.error().ToString();
  EXPECT_EQ(summary->tally.frames, 2u);
  EXPECT_EQ(summary->tally.skippable, 1u);
  EXPECT_EQ(summary->tally.skippable_bytes, 12u);
  EXPECT_EQ(summary->tally.without_checksum, 1u);
  EXPECT_EQ(summary->tally.without_size, 1u);
  EXPECT_EQ(summary->content_bytes, std::nullopt);
  EXPECT_GE(summary->max_content_bytes, 300'004u);
  const auto sized = Walk(ZstdFrameOf(text) + ZstdFrameOf(text));
  ASSERT_TRUE(sized);
  EXPECT_EQ(sized->content_bytes, 600'000u);
}

TEST(ZstdFramesTest, ReadsEveryFormOfTheHeader) {
  const auto start = [](const std::string& bytes) {
    return ParseZstdFrameStart(AsBytes(bytes), 0, kMaxZstdWindowLog);
  };
  const std::string magic = ByteBuilder().U32(kZstdMagic).str();
  // Exponent 10, mantissa 3: 2^20 + 3/8 of it.
  auto frame = start(magic + std::string("\x04\x53", 2));
  ASSERT_TRUE(frame) << frame.error().ToString();
  EXPECT_EQ(frame->window_bytes, (1u << 20) + 3u * (1u << 17));
  EXPECT_TRUE(frame->has_checksum);
  EXPECT_EQ(frame->content_bytes, std::nullopt);
  EXPECT_EQ(frame->header_bytes, 6u);
  // Single segment: a size of 1 byte, which is the window.
  frame = start(magic + "\x20\x07");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->content_bytes, 7u);
  EXPECT_EQ(frame->window_bytes, 7u);
  // 2 bytes count from 256.
  frame = start(magic + std::string("\x60\x01\x00", 3));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->content_bytes, 257u);
  frame = start(ByteBuilder().Text(magic).U8(0xA0).U32(70'000).str());
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->content_bytes, 70'000u);
  frame = start(ByteBuilder().Text(magic).U8(0xE0).U64(1u << 30).str());
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->content_bytes, 1u << 30);
  EXPECT_EQ(frame->header_bytes, 13u);
  // A dictionary of number 0 is none.
  frame = start(magic + std::string("\x21\x00\x07", 3));
  ASSERT_TRUE(frame);
}

TEST(ZstdFramesTest, E1RefusesALargeWindow) {
  // Exponent 21: 2^31.
  const std::string large =
      RawZstdFrame(0, std::string_view("\xa8", 1),
                   ZstdBlockOf(ZstdBlock::kRaw, 3, "abc", true));
  ExpectError(Walk(large), ErrorCode::kLimit, "window of 2.0 GiB",
              "E-ZSTD-WINDOW");
  EXPECT_TRUE(Walk(large, 31));
  // One step above 128 MiB.
  const std::string above =
      RawZstdFrame(0, std::string_view("\x89", 1),
                   ZstdBlockOf(ZstdBlock::kRaw, 3, "abc", true));
  ExpectError(Walk(above), ErrorCode::kLimit, "window", "E-ZSTD-WINDOW");
  const std::string exact =
      RawZstdFrame(0, std::string_view("\x88", 1),
                   ZstdBlockOf(ZstdBlock::kRaw, 3, "abc", true));
  EXPECT_TRUE(Walk(exact));
}

TEST(ZstdFramesTest, E1RefusesASizeThatTheBlocksCannotHold) {
  // Single segment of 200 bytes, one raw block of 3.
  const std::string lying =
      RawZstdFrame(0x20, "\xc8", ZstdBlockOf(ZstdBlock::kRaw, 3, "abc", true));
  ExpectError(Walk(lying), ErrorCode::kCorrupt, "hold at most 3", "E-ZSTD");
}

TEST(ZstdFramesTest, E2RefusesADictionary) {
  ExpectError(Walk(RawZstdFrame(0x21, "\x05\x03",
                                ZstdBlockOf(ZstdBlock::kRaw, 3, "abc", true))),
              ErrorCode::kCorrupt, "dictionary 5", "E-ZSTD-DICTIONARY");
}

TEST(ZstdFramesTest, E2RefusesBytesAfterTheLastFrame) {
  ExpectError(Walk(SmallFrame() + "tail"), ErrorCode::kCorrupt,
              "begin no frame", "E-ZSTD-TRAILING");
  ExpectError(Walk(SmallFrame() + "x"), ErrorCode::kCorrupt, "cut off",
              "E-ZSTD-TRUNCATED");
  ExpectError(Walk("no zstd at all"), ErrorCode::kCorrupt, "begin no frame",
              "E-ZSTD-TRAILING");
}

TEST(ZstdFramesTest, E2RefusesEveryTruncation) {
  const std::string frame = ZstdFrameOf(std::string(2000, 'a'));
  const std::string whole = frame + SkippableFrame("12345");
  ASSERT_TRUE(Walk(whole));
  const size_t first = frame.size();
  for (size_t size = 0; size < whole.size(); ++size) {
    if (size == first) continue;  // a whole frame
    EXPECT_FALSE(Walk(whole.substr(0, size))) << size;
  }
}

TEST(ZstdFramesTest, E2RefusesAFloodOfSkippableFrames) {
  std::string flood = SmallFrame();
  for (int i = 0; i < 65; ++i) flood += SkippableFrame("");
  EXPECT_TRUE(Walk(flood));
  flood += SkippableFrame("");
  ExpectError(Walk(flood), ErrorCode::kLimit, "flood", "E-ZSTD");
  // One beside each frame of data, as pzstd writes them, is no flood.
  std::string pairs;
  for (int i = 0; i < 300; ++i) pairs += SkippableFrame("1234") + SmallFrame();
  EXPECT_TRUE(Walk(pairs));
}

TEST(ZstdFramesTest, RefusesBlocksThatCannotBe) {
  const auto frame = [](const std::string& blocks) {
    return RawZstdFrame(0, std::string_view("\0", 1), blocks);
  };
  ExpectError(Walk(frame(ZstdBlockOf(ZstdBlock::kReserved, 0, "", true))),
              ErrorCode::kCorrupt, "reserved kind");
  // Beyond the window of 1 KiB.
  ExpectError(Walk(frame(ZstdBlockOf(ZstdBlock::kRepeated, 1025, "x", true))),
              ErrorCode::kCorrupt, "at most 1024");
  ExpectError(Walk(RawZstdFrame(0x08, std::string_view("\0", 1), "")),
              ErrorCode::kCorrupt, "reserved bit");
  ExpectError(Walk(SkippableFrame("only")), ErrorCode::kCorrupt,
              "no frame of data");
  ExpectError(Walk(""), ErrorCode::kCorrupt, "no frame of data");
}

TEST(ZstdFramesTest, VisitsFramesInOrder) {
  const std::string one = SmallFrame();
  const std::string bytes = one + SkippableFrame("note") + one;
  std::vector<uint64_t> offsets;
  std::vector<uint64_t> sizes;
  const auto summary = WalkZstd(MemorySource(AsBytes(bytes)), kZstdWindowLog,
                                [&](const ZstdFrame& frame) -> Result<void> {
                                  offsets.push_back(frame.offset);
                                  sizes.push_back(frame.compressed_bytes);
                                  return {};
                                });
  ASSERT_TRUE(summary);
  EXPECT_EQ(offsets, (std::vector<uint64_t>{0, 12, 24}));
  EXPECT_EQ(sizes, (std::vector<uint64_t>{12, 12, 12}));
  EXPECT_EQ(summary->max_content_bytes, 6u);
}

}  // namespace
}  // namespace verify
