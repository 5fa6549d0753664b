// SPDX-License-Identifier: Apache-2.0
// Downloads that are killed, or that run out of disk, in a process of their
// own, and what the next run makes of what they left.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "p2p/download.h"
#include "tests/support/loopback_swarm.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"

namespace tests {
namespace {

using verify::CancelToken;
using verify::StrCat;

constexpr size_t kPiece = 64 << 10;

TestTorrent BigTorrent() {
  return MakeV1Torrent("big",
                       {{"a.bin", NoiseBytes(3'500'000, 11)},
                        {"b/c.bin", NoiseBytes(2'500'001, 12)},
                        {"params.json", "{}"}},
                       kPiece);
}

// A helper process and the lines it prints.
class Helper {
 public:
  explicit Helper(std::vector<std::string> arguments) {
    std::string program = LODESTONE_DOWNLOAD_HELPER;
    std::vector<char*> argv = {program.data()};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    EXPECT_EQ(
        ::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ),
        0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    out_ = ::fdopen(ends[0], "r");
  }
  ~Helper() {
    if (pid_ > 0) Kill();
    std::fclose(out_);
  }

  // The next line without its end; empty at the end of output.
  std::string ReadLine() {
    char line[256];
    if (std::fgets(line, sizeof(line), out_) == nullptr) return "";
    return std::string(verify::TrimAscii(line));
  }
  // Reads until "done N" with N >= bytes; the last N seen.
  uint64_t WaitForBytes(uint64_t bytes) {
    uint64_t done = 0;
    for (std::string line = ReadLine(); !line.empty(); line = ReadLine()) {
      if (line.rfind("end ", 0) == 0) break;
      if (line.rfind("done ", 0) == 0) done = std::stoull(line.substr(5));
      if (done >= bytes) break;
    }
    return done;
  }
  std::string WaitForEnd() {
    std::string line = ReadLine();
    while (!line.empty() && line.rfind("end ", 0) != 0) line = ReadLine();
    return line;
  }
  void Kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  std::FILE* out_ = nullptr;
};

// Case F4.
TEST(CrashTest, KilledDownloadResumesToTheSameBytes) {
  const TempDir temp;
  const TestTorrent torrent = BigTorrent();
  WritePayload(torrent, temp.File("source"));
  temp.Write("x.torrent", verify::AsText(torrent.torrent));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  const std::string work = temp.File("work");
  const std::string port = std::to_string(seeder.port());
  // Killed when a share of the payload is here, in per cent; the run after
  // goes on from there. A limit lets what it saved up in the first seconds come
  // at once: it is low enough that this is not all.
  uint64_t done = 0;
  for (const uint64_t share : {0u, 12u, 30u, 55u}) {
    Helper helper({temp.File("x.torrent"), work, port, "1000000"});
    done = helper.WaitForBytes(torrent.total_bytes() * share / 100);
    helper.Kill();
    if (done > 0) {
      EXPECT_TRUE(std::filesystem::exists(work + "/unclean"));
    }
  }
  ASSERT_GT(done, torrent.total_bytes() / 2);
  RecordingSink sink;
  const auto outcome = p2p::Download(FetchOptions(torrent, work, seeder.port()),
                                     CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
  EXPECT_TRUE(sink.HasNotice("RECHECK"));
  // What had passed its hash and was reported is not fetched again; blocks
  // that were on their way to the disk may be.
  ASSERT_EQ(sink.plans().size(), 1u);
  EXPECT_GE(sink.plans()[0].resume_bytes + 16 * kPiece, done);
  EXPECT_LE(outcome->downloaded_bytes,
            torrent.total_bytes() - sink.plans()[0].resume_bytes);
}

// Cases F12 and F13.
TEST(CrashTest, FileSizeLimitIsAnErrorAndTheNextRunGoesOn) {
  const TempDir temp;
  const TestTorrent torrent = BigTorrent();
  WritePayload(torrent, temp.File("source"));
  temp.Write("x.torrent", verify::AsText(torrent.torrent));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  const std::string work = temp.File("work");
  {
    Helper helper({temp.File("x.torrent"), work, std::to_string(seeder.port()),
                   "0", "2000000"});
    EXPECT_EQ(helper.WaitForEnd(), "end E-DISK-FULL");
  }
  RecordingSink sink;
  const auto outcome = p2p::Download(FetchOptions(torrent, work, seeder.port()),
                                     CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
}

// A file system of its own, which a test may fill; unmounted at the end.
class SmallDisk {
 public:
  SmallDisk(const std::string& path, const char* options) : path_(path) {
    std::filesystem::create_directory(path);
    mounted_ = ::mount("tmpfs", path.c_str(), "tmpfs", 0, options) == 0;
  }
  ~SmallDisk() {
    if (mounted_) {
      EXPECT_EQ(::umount(path_.c_str()), 0);
    }
  }
  bool mounted() const { return mounted_; }

 private:
  std::string path_;
  bool mounted_ = false;
};

// Case F1.
TEST(CrashTest, DiskThatFillsUpIsAnErrorAndTheNextRunGoesOn) {
  const TempDir temp;
  const SmallDisk disk(temp.File("disk"), "size=10m");
  if (!disk.mounted()) {
    GTEST_SKIP() << "mounting needs a privilege that this process lacks";
  }
  const TestTorrent torrent = BigTorrent();
  WritePayload(torrent, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  const std::string work = temp.File("disk/work");
  auto options = FetchOptions(torrent, work, seeder.port());
  options.session.down_bytes_per_s = 3'000'000;
  RecordingSink sink;
  bool filled = false;
  sink.on_progress = [&](const p2p::TransferProgress& progress) {
    if (filled || progress.done_bytes < 1'000'000) return;
    filled = true;
    std::ofstream filler(temp.File("disk/filler"), std::ios::binary);
    const std::string block(64 << 10, 'x');
    while (filler.write(block.data(), 64 << 10).flush()) {
    }
  };
  const auto full = p2p::Download(options, CancelToken(), sink);
  ASSERT_TRUE(filled);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, verify::ErrorCode::kIo);
  EXPECT_EQ(full.error().id, "E-DISK-FULL") << full.error().ToString();

  std::filesystem::remove(temp.File("disk/filler"));
  options.session.down_bytes_per_s = 0;
  RecordingSink again;
  const auto outcome = p2p::Download(options, CancelToken(), again);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
  ASSERT_EQ(again.plans().size(), 1u);
  EXPECT_GE(again.plans()[0].resume_bytes, 900'000u);
}

// Case F1; A19.
TEST(CrashTest, SpaceIsCheckedBeforeTheFirstByte) {
  const TempDir temp;
  const SmallDisk disk(temp.File("small"), "size=2m");
  if (!disk.mounted()) {
    GTEST_SKIP() << "mounting needs a privilege that this process lacks";
  }
  const TestTorrent torrent = BigTorrent();
  auto options = FetchOptions(torrent, temp.File("small/work"), 0);
  options.torrent = torrent.torrent;
  RecordingSink sink;
  const auto outcome = p2p::Download(options, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, verify::ErrorCode::kIo);
  EXPECT_EQ(outcome.error().id, "E-DISK-FULL");
  // 6,000,003 bytes and a twentieth.
  EXPECT_NE(outcome.error().message.find("6300003 bytes needed"),
            std::string::npos)
      << outcome.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(temp.File("small/work/data")));
}

}  // namespace
}  // namespace tests
