// SPDX-License-Identifier: Apache-2.0
// Downloads between real sessions on the loopback device.
#include "p2p/download.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "p2p/work_folder.h"
#include "tests/support/loopback_swarm.h"
#include "tests/support/temp_dir.h"
#include "verify/base/file.h"

namespace tests {
namespace {

namespace fs = std::filesystem;
using p2p::Download;
using verify::CancelToken;
using verify::ErrorCode;

constexpr size_t kPiece = 64 << 10;

// Shapes that matter: an empty file, one smaller than a piece, one of exactly
// a piece, a large one, folders.
TestTorrent ModelTorrent(size_t weight_bytes = 3'000'001) {
  return MakeV1Torrent("tiny-model",
                       {{"RELEASE", "notes\n"},
                        {"empty.txt", ""},
                        {"sub/dir/params.json", NoiseBytes(kPiece, 7)},
                        {"sub/weights.bin", NoiseBytes(weight_bytes, 1)},
                        {"tokenizer.model", NoiseBytes(1234, 2)}},
                       kPiece);
}

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

// A socket on loopback that accepts and says nothing.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_.get(), generic, size), 0);
    EXPECT_EQ(::listen(socket_.get(), 8), 0);
    EXPECT_EQ(::getsockname(socket_.get(), generic, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  uint16_t port() const { return port_; }

 private:
  verify::UniqueFd socket_;
  uint16_t port_ = 0;
};

TEST(DownloadTest, FetchesFolderFromMagnetAlone) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  WritePayload(torrent, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  RecordingSink sink;
  const auto outcome =
      Download(FetchOptions(torrent, temp.File("work"), seeder.port()),
               CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->payload_path, temp.File("work/data/tiny-model"));
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
  EXPECT_EQ(outcome->downloaded_bytes, torrent.total_bytes());
  EXPECT_EQ(outcome->wasted_bytes, 0u);
  EXPECT_EQ(outcome->metainfo.info_hashes, torrent.magnet.info_hashes);
  // The info dictionary came from the peer and is kept as it was.
  EXPECT_EQ(outcome->torrent, torrent.torrent);
  ASSERT_EQ(sink.plans().size(), 1u);
  EXPECT_EQ(sink.plans()[0].total_bytes, torrent.total_bytes());
  EXPECT_EQ(sink.plans()[0].files.size(), 5u);
  EXPECT_EQ(sink.plans()[0].resume_bytes, 0u);
  EXPECT_EQ(sink.last_progress().done_bytes, torrent.total_bytes());
  // One port, though the metadata came by a session of its own.
  ASSERT_EQ(sink.endpoints().size(), 1u);
  EXPECT_EQ(sink.endpoints()[0].rfind("127.0.0.1:", 0), 0u);
  const auto seeded = seeder.Stop();
  ASSERT_TRUE(seeded) << seeded.error().ToString();
  EXPECT_GE(seeded->uploaded_bytes, torrent.total_bytes());
}

TEST(DownloadTest, FetchesSingleFileFromTorrent) {
  const TempDir temp;
  const TestTorrent torrent =
      MakeV1Torrent("weights.bin", {{"", NoiseBytes(500'000, 3)}}, kPiece);
  WritePayload(torrent, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  auto options = FetchOptions(torrent, temp.File("work"), seeder.port());
  options.magnet = {};
  options.torrent = torrent.torrent;
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
}

TEST(DownloadTest, FetchesHybridFromMagnetAlone) {
  const TempDir temp;
  const TestTorrent torrent =
      MakeHybridTorrent(temp.File("source"), "hybrid",
                        {{"a.safetensors", NoiseBytes(700'000, 4)},
                         {"b.safetensors", NoiseBytes(300'000, 5)}},
                        static_cast<int>(kPiece));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  RecordingSink sink;
  const auto outcome =
      Download(FetchOptions(torrent, temp.File("work"), seeder.port()),
               CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
  EXPECT_EQ(outcome->metainfo.info_hashes, torrent.magnet.info_hashes);
  // With the hash layers, which are no part of what the magnet names.
  const auto parsed = p2p::ParseMetainfo(outcome->torrent);
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(parsed->info_hashes, torrent.magnet.info_hashes);
}

TEST(DownloadTest, StateInWorkFolderIsPrivateAndAtRest) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  WritePayload(torrent, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  RecordingSink sink;
  const auto options = FetchOptions(torrent, temp.File("work"), seeder.port());
  ASSERT_TRUE(Download(options, CancelToken(), sink));
  EXPECT_EQ(fs::status(temp.File("work")).permissions(), fs::perms::owner_all);
  EXPECT_TRUE(fs::exists(temp.File("work/state")));
  EXPECT_FALSE(fs::exists(temp.File("work/unclean")));
  // A second run finds all of it without asking anybody.
  ASSERT_TRUE(seeder.Stop());
  RecordingSink again;
  const auto outcome = Download(options, CancelToken(), again);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->downloaded_bytes, 0u);
  EXPECT_TRUE(again.endpoints().empty());
  EXPECT_FALSE(again.HasNotice("RECHECK"));
}

TEST(DownloadTest, ResumesAfterCancelWithoutFetchingTwice) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent(6'000'000);
  WritePayload(torrent, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  auto options = FetchOptions(torrent, temp.File("work"), seeder.port());
  options.session.down_bytes_per_s = 3'000'000;
  CancelToken cancel;
  RecordingSink sink;
  sink.on_progress = [&](const p2p::TransferProgress& progress) {
    if (progress.done_bytes > torrent.total_bytes() / 4) cancel.Cancel();
  };
  const auto first = Download(options, cancel, sink);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(fs::exists(temp.File("work/unclean")));
  const uint64_t done = sink.last_progress().done_bytes;

  options.session.down_bytes_per_s = 0;
  RecordingSink again;
  const auto second = Download(options, CancelToken(), again);
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent, second->payload_path), "");
  EXPECT_FALSE(again.HasNotice("RECHECK"));
  ASSERT_EQ(again.plans().size(), 1u);
  EXPECT_GE(again.plans()[0].resume_bytes, done);
  EXPECT_LE(second->downloaded_bytes, torrent.total_bytes() - done);
}

TEST(DownloadTest, F7ChecksFilesThatChangedBetweenRuns) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  WritePayload(torrent, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  const auto options = FetchOptions(torrent, temp.File("work"), seeder.port());
  RecordingSink sink;
  const auto first = Download(options, CancelToken(), sink);
  ASSERT_TRUE(first) << first.error().ToString();
  {
    std::fstream file(first->payload_path + "/sub/weights.bin",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1'000'000);
    file << "damage";
  }
  fs::remove(first->payload_path + "/RELEASE");
  RecordingSink again;
  const auto second = Download(options, CancelToken(), again);
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_TRUE(again.HasNotice("RECHECK"));
  EXPECT_EQ(DescribeDifference(torrent, second->payload_path), "");
  EXPECT_GT(second->downloaded_bytes, 0u);
  // Two pieces: the damaged one, and the first, which RELEASE is part of.
  EXPECT_LE(second->downloaded_bytes, 2 * kPiece);
}

TEST(DownloadTest, F6IgnoresStateThatDoesNotRead) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  WritePayload(torrent, temp.File("source"));
  SeedThread seeder(ServeOptions(torrent, temp.File("source")));
  const auto options = FetchOptions(torrent, temp.File("work"), seeder.port());
  RecordingSink sink;
  ASSERT_TRUE(Download(options, CancelToken(), sink));
  temp.Write("work/state", "garbage");
  temp.Write("work/state.prev", "");
  RecordingSink again;
  const auto outcome = Download(options, CancelToken(), again);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_TRUE(again.HasNotice("STATE_IGNORED"));
  EXPECT_EQ(outcome->downloaded_bytes, 0u);
  // The state is whole again: the next run need not hash.
  RecordingSink third;
  ASSERT_TRUE(Download(options, CancelToken(), third));
  EXPECT_FALSE(third.HasNotice("RECHECK"));
}

TEST(DownloadTest, FindsSeederThatStartsLater) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  WritePayload(torrent, temp.File("source"));
  // A port that was free a moment ago.
  uint16_t port = 0;
  {
    SeedThread scout(ServeOptions(torrent, temp.File("source")));
    port = scout.port();
  }
  std::unique_ptr<SeedThread> seeder;
  RecordingSink sink;
  int reports = 0;
  sink.on_progress = [&](const p2p::TransferProgress&) {
    if (++reports != 4) return;
    auto options = ServeOptions(torrent, temp.File("source"));
    options.session.port = port;
    seeder = std::make_unique<SeedThread>(options);
  };
  const auto outcome = Download(FetchOptions(torrent, temp.File("work"), port),
                                CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
}

TEST(DownloadTest, B2RefusesWrongBytesFromOnlyPeer) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  TestTorrent damaged = torrent;
  for (TestFile& file : damaged.files) {
    for (size_t i = 0; i < file.content.size(); i += 1000) {
      file.content[i] = static_cast<char>(file.content[i] ^ 1);
    }
  }
  WritePayload(damaged, temp.File("source"));
  const LyingSeeder seeder(torrent, temp.File("source"));
  auto options = FetchOptions(torrent, temp.File("work"), 0);
  options.session.peers.emplace_back(LyingSeeder::kAddress, seeder.port());
  options.stall_timeout_s = 2;
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kMismatch)
      << outcome.error().ToString();
  EXPECT_EQ(outcome.error().id, "E-SWARM-CORRUPT");
  EXPECT_TRUE(sink.HasNotice("HASH_FAILED"));
  EXPECT_EQ(sink.last_progress().pieces_done, 0u);
}

TEST(DownloadTest, CompletesFromHonestPeerBesideLiar) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  TestTorrent damaged = torrent;
  for (size_t i = 0; i < damaged.files[3].content.size(); i += kPiece) {
    damaged.files[3].content[i] =
        static_cast<char>(damaged.files[3].content[i] ^ 1);
  }
  WritePayload(damaged, temp.File("bad"));
  WritePayload(torrent, temp.File("good"));
  const LyingSeeder liar(torrent, temp.File("bad"));
  SeedThread seeder(ServeOptions(torrent, temp.File("good")));
  auto options = FetchOptions(torrent, temp.File("work"), seeder.port());
  options.session.peers.emplace_back(LyingSeeder::kAddress, liar.port());
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent, outcome->payload_path), "");
}

TEST(DownloadTest, SaysThatThereAreNoPeers) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  auto options = FetchOptions(torrent, temp.File("work"), 0);
  options.metadata_timeout_s = 1;
  RecordingSink sink;
  const auto start = std::chrono::steady_clock::now();
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kNetwork);
  EXPECT_EQ(outcome.error().id, "E-NO-PEERS");
  EXPECT_NE(outcome.error().message.find("0 peers reached"), std::string::npos)
      << outcome.error().message;
  EXPECT_LT(SecondsSince(start), 5.0);
}

TEST(DownloadTest, SaysThatPayloadDoesNotCome) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  auto options = FetchOptions(torrent, temp.File("work"), 0);
  options.torrent = torrent.torrent;
  options.stall_timeout_s = 1;
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kNetwork);
  EXPECT_EQ(outcome.error().id, "E-NO-PEERS");
}

TEST(DownloadTest, A20SaysThatPeersHaveNoMetadata) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  // A peer that looks for the metadata itself.
  CancelToken stop_peer;
  RecordingSink peer_sink;
  std::thread peer([&] {
    const auto outcome = Download(FetchOptions(torrent, temp.File("peer"), 0),
                                  stop_peer, peer_sink);
    EXPECT_FALSE(outcome);
  });
  auto options =
      FetchOptions(torrent, temp.File("work"), peer_sink.WaitForPort());
  options.metadata_timeout_s = 1.5;
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  stop_peer.Cancel();
  peer.join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kNetwork);
  EXPECT_EQ(outcome.error().id, "E-NO-METADATA") << outcome.error().ToString();
}

