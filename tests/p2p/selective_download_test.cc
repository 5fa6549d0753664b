// SPDX-License-Identifier: Apache-2.0
// Downloads of some files, beside a copy, and with a look on the way: real
// sessions on the loopback device.
#include <gtest/gtest.h>

#include <filesystem>

#include "p2p/create_torrent.h"
#include "p2p/download.h"
#include "tests/support/loopback_swarm.h"
#include "tests/support/temp_dir.h"

namespace tests {
namespace {

namespace fs = std::filesystem;
using p2p::Download;
using verify::CancelToken;
using verify::ErrorCode;

constexpr size_t kPiece = 64 << 10;

TestTorrent MakeModel(size_t weight_bytes = 3'000'001) {
  return MakeV1Torrent("tiny-model",
                       {{"RELEASE", "notes\n"},
                        {"empty.txt", ""},
                        {"sub/params.json", NoiseBytes(kPiece, 7)},
                        {"sub/weights.bin", NoiseBytes(weight_bytes, 1)},
                        {"tokenizer.model", NoiseBytes(1234, 2)}},
                       kPiece);
}

class SelectiveDownloadTest : public testing::Test {
 protected:
  SelectiveDownloadTest() : torrent_(MakeModel()) {
    WritePayload(torrent_, temp_.File("source"));
  }
  p2p::DownloadOptions Options(uint16_t port) const {
    return FetchOptions(torrent_, temp_.File("work"), port);
  }
  std::string Source(const std::string& name) const {
    return ReadFile(temp_.File("source/tiny-model/" + name));
  }
  TempDir temp_;
  TestTorrent torrent_;
};

TEST_F(SelectiveDownloadTest, FolderHoldsExactlyTheChosenFiles) {
  SeedThread seeder(ServeOptions(torrent_, temp_.File("source")));
  auto options = Options(seeder.port());
  // Both share their pieces with the weights.
  options.selection.files = {"sub/params.json", "tokenizer.model"};
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  const std::string path = outcome->payload_path;
  EXPECT_EQ(ReadFile(path + "/sub/params.json"), Source("sub/params.json"));
  EXPECT_EQ(ReadFile(path + "/tokenizer.model"), Source("tokenizer.model"));
  size_t entries = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) ++entries;
  }
  EXPECT_EQ(entries, 2u);
  EXPECT_EQ(std::distance(fs::directory_iterator(temp_.File("work/data")),
                          fs::directory_iterator()),
            1)
      << "only the payload, no file of the engine's own";
  // Two pieces for the first file, which begins at byte 6, one or two for the
  // last.
  EXPECT_LE(outcome->downloaded_bytes, 4 * kPiece);
  ASSERT_EQ(sink.plans().size(), 1u);
  EXPECT_EQ(sink.plans()[0].selected_bytes, kPiece + 1234);
  EXPECT_FALSE(sink.plans()[0].files[3].selected);
  EXPECT_EQ(outcome->selection.NumWanted(), 2u);
}

TEST_F(SelectiveDownloadTest, TheRestFetchesOnlyTheRest) {
  SeedThread seeder(ServeOptions(torrent_, temp_.File("source")));
  auto options = Options(seeder.port());
  options.selection.files = {"3"};
  RecordingSink sink;
  const auto first = Download(options, CancelToken(), sink);
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_GE(first->downloaded_bytes, 3'000'001u);
  options.selection = {};
  RecordingSink again;
  const auto second = Download(options, CancelToken(), again);
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent_, second->payload_path), "");
  EXPECT_LE(second->downloaded_bytes, 5 * kPiece);
}

