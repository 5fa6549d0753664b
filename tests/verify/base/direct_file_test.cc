// SPDX-License-Identifier: Apache-2.0
#include "verify/base/direct_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "tests/support/content.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::Content;

// Opens both ways; nothing where the file system of the tests cannot.
std::optional<DirectFile> OpenDirect(const ReadOnlyFile& file) {
  auto direct = DirectFile::Open(file);
  if (direct) return std::move(*direct);
  EXPECT_EQ(direct.error().code, ErrorCode::kUnsupported)
      << direct.error().ToString();
  return std::nullopt;
}

TEST(DirectFileTest, ReadsWholePagesAndTheRest) {
  tests::TempDir dir;
  const std::string content = Content(3 * 4096 + 1234, 1);
  const auto file = ReadOnlyFile::Open(dir.Write("a", content));
  ASSERT_TRUE(file);
  const auto direct = OpenDirect(*file);
  if (!direct.has_value()) GTEST_SKIP() << "no O_DIRECT here";
  const AlignedBuffer buffer(16'384);
  for (const size_t offset : {0u, 4096u, 12'288u}) {
    for (const size_t size : {1u, 1234u, 4096u, 5000u, 13'522u}) {
      if (offset + size > content.size()) continue;
      const auto out = buffer.bytes().first(size);
      ASSERT_TRUE(DirectFile::Fits(offset, out));
      ASSERT_TRUE(direct->ReadAt(offset, out)) << offset << " " << size;
      EXPECT_EQ(AsText(out), content.substr(offset, size));
    }
  }
}

TEST(DirectFileTest, FitsAlignedPlacesOnly) {
  const AlignedBuffer buffer(8192);
  EXPECT_TRUE(DirectFile::Fits(8192, buffer.bytes()));
  EXPECT_FALSE(DirectFile::Fits(512, buffer.bytes()));
  EXPECT_FALSE(DirectFile::Fits(0, buffer.bytes().subspan(8)));
  EXPECT_TRUE(AlignedBuffer().empty());
}

TEST(DirectFileTest, TruncationIsAnError) {
  tests::TempDir dir;
  const std::string path = dir.Write("a", Content(20'000, 2));
  const auto file = ReadOnlyFile::Open(path);
  ASSERT_TRUE(file);
  const auto direct = OpenDirect(*file);
  if (!direct.has_value()) GTEST_SKIP() << "no O_DIRECT here";
  ASSERT_EQ(::truncate(path.c_str(), 5000), 0);
  const AlignedBuffer buffer(20'000);
  tests::ExpectError(direct->ReadAt(0, buffer.bytes()), ErrorCode::kCorrupt,
                     "truncated");
}

TEST(DirectFileTest, AnotherFileInItsPlaceIsNotOpened) {
  tests::TempDir dir;
  const std::string path = dir.Write("a", "abc");
  const auto file = ReadOnlyFile::Open(path);
  ASSERT_TRUE(file);
  ASSERT_EQ(std::rename(dir.Write("b", "abc").c_str(), path.c_str()), 0);
  const auto direct = DirectFile::Open(*file);
  if (!direct && direct.error().code == ErrorCode::kUnsupported) {
    GTEST_SKIP() << "no O_DIRECT here";
  }
  tests::ExpectError(direct, ErrorCode::kIo, "changed while it was opened");
}

}  // namespace
}  // namespace verify