TEST(DownloadTest, StopsSoonThoughATrackerIsSilent) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  const Listener tracker;
  auto options = FetchOptions(torrent, temp.File("work"), 0);
  options.torrent = torrent.torrent;
  options.session.trackers.push_back(
      "http://127.0.0.1:" + std::to_string(tracker.port()) + "/announce");
  CancelToken cancel;
  RecordingSink sink;
  std::chrono::steady_clock::time_point start;
  int reports = 0;
  sink.on_progress = [&](const p2p::TransferProgress&) {
    if (++reports != 3) return;
    start = std::chrono::steady_clock::now();
    cancel.Cancel();
  };
  const auto outcome = Download(options, cancel, sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kCancelled);
  EXPECT_LT(SecondsSince(start), 5.0);
  EXPECT_TRUE(fs::exists(temp.File("work/state")));
}

TEST(DownloadTest, StopsSoonWhenCancelled) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  auto options = FetchOptions(torrent, temp.File("work"), 0);
  CancelToken cancel;
  RecordingSink sink;
  std::chrono::steady_clock::time_point start;
  sink.on_progress = [&](const p2p::TransferProgress&) {
    start = std::chrono::steady_clock::now();
    cancel.Cancel();
  };
  const auto outcome = Download(options, cancel, sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kCancelled);
  EXPECT_LT(SecondsSince(start), 5.0);
}

