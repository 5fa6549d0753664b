// SPDX-License-Identifier: Apache-2.0
// Item 8 of the rules of places: nothing is read or written outside of the
// folder, whatever lies in it.
#include "verify/base/confined_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace verify {
namespace {

namespace fs = std::filesystem;
using tests::ExpectError;
using tests::TempDir;

// A folder "in" with a file, and "out" beside it, with links to "out" in "in".
struct Scene {
  Scene() {
    temp.Write("in/plain", "inside");
    temp.Write("in/sub/deep", "deep");
    temp.Write("out/secret", "outside");
    fs::create_directory_symlink(temp.File("out"), temp.File("in/folder_link"));
    fs::create_symlink(temp.File("out/secret"), temp.File("in/file_link"));
    fs::create_symlink("plain", temp.File("in/inner_link"));
    fs::create_symlink("loop", temp.File("in/loop"));
    fs::create_symlink("../out/made", temp.File("in/dangling"));
  }
  TempDir temp;
};

using Opener = std::function<int(int, std::string_view, int, mode_t)>;

// The kernel's own way and the one for kernels that have none.
const Opener kOpeners[] = {
    [](int folder, std::string_view path, int flags, mode_t mode) {
      return OpenBeneath(folder, path, flags, mode);
    },
    [](int folder, std::string_view path, int flags, mode_t mode) {
      return internal::OpenBeneathByParts(folder, path, flags, mode);
    },
};

TEST(ConfinedFolderTest, OpensWhatLiesBeneath) {
  const Scene scene;
  const auto folder = ConfinedFolder::Open(scene.temp.File("in"));
  ASSERT_TRUE(folder) << folder.error().ToString();
  for (const Opener& open : kOpeners) {
    for (const char* path : {"plain", "sub/deep", "./plain", "sub//deep"}) {
      const UniqueFd fd(open(folder->fd(), path, O_RDONLY, 0));
      EXPECT_TRUE(fd.valid()) << path;
    }
  }
  const auto file = folder->OpenFile("sub/deep");
  ASSERT_TRUE(file) << file.error().ToString();
  EXPECT_EQ(file->size(), 4u);
}

// Cases E4, F10.
TEST(ConfinedFolderTest, LeadsNowhereElse) {
  const Scene scene;
  const auto folder = ConfinedFolder::Open(scene.temp.File("in"));
  ASSERT_TRUE(folder);
  const std::string absolute = scene.temp.File("out/secret");
  for (const Opener& open : kOpeners) {
    for (const std::string& path :
         {std::string("../out/secret"), std::string("sub/../../out/secret"),
          std::string(".."), absolute, std::string("file_link"),
          std::string("folder_link/secret"), std::string("inner_link"),
          std::string("loop"), std::string("plain/x"), std::string(""),
          std::string("pl\0ain", 6)}) {
      const UniqueFd fd(open(folder->fd(), path, O_RDONLY, 0));
      EXPECT_FALSE(fd.valid()) << path;
    }
  }
  ExpectError(folder->OpenFile("file_link"), ErrorCode::kIo, "symbolic link",
              "E-SYMLINK");
  ExpectError(folder->OpenFile("../out/secret"), ErrorCode::kIo, "way out",
              "E-SYMLINK");
  ExpectError(folder->OpenFile("absent"), ErrorCode::kNotFound, "absent");
}

TEST(ConfinedFolderTest, NeverWritesThroughALink) {
  const Scene scene;
  const auto folder = ConfinedFolder::Open(scene.temp.File("in"));
  ASSERT_TRUE(folder);
  for (const Opener& open : kOpeners) {
    for (const char* path : {"file_link", "folder_link/made", "dangling"}) {
      const UniqueFd fd(
          open(folder->fd(), path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
      EXPECT_FALSE(fd.valid()) << path;
    }
  }
  ExpectError(folder->CreateFile("folder_link/made"), ErrorCode::kIo, "",
              "E-SYMLINK");
  ExpectError(folder->CreateFile("folder_link/a/made"), ErrorCode::kIo, "",
              "E-SYMLINK");
  ExpectError(folder->MakeFolder("folder_link/made"), ErrorCode::kIo, "",
              "E-SYMLINK");
  ExpectError(folder->CreateFile("dangling"), ErrorCode::kIo, "");
  EXPECT_EQ(tests::ReadFile(scene.temp.File("out/secret")), "outside");
  size_t in_out = 0;
  for ([[maybe_unused]] const auto& entry :
       fs::directory_iterator(scene.temp.File("out"))) {
    ++in_out;
  }
  EXPECT_EQ(in_out, 1u);
}

TEST(ConfinedFolderTest, NeverOverwrites) {
  const Scene scene;
  const auto folder = ConfinedFolder::Open(scene.temp.File("in"));
  ASSERT_TRUE(folder);
  ExpectError(folder->CreateFile("plain"), ErrorCode::kIo, "already",
              "E-EXISTS");
  ExpectError(folder->CreateFile("sub"), ErrorCode::kIo, "already", "E-EXISTS");
  EXPECT_EQ(tests::ReadFile(scene.temp.File("in/plain")), "inside");
  ExpectError(folder->CreateFile("plain/below"), ErrorCode::kIo, "",
              "E-SYMLINK");
}

TEST(ConfinedFolderTest, MakesFilesAndFoldersThatOnlyTheUserCanRead) {
  const Scene scene;
  const auto folder = ConfinedFolder::Open(scene.temp.File("in"));
  ASSERT_TRUE(folder);
  {
    const auto fd = folder->CreateFile("a/b/made");
    ASSERT_TRUE(fd) << fd.error().ToString();
    ASSERT_TRUE(WriteAll(fd->get(), AsBytes("text"), "made"));
  }
  EXPECT_EQ(tests::ReadFile(scene.temp.File("in/a/b/made")), "text");
  const auto mode = [&](const char* name) {
    return fs::status(scene.temp.File(name)).permissions();
  };
  EXPECT_EQ(mode("in/a/b/made"),
            fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(mode("in/a/b"), fs::perms::owner_all);
  EXPECT_TRUE(folder->MakeFolder("a/b"));
  EXPECT_TRUE(folder->MakeFolder("c/d"));
  EXPECT_TRUE(fs::is_directory(scene.temp.File("in/c/d")));
}

TEST(ConfinedFolderTest, PrivateFolderIsFreshAndClosed) {
  const TempDir temp;
  const mode_t before = ::umask(0);
  const auto folder = ConfinedFolder::MakePrivate(temp.File("work"));
  ::umask(before);
  ASSERT_TRUE(folder) << folder.error().ToString();
  EXPECT_EQ(fs::status(temp.File("work")).permissions(), fs::perms::owner_all);
  ExpectError(ConfinedFolder::MakePrivate(temp.File("work")), ErrorCode::kIo,
              "already", "E-EXISTS");
  fs::create_directory_symlink(temp.File("work"), temp.File("link"));
  ExpectError(ConfinedFolder::MakePrivate(temp.File("link")), ErrorCode::kIo,
              "already", "E-EXISTS");
}

// The folder is replaced by a link after it was opened: nothing goes there.
TEST(ConfinedFolderTest, FollowsNoLinkThatTakesTheFoldersPlace) {
  const Scene scene;
  const auto folder = ConfinedFolder::MakePrivate(scene.temp.File("work"));
  ASSERT_TRUE(folder);
  fs::rename(scene.temp.File("work"), scene.temp.File("moved"));
  fs::create_directory_symlink(scene.temp.File("out"), scene.temp.File("work"));
  ASSERT_TRUE(folder->CreateFile("file"));
  EXPECT_TRUE(fs::exists(scene.temp.File("moved/file")));
  EXPECT_FALSE(fs::exists(scene.temp.File("out/file")));
}

TEST(ConfinedFolderTest, RefusesWhatIsNoRegularFile) {
  const Scene scene;
  ASSERT_EQ(::mkfifo(scene.temp.File("in/pipe").c_str(), 0600), 0);
  const auto folder = ConfinedFolder::Open(scene.temp.File("in"));
  ASSERT_TRUE(folder);
  ExpectError(folder->OpenFile("pipe"), ErrorCode::kIo, "not a regular file");
  ExpectError(folder->OpenFile("sub"), ErrorCode::kIo, "not a regular file");
}

}  // namespace
}  // namespace verify
