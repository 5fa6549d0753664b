// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/source_pages.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "verify/base/file.h"

namespace inference {
namespace {

using verify::ByteSpan;
using verify::MappedFile;

class SourcePagesTest : public testing::Test {
 protected:
  SourcePagesTest()
      : path_(dir_.Write("file", std::string(kPages * page_, 'x'))),
        map_(*MappedFile::Open(path_)) {}

  static constexpr size_t kPages = 8;
  const size_t page_ = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const tests::TempDir dir_;
  const std::string path_;
  const MappedFile map_;
};

TEST_F(SourcePagesTest, KnowsMapsOfFilesFromOtherMemory) {
  const SourcePages pages;
  EXPECT_TRUE(pages.IsMappedFile(map_.bytes()));
  EXPECT_TRUE(pages.IsMappedFile(map_.bytes().subspan(100, 5000)));
  std::vector<std::byte> heap(1 << 20);
  EXPECT_FALSE(pages.IsMappedFile(heap));
  const std::byte on_stack{};
  EXPECT_FALSE(pages.IsMappedFile({&on_stack, 1}));
}

// What is given back must read as before: a file's bytes from the file, others
// because they are left alone.
TEST_F(SourcePagesTest, ChangesNoBytes) {
  const SourcePages pages;
  std::vector<std::byte> heap(1 << 20, std::byte{7});
  for (const ByteSpan bytes : {map_.bytes(), ByteSpan(heap)}) {
    const std::vector<std::byte> before(bytes.begin(), bytes.end());
    pages.WillNeed(bytes);
    EXPECT_TRUE(pages.Load(bytes));
    pages.Drop(bytes);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), bytes.begin()));
  }
}

TEST_F(SourcePagesTest, TellsOfAFileThatBecameShorter) {
  const SourcePages pages;
  ASSERT_TRUE(pages.Load(map_.bytes()));
  ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(3 * page_)), 0);
  EXPECT_TRUE(pages.Load(map_.bytes().first(3 * page_)));
  const auto result = pages.Load(map_.bytes());
  if (result) GTEST_SKIP() << "this kernel cannot load pages at once";
  EXPECT_EQ(result.error().id, "E-CHANGED");
}

}  // namespace
}  // namespace inference
