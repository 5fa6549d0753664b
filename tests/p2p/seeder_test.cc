// SPDX-License-Identifier: Apache-2.0
// Many torrents in one session on the loopback device.
#include "p2p/seeder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/support/loopback_swarm.h"
#include "tests/support/temp_dir.h"

namespace tests {
namespace {

using verify::CancelToken;
using verify::ErrorCode;

constexpr size_t kPiece = 32 << 10;

TestTorrent Torrent(const std::string& name, uint32_t seed) {
  return MakeV1Torrent(name, {{"a.bin", NoiseBytes(100'000, seed)}}, kPiece);
}

p2p::SeedItem Item(const TestTorrent& torrent, const std::string& folder) {
  p2p::SeedItem item;
  item.torrent = torrent.torrent;
  item.save_folder = folder;
  return item;
}

// Polls on a thread of its own while others fetch.
class Poller {
 public:
  explicit Poller(p2p::Seeder& seeder)
      : thread_([this, &seeder] {
          while (!stop_.load()) seeder.Poll(std::chrono::milliseconds(50));
        }) {}
  ~Poller() { Stop(); }
  void Stop() {
    stop_.store(true);
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

bool Fetch(const TestTorrent& torrent, const std::string& work, uint16_t port,
           double stall_s = 20) {
  auto fetch = FetchOptions(torrent, work, port);
  fetch.stall_timeout_s = stall_s;
  fetch.metadata_timeout_s = stall_s;
  RecordingSink sink;
  const auto outcome = p2p::Download(fetch, CancelToken(), sink);
  return outcome && DescribeDifference(torrent, outcome->payload_path).empty();
}

TEST(SeederTest, OneSessionServesSeveralAndKeepsTheirBytesApart) {
  const TempDir temp;
  RecordingSink sink;
  auto seeder = p2p::Seeder::Open(LoopbackSettings(), sink);
  ASSERT_TRUE(seeder) << seeder.error().ToString();
  const TestTorrent one = Torrent("one", 1);
  const TestTorrent two = Torrent("two", 2);
  WritePayload(one, temp.path());
  WritePayload(two, temp.path());
  ASSERT_TRUE((*seeder)->Add(Item(one, temp.path())));
  ASSERT_TRUE((*seeder)->Add(Item(two, temp.path())));
  Poller poller(**seeder);
  EXPECT_TRUE(Fetch(one, temp.File("w1"), (*seeder)->port()));
  EXPECT_TRUE(Fetch(two, temp.File("w2"), (*seeder)->port()));
  poller.Stop();
  (*seeder)->Refresh();
  for (const p2p::SeedStatus& status : (*seeder)->Statuses()) {
    EXPECT_GE(status.uploaded_bytes, 100'000u);
    EXPECT_LT(status.uploaded_bytes, 200'000u);
  }
}

TEST(SeederTest, F17WrongBytesStopOneTorrentAndTheOthersGoOn) {
  const TempDir temp;
  RecordingSink sink;
  auto seeder = p2p::Seeder::Open(LoopbackSettings(), sink);
  ASSERT_TRUE(seeder);
  const TestTorrent good = Torrent("good", 3);
  const TestTorrent bad = Torrent("bad", 4);
  TestTorrent rotten = bad;
  for (size_t i = 0; i < 100'000; i += 100) rotten.files[0].content[i] ^= 1;
  WritePayload(good, temp.path());
  WritePayload(rotten, temp.path());
  ASSERT_TRUE((*seeder)->Add(Item(good, temp.path())));
  ASSERT_TRUE((*seeder)->Add(Item(bad, temp.path())));
  Poller poller(**seeder);
  EXPECT_FALSE(Fetch(bad, temp.File("w1"), (*seeder)->port(), 2));
  EXPECT_TRUE(Fetch(good, temp.File("w2"), (*seeder)->port()));
  poller.Stop();
  const auto statuses = (*seeder)->Statuses();
  ASSERT_EQ(statuses.size(), 2u);
  EXPECT_EQ(statuses[0].state, p2p::SeedState::kServing);
  ASSERT_EQ(statuses[1].state, p2p::SeedState::kFailed);
  EXPECT_EQ(statuses[1].error->id, "E-SEED-CHANGED");
  EXPECT_EQ(DescribeDifference(rotten, temp.File("bad")), "");
}

TEST(SeederTest, APausedOneServesNobodyUntilItGoesOn) {
  const TempDir temp;
  RecordingSink sink;
  auto seeder = p2p::Seeder::Open(LoopbackSettings(), sink);
  ASSERT_TRUE(seeder);
  const TestTorrent torrent = Torrent("one", 5);
  WritePayload(torrent, temp.path());
  p2p::SeedItem item = Item(torrent, temp.path());
  item.paused = true;
  const auto key = (*seeder)->Add(item);
  ASSERT_TRUE(key);
  {
    Poller poller(**seeder);
    EXPECT_FALSE(Fetch(torrent, temp.File("w1"), (*seeder)->port(), 1));
  }
  EXPECT_TRUE((*seeder)->SetPaused(*key, false));
  EXPECT_FALSE((*seeder)->SetPaused("no such key", false));
  Poller poller(**seeder);
  EXPECT_TRUE(Fetch(torrent, temp.File("w1"), (*seeder)->port()));
}

TEST(SeederTest, RefusesTheSameTwiceAndTakesItAgainAfterRemoval) {
  const TempDir temp;
  RecordingSink sink;
  auto seeder = p2p::Seeder::Open(LoopbackSettings(), sink);
  ASSERT_TRUE(seeder);
  const TestTorrent torrent = Torrent("one", 6);
  WritePayload(torrent, temp.path());
  const auto key = (*seeder)->Add(Item(torrent, temp.path()));
  ASSERT_TRUE(key);
  const auto again = (*seeder)->Add(Item(torrent, temp.path()));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kBusy);
  EXPECT_TRUE((*seeder)->Remove(*key));
  EXPECT_FALSE((*seeder)->Remove(*key));
  EXPECT_TRUE((*seeder)->Statuses().empty());
  EXPECT_TRUE((*seeder)->Add(Item(torrent, temp.path())));
  EXPECT_EQ(DescribeDifference(torrent, temp.File("one")), "");
}

// 192.0.2.0/24 is for documentation (RFC 5737): nobody answers there.
TEST(SeederTest, F5StopsFiftyWithAnUnreachableTrackerWithinFiveSeconds) {
  const TempDir temp;
  RecordingSink sink;
  p2p::SessionSettings settings = LoopbackSettings();
  settings.trackers = {"http://192.0.2.1:6969/announce",
                       "udp://192.0.2.1:6969/announce"};
  auto seeder = p2p::Seeder::Open(settings, sink);
  ASSERT_TRUE(seeder);
  for (uint32_t i = 0; i < 50; ++i) {
    const TestTorrent torrent = Torrent("t" + std::to_string(i), 100 + i);
    WritePayload(torrent, temp.path());
    ASSERT_TRUE((*seeder)->Add(Item(torrent, temp.path())));
  }
  (*seeder)->Poll(std::chrono::milliseconds(200));
  const auto start = std::chrono::steady_clock::now();
  (*seeder)->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace tests
