// SPDX-License-Identifier: Apache-2.0
#include "verify/container/zstd_seekable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/archive_builder.h"
#include "tests/support/expect_error.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::SeekableOf;
using tests::SeekTableOptions;
using tests::SkippableFrame;
using tests::ZstdFrameOf;

std::string Text(size_t size) {
  std::string out;
  for (size_t i = 0; out.size() < size; ++i) out += std::to_string(i * i);
  out.resize(size);
  return out;
}

Result<SeekTable> Table(const std::string& bytes) {
  return ReadSeekTable(MemorySource(AsBytes(bytes)));
}

Result<std::string> ReadAll(const std::string& bytes) {
  const MemorySource source(AsBytes(bytes));
  ASSIGN_OR_RETURN(const auto seekable,
                   SeekableZstd::Open(source, kZstdWindowLog));
  std::vector<std::byte> out(static_cast<size_t>(seekable->size()));
  RETURN_IF_ERROR(seekable->ReadAt(0, out));
  return std::string(AsText(out));
}

Result<ZstdSummary> Check(const std::string& bytes) {
  const MemorySource source(AsBytes(bytes));
  ASSIGN_OR_RETURN(const SeekTable table, ReadSeekTable(source));
  return CheckSeekTable(source, table, kZstdWindowLog);
}

TEST(SeekableZstdTest, ReadsAnyRangeAcrossFrames) {
  const std::string text = Text(1000);
  for (const bool checksums : {true, false}) {
    SeekTableOptions options;
    options.checksums = checksums;
    const std::string bytes = SeekableOf(text, 64, options);
    const MemorySource source(AsBytes(bytes));
    const auto seekable = SeekableZstd::Open(source, kZstdWindowLog);
    ASSERT_TRUE(seekable) << seekable.error().ToString();
    EXPECT_EQ((*seekable)->table().num_frames(), 16u);
    EXPECT_EQ((*seekable)->size(), 1000u);
    for (size_t begin = 0; begin <= text.size(); begin += 13) {
      for (const size_t size :
           {size_t{0}, size_t{1}, size_t{64}, size_t{300}}) {
        if (begin + size > text.size()) continue;
        std::vector<std::byte> out(size);
        ASSERT_TRUE((*seekable)->ReadAt(begin, out));
        EXPECT_EQ(AsText(out), std::string_view(text).substr(begin, size));
      }
    }
    std::vector<std::byte> beyond(2);
    ExpectError((*seekable)->ReadAt(999, beyond), ErrorCode::kCorrupt,
                "truncated");
    EXPECT_TRUE(Check(bytes));
  }
}

TEST(SeekableZstdTest, ReadsFromSeveralThreads) {
  const std::string text = Text(4000);
  const std::string bytes = SeekableOf(text, 100);
  const MemorySource source(AsBytes(bytes));
  const auto seekable = SeekableZstd::Open(source, kZstdWindowLog);
  ASSERT_TRUE(seekable);
  std::vector<std::jthread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::byte> out(150);
      for (size_t i = 0; i < 50; ++i) {
        const size_t at = (i * 331 + t * 97) % (text.size() - out.size());
        ASSERT_TRUE((*seekable)->ReadAt(at, out));
        ASSERT_EQ(AsText(out), std::string_view(text).substr(at, 150));
      }
    });
  }
}

// A file that counts what is read of it.
class CountingSource final : public ByteSource {
 public:
  explicit CountingSource(ByteSpan bytes) : source_(bytes) {}
  std::string_view name() const override { return source_.name(); }
  uint64_t size() const override { return source_.size(); }
  Result<void> ReadAt(uint64_t offset,
                      std::span<std::byte> out) const override {
    ++reads_;
    return source_.ReadAt(offset, out);
  }
  int reads() const { return reads_; }

 private:
  MemorySource source_;
  mutable std::atomic<int> reads_{0};
};

