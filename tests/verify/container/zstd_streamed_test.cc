// SPDX-License-Identifier: Apache-2.0
#include "verify/container/zstd_streamed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/archive_builder.h"
#include "tests/support/expect_error.h"
#include "tests/support/test_random.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::SkippableFrame;
using tests::ZstdFrameOf;

// What is kept at the least.
constexpr uint64_t kLeast = 1u << 20;

std::string Numbers(size_t size) {
  tests::TestRandom random(7);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>('a' + random.NextU32() % 4);
  return out;
}

std::string TextAt(const StreamedZstd& content, uint64_t offset, size_t size) {
  std::vector<std::byte> out(size);
  const auto read = content.ReadAt(offset, out);
  EXPECT_TRUE(read) << offset << ": " << read.error().ToString();
  return std::string(AsText(out));
}

std::vector<std::string> Forms(const std::string& text) {
  const std::string_view view = text;
  return {ZstdFrameOf(text), ZstdFrameOf(text, {.content_size = false}),
          ZstdFrameOf(view.substr(0, 1'000'000)) + SkippableFrame("x") +
              ZstdFrameOf("") +
              ZstdFrameOf(view.substr(1'000'000), {.content_size = false})};
}

TEST(StreamedZstdTest, ReadsForwardInOneRun) {
  const std::string text = Numbers(5'000'000);
  for (const std::string& bytes : Forms(text)) {
    const MemorySource file(AsBytes(bytes));
    const auto content = StreamedZstd::Open(file, {}, 0);
    ASSERT_TRUE(content) << content.error().ToString();
    EXPECT_EQ((*content)->size(), text.size());
    for (size_t at = 0; at < text.size(); at += 300'000) {
      const size_t size = std::min<size_t>(200'000, text.size() - at);
      EXPECT_EQ(TextAt(**content, at, size), text.substr(at, size)) << at;
    }
    // Of what was passed the last MiB is still there.
    EXPECT_EQ(TextAt(**content, text.size() - kLeast, 100),
              text.substr(text.size() - kLeast, 100));
    EXPECT_EQ((*content)->num_starts(), 1u);
  }
}

TEST(StreamedZstdTest, BeginsAnewForWhatIsNoLongerThere) {
  const std::string text = Numbers(3'000'000);
  for (const std::string& bytes : Forms(text)) {
    const MemorySource file(AsBytes(bytes));
    const auto small = StreamedZstd::Open(file, {}, 0);
    const auto large = StreamedZstd::Open(file, {}, text.size());
    ASSERT_TRUE(small && large);
    for (const size_t at : {2'900'000u, 10u, 2'000'000u, 0u, 1u}) {
      EXPECT_EQ(TextAt(**small, at, 1000), text.substr(at, 1000)) << at;
      EXPECT_EQ(TextAt(**large, at, 1000), text.substr(at, 1000)) << at;
    }
    EXPECT_EQ((*small)->num_starts(), 3u);
    EXPECT_EQ((*large)->num_starts(), 1u);
    // More at once than is kept.
    EXPECT_EQ(TextAt(**small, 0, text.size()), text);
    EXPECT_EQ(TextAt(**small, text.size(), 0), "");
  }
}

TEST(StreamedZstdTest, ReadsFromSeveralThreads) {
  const std::string text = Numbers(3'000'000);
  const std::string bytes = ZstdFrameOf(text);
  const MemorySource file(AsBytes(bytes));
  const auto content = StreamedZstd::Open(file, {}, text.size());
  ASSERT_TRUE(content);
  std::vector<std::jthread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 20; ++i) {
        const size_t at = (i * 331'331 + t * 97'001) % 2'900'000;
        EXPECT_EQ(TextAt(**content, at, 5000), text.substr(at, 5000));
      }
    });
  }
}

TEST(StreamedZstdTest, SaysWhatIsWrongAndTriesAgain) {
  const std::string text = Numbers(2'000'000);
  const std::string good = ZstdFrameOf(text);
  const MemorySource cut(AsBytes(std::string_view(good).substr(0, 10'000)));
  ExpectError(StreamedZstd::Open(cut, {}, 0), ErrorCode::kCorrupt, "zstd",
              "E-ZSTD-TRUNCATED");
  std::string flipped = good;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  const MemorySource file(AsBytes(flipped));
  const auto content = StreamedZstd::Open(file, {}, 0);
  ASSERT_TRUE(content) << content.error().ToString();
  std::vector<std::byte> out(text.size());
  for (int i = 0; i < 2; ++i) {
    ExpectError((*content)->ReadAt(0, out), ErrorCode::kCorrupt, "checksum",
                "E-ZSTD-CHECKSUM");
  }
  EXPECT_EQ(TextAt(**content, 0, 1000), text.substr(0, 1000));
  std::vector<std::byte> beyond(2);
  ExpectError((*content)->ReadAt(text.size() - 1, beyond), ErrorCode::kCorrupt,
              "truncated");
}

TEST(StreamedZstdTest, E1RefusesABomb) {
  const std::string bytes = ZstdFrameOf(std::string(80u << 20, '\0'));
  const MemorySource file(AsBytes(bytes));
  ExpectError(StreamedZstd::Open(file, {}, 0), ErrorCode::kLimit,
              "weights do not shrink like that", "E-ARCHIVE-BOMB");
}

}  // namespace
}  // namespace verify