TEST_F(SelectiveDownloadTest, SelectsOnlyFromHybridWithoutSharing) {
  const TestTorrent hybrid =
      MakeHybridTorrent(temp_.File("hybrid"), "hybrid",
                        {{"a.safetensors", NoiseBytes(700'000, 4)},
                         {"b.safetensors", NoiseBytes(300'000, 5)}},
                        static_cast<int>(kPiece));
  SeedThread seeder(ServeOptions(hybrid, temp_.File("hybrid")));
  auto options = FetchOptions(hybrid, temp_.File("work2"), seeder.port());
  options.selection.select = {"b.*"};
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  // In whole blocks, for a hybrid is padded to the end of each.
  EXPECT_LE(outcome->downloaded_bytes, 300'000u + (16u << 10));
  EXPECT_FALSE(fs::exists(outcome->payload_path + "/a.safetensors"));
}

TEST_F(SelectiveDownloadTest, LookSeesHeadersFirstAndRefusesEarly) {
  const TestTorrent big = MakeModel(40'000'000);
  WritePayload(big, temp_.File("big"));
  SeedThread seeder(ServeOptions(big, temp_.File("big")));
  auto options = FetchOptions(big, temp_.File("work"), seeder.port());
  options.session.down_bytes_per_s = 2'000'000;
  options.look = [&](const p2p::PartialPayload& payload)
      -> verify::Result<p2p::LookAnswer> {
    // What is said to be here has the right bytes on disk.
    for (const size_t file : {size_t{0}, size_t{2}, size_t{4}}) {
      EXPECT_TRUE(
          payload.is_here(file, 0, payload.metainfo.files[file].size_bytes));
      EXPECT_EQ(ReadFile(payload.path_of(file)), big.files[file].content);
    }
    EXPECT_EQ(ReadFile(payload.path_of(3)).substr(0, 1000),
              big.files[3].content.substr(0, 1000));
    EXPECT_FALSE(payload.is_here(3, 0, 40'000'000));
    return verify::Fail(ErrorCode::kCorrupt, "looks bad").Id("E-LOOK");
  };
  RecordingSink sink;
  const auto refused = Download(options, CancelToken(), sink);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "E-LOOK") << refused.error().ToString();
  EXPECT_LT(sink.last_progress().done_bytes, 16'000'000u);
  EXPECT_TRUE(fs::exists(temp_.File("work/state")));

  // What came is kept, and is enough to refuse again without a peer.
  ASSERT_TRUE(seeder.Stop());
  const auto again = Download(options, CancelToken(), sink);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().id, "E-LOOK");
}

TEST_F(SelectiveDownloadTest, LookThatIsSatisfiedCostsNothing) {
  SeedThread seeder(ServeOptions(torrent_, temp_.File("source")));
  auto options = Options(seeder.port());
  int looks = 0;
  options.look =
      [&](const p2p::PartialPayload&) -> verify::Result<p2p::LookAnswer> {
    p2p::LookAnswer answer;
    if (++looks == 1) answer.need.push_back({3, 1'500'000, 10});
    return answer;
  };
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent_, outcome->payload_path), "");
  EXPECT_EQ(outcome->downloaded_bytes, torrent_.total_bytes());
}

TEST_F(SelectiveDownloadTest, FetchesOnlyWhatTheCopyElsewhereLacks) {
  SeedThread seeder(ServeOptions(torrent_, temp_.File("source")));
  auto options = Options(seeder.port());
  options.find_copy =
      [&](const p2p::Metainfo& metainfo,
          const p2p::PieceLayers&) -> verify::Result<p2p::CopyElsewhere> {
    p2p::CopyElsewhere copy{temp_.File("elsewhere"),
                            p2p::PieceSet(metainfo.num_pieces(), true)};
    copy.good[17] = false;
    return copy;
  };
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->downloaded_bytes, kPiece);
  EXPECT_EQ(p2p::NumSet(outcome->pieces), 1u);
  EXPECT_TRUE(outcome->pieces[17]);
}

TEST_F(SelectiveDownloadTest, AdoptsAFormerCopyAtAnotherPlace) {
  WritePayload(torrent_, temp_.File("old"));
  fs::remove(temp_.File("old/tiny-model/tokenizer.model"));
  SeedThread seeder(ServeOptions(torrent_, temp_.File("source")));
  auto options = Options(seeder.port());
  options.adopt_path = temp_.File("old/tiny-model");
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent_, outcome->payload_path), "");
  EXPECT_LE(outcome->downloaded_bytes, 2 * kPiece);
  EXPECT_EQ(ReadFile(temp_.File("old/tiny-model/sub/weights.bin")),
            torrent_.files[3].content);
}

