// SPDX-License-Identifier: Apache-2.0
#include "cli/state/state_db.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/temp_dir.h"
#include "verify/base/file.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

StateDb Open(const std::string& path, std::string* warning = nullptr) {
  std::string said;
  auto state = StateDb::Open(path, said);
  EXPECT_TRUE(state) << state.error().ToString();
  if (warning != nullptr) *warning = said;
  return std::move(*state);
}

ModelRecord Model(const std::string& name, const std::string& path) {
  ModelRecord model;
  model.name = name;
  model.path = path;
  model.key = std::string(40, 'a');
  model.hash_v1 = "0123456789" + std::string(30, 'a');
  model.size_bytes = 94'489'280'512;  // 88 GiB: past 32 bits
  return model;
}

class StateDbTest : public testing::Test {
 protected:
  tests::TempDir dir_;
  const std::string path_ = dir_.File("state/state.sqlite");
};

TEST_F(StateDbTest, RemembersModelsAcrossRunsInAPrivateFolder) {
  {
    StateDb state = Open(path_);
    ModelRecord model = Model("mixtral", "/m/mixtral");
    model.fetched_s = 1'700'000'000;
    ASSERT_TRUE(state.PutModel(model));
  }
  struct stat info {};
  ASSERT_EQ(::stat(dir_.File("state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0700u);
  StateDb state = Open(path_);
  const auto found = state.FindModel("mixtral");
  ASSERT_TRUE(found && found->has_value());
  EXPECT_EQ((*found)->size_bytes, 94'489'280'512u);
  EXPECT_EQ((*found)->fetched_s, 1'700'000'000);
  EXPECT_FALSE((*found)->published_s.has_value());
}

TEST_F(StateDbTest, UpdateKeepsWhatItDoesNotKnow) {
  StateDb state = Open(path_);
  ModelRecord model = Model("m", "/m");
  model.licence = "Apache-2.0";
  model.fetched_s = 5;
  ASSERT_TRUE(state.PutModel(model));
  ModelRecord later = Model("another name", "/m");
  later.level = "pieces";
  later.published_s = 7;
  const auto name = state.PutModel(later);
  ASSERT_TRUE(name);
  EXPECT_EQ(*name, "m");
  const auto found = state.FindModel("m");
  ASSERT_TRUE(found && found->has_value());
  EXPECT_EQ((*found)->licence, "Apache-2.0");
  EXPECT_EQ((*found)->level, "pieces");
  EXPECT_EQ((*found)->fetched_s, 5);
  EXPECT_EQ((*found)->published_s, 7);
}

TEST_F(StateDbTest, NamesAreUniqueAndHashPrefixesFind) {
  StateDb state = Open(path_);
  ASSERT_TRUE(state.PutModel(Model("m", "/a/m")));
  ModelRecord other = Model("m", "/b/m");
  other.hash_v1 = "fedcba98" + std::string(32, '0');
  const auto name = state.PutModel(other);
  ASSERT_TRUE(name);
  EXPECT_EQ(*name, "m-2");
  EXPECT_EQ((*state.FindModel("m-2"))->path, "/b/m");
  EXPECT_EQ((*state.FindModel("FEDCBA98"))->path, "/b/m");
  EXPECT_EQ((*state.FindModel("/a/m/"))->name, "m");
  EXPECT_FALSE(state.FindModel("fedcba9")->has_value());  // too short
  EXPECT_FALSE(state.FindModel("m-3")->has_value());
}

TEST_F(StateDbTest, AFileCountsOnlyAsItWas) {
  StateDb state = Open(path_);
  VerifiedFile file;
  file.path = "/m/weights";
  // An inode with its top bit set survives the signed column.
  file.identity = {.device = 1,
                   .inode = 0x8000000000000001u,
                   .size_bytes = 10,
                   .mtime_ns = 123};
  ASSERT_TRUE(state.PutVerified({file}, "torrent:k", "pieces", 1));
  EXPECT_TRUE(*state.AllVerified({file}, "torrent:k"));
  EXPECT_FALSE(*state.AllVerified({file}, "torrent:other"));
  for (int change = 0; change < 4; ++change) {
    VerifiedFile changed = file;
    if (change == 0) changed.identity.device = 2;
    if (change == 1) changed.identity.inode = 3;
    if (change == 2) changed.identity.size_bytes = 11;
    if (change == 3) changed.identity.mtime_ns = 124;
    EXPECT_FALSE(*state.AllVerified({changed}, "torrent:k")) << change;
  }
  VerifiedFile unknown = file;
  unknown.path = "/m/other";
  EXPECT_FALSE(*state.AllVerified({file, unknown}, "torrent:k"));
  ASSERT_TRUE(state.ForgetVerified({file}));
  EXPECT_FALSE(*state.AllVerified({file}, "torrent:k"));
}

TEST_F(StateDbTest, RemovingForgetsWhatIsBelowAndNothingBeside) {
  StateDb state = Open(path_);
  ASSERT_TRUE(state.PutModel(Model("m", "/x/m")));
  VerifiedFile inside{"/x/m/w", {1, 2, 3, 4}};
  VerifiedFile beside{"/x/m2/w", {1, 2, 3, 4}};
  ASSERT_TRUE(state.PutVerified({inside, beside}, "d", "pieces", 1));
  SeedRecord seed;
  seed.path = "/x/m";
  seed.wanted = true;
  ASSERT_TRUE(state.PutSeeds({seed}));
  ASSERT_TRUE(state.RemoveModel("/x/m"));
  EXPECT_TRUE(state.Models()->empty());
  EXPECT_TRUE(state.Seeds()->empty());
  EXPECT_FALSE(*state.AllVerified({inside}, "d"));
  EXPECT_TRUE(*state.AllVerified({beside}, "d"));
}

TEST_F(StateDbTest, KeepsSeedClocks) {
  SeedRecord seed;
  seed.path = "/m";
  seed.uploaded_bytes = 1'234'567'890'123;
  seed.seed_seconds = 86'400.25;
  seed.policy = "ratio=2";
  seed.paused = true;
  ASSERT_TRUE(Open(path_).PutSeeds({seed}));
  const auto found = Open(path_).FindSeed("/m");
  ASSERT_TRUE(found && found->has_value());
  EXPECT_EQ((*found)->uploaded_bytes, 1'234'567'890'123u);
  EXPECT_EQ((*found)->seed_seconds, 86'400.25);
  EXPECT_EQ((*found)->policy, "ratio=2");
  EXPECT_TRUE((*found)->paused);
  EXPECT_FALSE((*found)->last_complete_s.has_value());
}

TEST_F(StateDbTest, F6GarbageAndTruncationAreSetAsideAndRebuilt) {
  for (const bool garbage : {true, false}) {
    ASSERT_TRUE(Open(path_).PutModel(Model("m", "/m")));
    // The last to close it leaves no log behind: the file holds everything.
    if (garbage) {
      const std::string junk(8192, 'x');
      ASSERT_TRUE(verify::WriteFileAtomically(path_, verify::AsBytes(junk)));
    } else {
      fs::resize_file(path_, 5000);
    }
    std::string warning;
    StateDb state = Open(path_, &warning);
    EXPECT_NE(warning.find("set aside"), std::string::npos) << warning;
    EXPECT_TRUE(state.Models()->empty());
    EXPECT_TRUE(state.PutModel(Model("n", "/n")));
  }
  EXPECT_TRUE(fs::exists(path_ + ".set-aside-1"));
  EXPECT_TRUE(fs::exists(path_ + ".set-aside-2"));
}

TEST_F(StateDbTest, F6FutureVersionIsSetAside) {
  ASSERT_TRUE(Open(path_).PutModel(Model("m", "/m")));
  {
    auto raw = SqliteDatabase::Open(path_);
    ASSERT_TRUE(raw);
    ASSERT_TRUE(raw->Execute("PRAGMA user_version=99"));
  }
  std::string warning;
  StateDb state = Open(path_, &warning);
  EXPECT_NE(warning.find("version 99"), std::string::npos) << warning;
  EXPECT_TRUE(state.Models()->empty());
}

TEST_F(StateDbTest, F10LinkInPlaceOfTheFileIsRefused) {
  fs::create_directories(dir_.File("state"));
  dir_.Write("target", "");
  fs::create_symlink(dir_.File("target"), path_);
  std::string warning;
  EXPECT_FALSE(StateDb::Open(path_, warning));
  EXPECT_EQ(fs::file_size(dir_.File("target")), 0u);
}

// A writer that is killed at any moment leaves whole transactions: both of two
// counters that are written together are the same, and at least as high as
// what the writer had said to be stored.
TEST_F(StateDbTest, F4SurvivesKillsWhileItWrites) {
  uint64_t stored = 0;
  for (int round = 0; round < 20; ++round) {
    int pipe_fds[2];
    ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      std::string warning;
      auto state = StateDb::Open(path_, warning);
      for (uint64_t i = stored + 1; state && warning.empty(); ++i) {
        SeedRecord a;
        a.path = "/a";
        a.uploaded_bytes = i;
        SeedRecord b = a;
        b.path = "/b";
        if (!state->PutSeeds({a, b})) break;
        if (::write(pipe_fds[1], &i, sizeof(i)) != sizeof(i)) break;
      }
      ::_exit(1);
    }
    ::close(pipe_fds[1]);
    // Kill it after another number of writes each round.
    for (int i = 0; i <= round; ++i) {
      uint64_t value = 0;
      ASSERT_EQ(::read(pipe_fds[0], &value, sizeof(value)),
                static_cast<ssize_t>(sizeof(value)));
      stored = value;
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    uint64_t value = 0;
    while (::read(pipe_fds[0], &value, sizeof(value)) ==
           static_cast<ssize_t>(sizeof(value))) {
      stored = value;
    }
    ::close(pipe_fds[0]);
    std::string warning;
    const auto seeds = Open(path_, &warning).Seeds();
    EXPECT_EQ(warning, "");
    ASSERT_TRUE(seeds);
    ASSERT_EQ(seeds->size(), 2u);
    EXPECT_EQ((*seeds)[0].uploaded_bytes, (*seeds)[1].uploaded_bytes);
    EXPECT_GE((*seeds)[0].uploaded_bytes, stored);
  }
}

}  // namespace
}  // namespace cli