TEST(DownloadTest, SaysThatPortIsTaken) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  const Listener listener;
  auto options = FetchOptions(torrent, temp.File("work"), 0);
  options.session.port = listener.port();
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kBusy);
  EXPECT_EQ(outcome.error().id, "E-PORT");
  EXPECT_TRUE(sink.endpoints().empty());
}

TEST(DownloadTest, F11SaysThatFolderIsInUse) {
  const TempDir temp;
  const auto holder = p2p::WorkFolder::Open(temp.File("work"));
  ASSERT_TRUE(holder) << holder.error().ToString();
  const TestTorrent torrent = ModelTorrent();
  RecordingSink sink;
  const auto outcome = Download(FetchOptions(torrent, temp.File("work"), 0),
                                CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kBusy);
  EXPECT_EQ(outcome.error().id, "E-LOCKED");
}

TEST(DownloadTest, RefusesNamesFromPeerBeforeAnythingIsWritten) {
  const TempDir temp;
  for (const char* name : {"../../escape", "a/../../b", "sub\\evil"}) {
    const TestTorrent torrent = MakeV1Torrent(
        "attack", {{name, NoiseBytes(100'000, 9)}, {"ok", "ok"}}, kPiece);
    const std::string work = temp.File("work");
    const LyingSeeder seeder(torrent, temp.File("source"));
    RecordingSink sink;
    auto options = FetchOptions(torrent, work, 0);
    options.session.peers.emplace_back(LyingSeeder::kAddress, seeder.port());
    const auto outcome = Download(options, CancelToken(), sink);
    ASSERT_FALSE(outcome) << name;
    EXPECT_EQ(outcome.error().code, ErrorCode::kCorrupt)
        << name << ": " << outcome.error().ToString();
    EXPECT_TRUE(sink.plans().empty());
    EXPECT_TRUE(fs::is_empty(work + "/data")) << name;
    EXPECT_FALSE(fs::exists(work + "/state")) << name;
  }
}

TEST(DownloadTest, A19AsksBeforeTheFirstByte) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  auto options = FetchOptions(torrent, temp.File("work"), 0);
  options.torrent = torrent.torrent;
  options.approve = [](const p2p::Metainfo& metainfo) -> verify::Result<void> {
    return verify::Fail(ErrorCode::kUnsupported, metainfo.name);
  };
  RecordingSink sink;
  const auto refused = Download(options, CancelToken(), sink);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "tiny-model");
  EXPECT_TRUE(fs::is_empty(temp.File("work/data")));

  options.approve = nullptr;
  options.max_total_bytes = torrent.total_bytes() - 1;
  const auto too_big = Download(options, CancelToken(), sink);
  ASSERT_FALSE(too_big);
  EXPECT_EQ(too_big.error().code, ErrorCode::kLimit);
  EXPECT_TRUE(fs::is_empty(temp.File("work/data")));
}

TEST(DownloadTest, B12RefusesTorrentOfTheSameNameThatIsNotTheMagnets) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  auto options = FetchOptions(ModelTorrent(10), temp.File("work"), 0);
  options.torrent = torrent.torrent;
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(outcome.error().id, "E-INFO-HASH");
}

TEST(DownloadTest, F10RefusesPlantedLinks) {
  const TempDir temp;
  const TestTorrent torrent = ModelTorrent();
  auto options = FetchOptions(torrent, temp.File("work"), 0);
  options.torrent = torrent.torrent;
  fs::create_directories(temp.File("work/data/tiny-model"));
  temp.Write("target", "precious");
  fs::create_symlink(temp.File("target"),
                     temp.File("work/data/tiny-model/RELEASE"));
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kIo);
  EXPECT_EQ(outcome.error().id, "E-SYMLINK");
  EXPECT_EQ(ReadFile(temp.File("target")), "precious");
}

}  // namespace
}  // namespace tests
