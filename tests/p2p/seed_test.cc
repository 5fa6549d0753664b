// SPDX-License-Identifier: Apache-2.0
// Seeding on the loopback device: limits, names, and files that changed.
#include "p2p/seed.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/loopback_swarm.h"
#include "tests/support/temp_dir.h"

namespace tests {
namespace {

namespace fs = std::filesystem;
using verify::CancelToken;
using verify::ErrorCode;

constexpr size_t kPiece = 32 << 10;

TestTorrent SmallTorrent() {
  return MakeV1Torrent(
      "model", {{"a.bin", NoiseBytes(300'000, 21)}, {"d/b", "bee"}}, kPiece);
}

TEST(SeedTest, ServesFolderOfAnotherName) {
  const TempDir temp;
  const TestTorrent torrent = SmallTorrent();
  WritePayload(torrent, temp.path());
  fs::rename(temp.File("model"), temp.File("verified model"));
  auto serve = ServeOptions(torrent, temp.path());
  serve.payload_name = "verified model";
  SeedThread seeder(serve);
  RecordingSink sink;
  const auto outcome =
      p2p::Download(FetchOptions(torrent, temp.File("work"), seeder.port()),
                    CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->payload_path, temp.File("work/data/model"));
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
}

TEST(SeedTest, ServesFileOfAnotherName) {
  const TempDir temp;
  const TestTorrent torrent =
      MakeV1Torrent("weights.bin", {{"", NoiseBytes(200'000, 22)}}, kPiece);
  WritePayload(torrent, temp.path());
  fs::rename(temp.File("weights.bin"), temp.File("renamed.bin"));
  auto serve = ServeOptions(torrent, temp.path());
  serve.payload_name = "renamed.bin";
  SeedThread seeder(serve);
  RecordingSink sink;
  const auto outcome =
      p2p::Download(FetchOptions(torrent, temp.File("work"), seeder.port()),
                    CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
}

TEST(SeedTest, StopsAtRatio) {
  const TempDir temp;
  const TestTorrent torrent = SmallTorrent();
  WritePayload(torrent, temp.path());
  auto serve = ServeOptions(torrent, temp.path());
  serve.max_ratio = 1.0;
  SeedThread seeder(serve);
  RecordingSink sink;
  ASSERT_TRUE(
      p2p::Download(FetchOptions(torrent, temp.File("work"), seeder.port()),
                    CancelToken(), sink));
  const auto outcome = seeder.Join();
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_GE(outcome->uploaded_bytes, torrent.total_bytes());
}

TEST(SeedTest, StopsAfterTime) {
  const TempDir temp;
  const TestTorrent torrent = SmallTorrent();
  WritePayload(torrent, temp.path());
  auto serve = ServeOptions(torrent, temp.path());
  serve.max_time_s = 0.2;
  RecordingSink sink;
  const auto outcome = p2p::Seed(serve, CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->uploaded_bytes, 0u);
  EXPECT_EQ(sink.last_progress().stage, p2p::TransferStage::kSeed);
}

TEST(SeedTest, RefusesFileOfWrongSize) {
  const TempDir temp;
  const TestTorrent torrent = SmallTorrent();
  WritePayload(torrent, temp.path());
  fs::resize_file(temp.File("model/a.bin"), 299'999);
  RecordingSink sink;
  const auto outcome =
      p2p::Seed(ServeOptions(torrent, temp.path()), CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kMismatch);
  EXPECT_NE(outcome.error().message.find("300000 bytes expected"),
            std::string::npos);
}

TEST(SeedTest, RefusesMissingFile) {
  const TempDir temp;
  RecordingSink sink;
  const auto outcome =
      p2p::Seed(ServeOptions(SmallTorrent(), temp.path()), CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(temp.File("model")));
}

TEST(SeedTest, StopsWhenBytesChangedAndLeavesThemAlone) {
  const TempDir temp;
  const TestTorrent torrent = SmallTorrent();
  TestTorrent damaged = torrent;
  for (size_t i = 0; i < damaged.files[0].content.size(); i += 100) {
    damaged.files[0].content[i] ^= 1;
  }
  WritePayload(damaged, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  auto fetch = FetchOptions(torrent, temp.File("work"), seeder.port());
  fetch.stall_timeout_s = 2;
  RecordingSink sink;
  ASSERT_FALSE(p2p::Download(fetch, CancelToken(), sink));
  const auto outcome = seeder.Join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(outcome.error().id, "E-SEED-CHANGED");
  EXPECT_EQ(DescribeDifference(damaged, temp.File("source/model")), "");
}

TEST(SeedTest, SaysThatPortIsTaken) {
  const TempDir temp;
  const TestTorrent torrent = SmallTorrent();
  WritePayload(torrent, temp.path());
  SeedThread first(ServeOptions(torrent, temp.path()));
  auto serve = ServeOptions(torrent, temp.path());
  serve.session.port = first.port();
  RecordingSink sink;
  const auto outcome = p2p::Seed(serve, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kBusy);
  EXPECT_EQ(outcome.error().id, "E-PORT");
}

TEST(SeedTest, LinkedLibraryIsTheOneWeKnow) {
  EXPECT_EQ(p2p::LibtorrentVersion().rfind("2.", 0), 0u);
}

}  // namespace
}  // namespace tests
