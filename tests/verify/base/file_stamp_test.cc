// SPDX-License-Identifier: Apache-2.0
#include "verify/base/file_stamp.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace verify {
namespace {

TEST(FileStampTest, IsThatOfTheOpenFile) {
  tests::TempDir dir;
  const std::string path = dir.Write("a", "abc");
  const std::string link = dir.File("link");
  ASSERT_EQ(::symlink("a", link.c_str()), 0);
  const auto file = ReadOnlyFile::Open(path);
  ASSERT_TRUE(file);
  for (const std::string& name : {path, link}) {
    const auto stamp = StampOf(name);
    ASSERT_TRUE(stamp);
    EXPECT_EQ(stamp->identity, file->identity());
  }
}

// Who writes and sets the time back leaves a trace all the same.
TEST(FileStampTest, TheTimeOfChangeCannotBeSetBack) {
  tests::TempDir dir;
  const std::string path = dir.Write("a", "abc");
  const auto before = StampOf(path);
  ASSERT_TRUE(before);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  const timespec times[2] = {info.st_atim, info.st_mtim};
  // The clock of the file system may have to tick first.
  auto after = before;
  while (after && after->ctime_ns == before->ctime_ns) {
    dir.Write("a", "abd");
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    after = StampOf(path);
  }
  ASSERT_TRUE(after);
  EXPECT_EQ(after->identity, before->identity);
  EXPECT_NE(*after, *before);
}

TEST(FileStampTest, RefusesWhatIsNoFile) {
  tests::TempDir dir;
  tests::ExpectError(StampOf(dir.path()), ErrorCode::kIo, "not a regular file");
  tests::ExpectError(StampOf(dir.File("none")), ErrorCode::kNotFound, "none");
}

}  // namespace
}  // namespace verify