TEST_F(SelectiveDownloadTest, V2AloneIsCheckedByUsAfterACrash) {
  p2p::CreateOptions create;
  create.path = temp_.File("source/tiny-model");
  create.format = p2p::TorrentFormat::kV2;
  create.piece_length = kPiece;
  const auto created = p2p::CreateTorrent(create, CancelToken(), nullptr);
  ASSERT_TRUE(created) << created.error().ToString();
  TestTorrent v2 = torrent_;
  v2.torrent = created->torrent;
  v2.magnet.info_hashes = created->metainfo.info_hashes;
  SeedThread seeder(ServeOptions(v2, temp_.File("source")));
  auto options = FetchOptions(v2, temp_.File("work"), seeder.port());
  options.torrent = v2.torrent;
  RecordingSink sink;
  const auto first = Download(options, CancelToken(), sink);
  ASSERT_TRUE(first) << first.error().ToString();
  // As a kill leaves it, with one byte that never came.
  temp_.Write("work/unclean", "");
  std::string weights = ReadFile(first->payload_path + "/sub/weights.bin");
  weights[1'000'000] = static_cast<char>(weights[1'000'000] ^ 1);
  temp_.Write("work/data/tiny-model/sub/weights.bin", weights);
  RecordingSink again;
  const auto second = Download(options, CancelToken(), again);
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_TRUE(again.HasNotice("RECHECK"));
  EXPECT_EQ(DescribeDifference(torrent_, second->payload_path), "");
  EXPECT_EQ(second->downloaded_bytes, kPiece);
}

TEST_F(SelectiveDownloadTest, ReserveCountsAsNeeded) {
  auto options = Options(0);
  options.torrent = torrent_.torrent;
  options.reserve_bytes = uint64_t{1} << 60;
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "E-DISK-FULL");
  EXPECT_NE(outcome.error().message.find("1152921504606846976 to keep free"),
            std::string::npos)
      << outcome.error().message;
}

TEST_F(SelectiveDownloadTest, A4HashesThatNameTwoTorrentsAreRefused) {
  const TestTorrent hybrid = MakeHybridTorrent(
      temp_.File("hybrid"), "hybrid",
      {{"a.safetensors", NoiseBytes(100'000, 4)}}, static_cast<int>(kPiece));
  SeedThread seeder(ServeOptions(hybrid, temp_.File("hybrid")));
  auto options = FetchOptions(hybrid, temp_.File("work2"), seeder.port());
  options.torrent = hybrid.torrent;
  (*options.magnet.info_hashes.v2)[0] ^= std::byte{1};
  RecordingSink sink;
  const auto outcome = Download(options, CancelToken(), sink);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(outcome.error().id, "E-HASH-PAIR");
  EXPECT_TRUE(fs::is_empty(temp_.File("work2/data")));
  EXPECT_FALSE(fs::exists(temp_.File("work2/state")));
}

TEST_F(SelectiveDownloadTest, FetchTorrentWritesNothing) {
  SeedThread seeder(ServeOptions(torrent_, temp_.File("source")));
  RecordingSink sink;
  const auto fetched =
      p2p::FetchTorrent(Options(seeder.port()), CancelToken(), sink);
  ASSERT_TRUE(fetched) << fetched.error().ToString();
  EXPECT_EQ(fetched->metainfo.info_hashes, torrent_.magnet.info_hashes);
  EXPECT_FALSE(fs::exists(temp_.File("work")));
}

}  // namespace
}  // namespace tests