TEST(SeekableZstdTest, KeepsTheFramesThatWereReadLast) {
  const std::string text = Text(1000);
  const std::string bytes = SeekableOf(text, 100);
  const CountingSource source(AsBytes(bytes));
  const auto seekable = SeekableZstd::Open(source, kZstdWindowLog, 300);
  ASSERT_TRUE(seekable);
  std::vector<std::byte> out(1);
  const auto reads_of = [&](size_t frame) {
    const int before = source.reads();
    EXPECT_TRUE((*seekable)->ReadAt(frame * 100 + 5, out));
    EXPECT_EQ(AsText(out), text.substr(frame * 100 + 5, 1));
    return source.reads() - before;
  };
  for (const size_t frame : {0u, 1u, 2u})
    EXPECT_EQ(reads_of(frame), 1) << frame;
  for (const size_t frame : {0u, 2u, 1u, 0u})
    EXPECT_EQ(reads_of(frame), 0) << frame;
  EXPECT_EQ(reads_of(3), 1);  // in the place of 2
  EXPECT_EQ(reads_of(1), 0);
  EXPECT_EQ(reads_of(0), 0);
  EXPECT_EQ(reads_of(2), 1);
}

TEST(SeekableZstdTest, AFrameThatIsBadIsReadAgain) {
  std::string bytes = SeekableOf(Text(300), 100);
  bytes[20] = static_cast<char>(bytes[20] ^ 1);  // in the first frame
  const CountingSource source(AsBytes(bytes));
  const auto seekable = SeekableZstd::Open(source, kZstdWindowLog, 1000);
  ASSERT_TRUE(seekable);
  std::vector<std::byte> out(1);
  EXPECT_FALSE((*seekable)->ReadAt(0, out));
  const int before = source.reads();
  EXPECT_FALSE((*seekable)->ReadAt(0, out));
  EXPECT_GT(source.reads(), before);
  EXPECT_TRUE((*seekable)->ReadAt(150, out));
}

TEST(SeekableZstdTest, TellsWhetherThereIsATable) {
  const auto has = [](const std::string& bytes) {
    const auto result = HasSeekTable(MemorySource(AsBytes(bytes)));
    return result.has_value() && *result;
  };
  EXPECT_TRUE(has(SeekableOf(Text(100), 50)));
  EXPECT_FALSE(has(ZstdFrameOf("plain")));
  EXPECT_FALSE(has(""));
}

TEST(SeekableZstdTest, E3RefusesMoreFramesThanTheFileHasRoomFor) {
  SeekTableOptions options;
  options.count = 0xFFFFFFFF;
  ExpectError(Table(SeekableOf(Text(100), 50, options)), ErrorCode::kCorrupt,
              "4294967295 frames do not fit", "E-SEEK-TABLE");
}

TEST(SeekableZstdTest, E3RefusesSizesThatDisagree) {
  SeekTableOptions count;
  count.count = 1;
  ExpectError(Table(SeekableOf(Text(100), 50, count)), ErrorCode::kCorrupt,
              "no frame of 21 bytes", "E-SEEK-TABLE");
  SeekTableOptions size;
  size.frame_bytes = 34;
  ExpectError(Table(SeekableOf(Text(100), 50, size)), ErrorCode::kCorrupt,
              "no frame of 33 bytes", "E-SEEK-TABLE");
}

TEST(SeekableZstdTest, E3RefusesReservedBits) {
  for (const int bit : {2, 3, 4, 5, 6}) {
    SeekTableOptions options;
    options.descriptor_bits = static_cast<uint8_t>(1 << bit);
    ExpectError(Table(SeekableOf(Text(100), 50, options)), ErrorCode::kCorrupt,
                "reserved bit", "E-SEEK-TABLE");
  }
  // The lowest two are free for writers.
  SeekTableOptions unused;
  unused.descriptor_bits = 3;
  EXPECT_TRUE(Table(SeekableOf(Text(100), 50, unused)));
}

TEST(SeekableZstdTest, E3RefusesSumsThatDisagree) {
  const std::string a = ZstdFrameOf("first");
  const auto of = [&](uint32_t compressed, uint32_t content) {
    SeekTableOptions options;
    options.sizes = {{compressed, content}};
    return SeekableOf({{a, "first"}, {a, "first"}}, options);
  };
  const auto size = static_cast<uint32_t>(a.size());
  EXPECT_TRUE(Table(of(size, 5)));
  ExpectError(Table(of(size - 1, 5)), ErrorCode::kCorrupt, "add up to",
              "E-SEEK-TABLE");
  ExpectError(Table(of(size + 1, 5)), ErrorCode::kCorrupt,
              "reaches into the table", "E-SEEK-TABLE");
  ExpectError(Table(of(0xFFFFFFFF, 5)), ErrorCode::kCorrupt,
              "reaches into the table", "E-SEEK-TABLE");
}

