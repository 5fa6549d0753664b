// SPDX-License-Identifier: Apache-2.0
#include "p2p/work_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace tests {
namespace {

namespace fs = std::filesystem;
using p2p::WorkFolder;
using verify::ErrorCode;

TEST(WorkFolderTest, IsMadePrivate) {
  const TempDir temp;
  const auto folder = WorkFolder::Open(temp.File("a/b/work/"));
  ASSERT_TRUE(folder) << folder.error().ToString();
  EXPECT_EQ(folder->path(), temp.File("a/b/work"));
  EXPECT_EQ(fs::status(folder->path()).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(folder->data_path()).permissions(),
            fs::perms::owner_all);
}

TEST(WorkFolderTest, ClosesAFolderThatOthersCouldEnter) {
  const TempDir temp;
  fs::create_directory(temp.File("work"));
  ASSERT_EQ(::chmod(temp.File("work").c_str(), 0777), 0);
  ASSERT_TRUE(WorkFolder::Open(temp.File("work")));
  EXPECT_EQ(fs::status(temp.File("work")).permissions(), fs::perms::owner_all);
}

// Case F11.
TEST(WorkFolderTest, IsHeldByOneAtATime) {
  const TempDir temp;
  {
    const auto first = WorkFolder::Open(temp.File("work"));
    ASSERT_TRUE(first);
    const auto second = WorkFolder::Open(temp.File("work"));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kBusy);
    EXPECT_EQ(second.error().id, "E-LOCKED");
  }
  // A lock file that was left behind locks nobody out.
  EXPECT_TRUE(fs::exists(temp.File("work/lock")));
  EXPECT_TRUE(WorkFolder::Open(temp.File("work")));
}

TEST(WorkFolderTest, RemembersAnUncleanRun) {
  const TempDir temp;
  {
    auto folder = WorkFolder::Open(temp.File("work"));
    ASSERT_TRUE(folder);
    EXPECT_FALSE(folder->unclean());
    ASSERT_TRUE(folder->MarkDirty());
  }
  {
    auto folder = WorkFolder::Open(temp.File("work"));
    ASSERT_TRUE(folder);
    EXPECT_TRUE(folder->unclean());
    ASSERT_TRUE(folder->MarkDirty());
    ASSERT_TRUE(folder->MarkClean());
  }
  EXPECT_FALSE(WorkFolder::Open(temp.File("work"))->unclean());
}

// Case F10.
TEST(WorkFolderTest, RefusesLinksInItsPlace) {
  const TempDir temp;
  fs::create_directory(temp.File("elsewhere"));
  fs::create_symlink(temp.File("elsewhere"), temp.File("work"));
  const auto linked = WorkFolder::Open(temp.File("work"));
  ASSERT_FALSE(linked);
  EXPECT_EQ(linked.error().id, "E-SYMLINK");

  fs::create_directory(temp.File("work2"));
  fs::create_symlink(temp.File("elsewhere"), temp.File("work2/data"));
  const auto data = WorkFolder::Open(temp.File("work2"));
  ASSERT_FALSE(data);
  EXPECT_EQ(data.error().id, "E-SYMLINK");

  fs::create_directory(temp.File("work3"));
  temp.Write("victim", "precious");
  fs::create_symlink(temp.File("victim"), temp.File("work3/lock"));
  const auto lock = WorkFolder::Open(temp.File("work3"));
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().id, "E-SYMLINK");
  EXPECT_EQ(ReadFile(temp.File("victim")), "precious");
  EXPECT_TRUE(fs::is_empty(temp.File("elsewhere")));
}

// Case F8.
TEST(WorkFolderTest, RefusesAFile) {
  const TempDir temp;
  temp.Write("work", "a file");
  const auto folder = WorkFolder::Open(temp.File("work"));
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, ErrorCode::kIo);
  EXPECT_EQ(ReadFile(temp.File("work")), "a file");
}

// Case F10.
TEST(WorkFolderTest, RefusesLinksAndPipesInThePayload) {
  const TempDir temp;
  const auto folder = WorkFolder::Open(temp.File("work"));
  ASSERT_TRUE(folder);
  temp.Write("work/data/x/y/file", "fine");
  EXPECT_TRUE(folder->CheckPayloadTree());
  ASSERT_EQ(::mkfifo(temp.File("work/data/x/pipe").c_str(), 0600), 0);
  const auto pipe = folder->CheckPayloadTree();
  ASSERT_FALSE(pipe);
  EXPECT_EQ(pipe.error().id, "E-SYMLINK");
  fs::remove(temp.File("work/data/x/pipe"));
  fs::create_directory_symlink("/", temp.File("work/data/x/y/root"));
  EXPECT_FALSE(folder->CheckPayloadTree());
}

}  // namespace
}  // namespace tests