// The sums are right, the frames lie elsewhere.
TEST(SeekableZstdTest, E3RefusesFramesThatOverlapOrHoldSomethingElse) {
  const std::string a = ZstdFrameOf("first");
  const auto size = static_cast<uint32_t>(a.size());
  SeekTableOptions shifted;
  shifted.sizes = {{size - 2, 5}, {size + 2, 5}};
  const std::string overlap = SeekableOf({{a, "first"}, {a, "first"}}, shifted);
  ASSERT_TRUE(Table(overlap));
  ExpectError(Check(overlap), ErrorCode::kCorrupt, "frame 0", "E-SEEK-TABLE");
  EXPECT_FALSE(ReadAll(overlap));
  for (const uint32_t content : {4u, 6u, 0xFFFFu}) {
    SeekTableOptions lying;
    lying.sizes = {{size, content}};
    const std::string bytes = SeekableOf({{a, "first"}}, lying);
    ExpectError(Check(bytes), ErrorCode::kCorrupt, "not as the table says",
                "E-SEEK-TABLE");
    ExpectError(ReadAll(bytes), ErrorCode::kCorrupt, "not as the table says",
                "E-SEEK-TABLE");
  }
  // Two frames as one entry.
  SeekTableOptions joined;
  joined.sizes = {{2 * size, 10}};
  const std::string two = SeekableOf({{a + a, "firstfirst"}}, joined);
  ExpectError(Check(two), ErrorCode::kCorrupt, "frame 0", "E-SEEK-TABLE");
  EXPECT_FALSE(ReadAll(two));
}

// What the table hides from those who read by it would be there for others.
TEST(SeekableZstdTest, E3RefusesContentInAFrameListedAsEmpty) {
  tests::ZstdFrameOptions bare;
  bare.content_size = false;
  const std::string empty = ZstdFrameOf("");
  for (const std::string& hidden :
       {ZstdFrameOf("hidden"), ZstdFrameOf("hidden", bare)}) {
    SeekTableOptions lying;
    lying.sizes = {{static_cast<uint32_t>(hidden.size()), 0}};
    ExpectError(ReadAll(SeekableOf({{hidden, ""}}, lying)), ErrorCode::kCorrupt,
                "frame 0 is not as the table says", "E-SEEK-TABLE");
  }
  const auto all = ReadAll(SeekableOf({{empty, ""}, {ZstdFrameOf("a"), "a"}}));
  ASSERT_TRUE(all) << all.error().ToString();
  EXPECT_EQ(*all, "a");
}

// Frames that do not say their size, so that only their content tells.
TEST(SeekableZstdTest, E3FindsAWrongContentSizeWhenItReads) {
  tests::ZstdFrameOptions bare;
  bare.content_size = false;
  const std::string a = ZstdFrameOf("first", bare);
  for (const uint32_t content : {4u, 6u}) {
    SeekTableOptions lying;
    lying.sizes = {{static_cast<uint32_t>(a.size()), content}};
    ExpectError(ReadAll(SeekableOf({{a, "first"}}, lying)), ErrorCode::kCorrupt,
                "not as the table says", "E-SEEK-TABLE");
  }
}

TEST(SeekableZstdTest, E3FindsAWrongChecksum) {
  SeekTableOptions options;
  options.checksum = 1;
  ExpectError(ReadAll(SeekableOf(Text(100), 50, options)), ErrorCode::kCorrupt,
              "checksum in the seek table", "E-ZSTD-CHECKSUM");
}

TEST(SeekableZstdTest, E3RefusesFramesTooLargeToReadAtRandom) {
  SeekTableOptions options;
  options.sizes = {{0, 0xFFFFFFFF}};
  const std::string a = ZstdFrameOf("first");
  options.sizes[0].first = static_cast<uint32_t>(a.size());
  ExpectError(ReadAll(SeekableOf({{a, "first"}}, options)),
              ErrorCode::kUnsupported, "can be read at random", "E-SEEK-TABLE");
}

TEST(SeekableZstdTest, E3RefusesEveryTruncation) {
  const std::string whole = SeekableOf(Text(200), 50);
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    EXPECT_FALSE(Table(cut)) << size;
  }
  EXPECT_FALSE(Table(whole + "x"));
}

}  // namespace
}  // namespace verify
