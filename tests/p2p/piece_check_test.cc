// SPDX-License-Identifier: Apache-2.0
// Torrents here are hashed by OpenSSL (v1) and libtorrent (hybrid); the v2 one
// is ours, whose roots create_torrent_test compares with libtorrent's.
#include "p2p/piece_check.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "p2p/create_torrent.h"
#include "tests/support/loopback_swarm.h"
#include "tests/support/temp_dir.h"
#include "verify/base/file.h"

namespace tests {
namespace {

namespace fs = std::filesystem;
using p2p::CheckPieces;
using p2p::Metainfo;
using p2p::NumSet;
using p2p::PieceLayers;
using p2p::PieceSet;
using verify::CancelToken;

constexpr size_t kPiece = 32 << 10;

// Files that share pieces, one of exactly a piece, an empty one.
std::vector<TestFile> Files() {
  return {{"a.bin", NoiseBytes(3 * kPiece + 100, 1)},
          {"empty", ""},
          {"sub/b.bin", NoiseBytes(kPiece, 2)},
          {"sub/c.bin", NoiseBytes(2 * kPiece - 7, 3)},
          {"z.json", NoiseBytes(50, 4)}};
}

struct Payload {
  Metainfo metainfo;
  PieceLayers layers;
  std::string path;
};

Payload Load(const std::vector<std::byte>& torrent, const std::string& folder) {
  auto metainfo = p2p::ParseMetainfo(torrent);
  EXPECT_TRUE(metainfo) << metainfo.error().ToString();
  Payload payload{std::move(*metainfo), p2p::ReadPieceLayers(torrent), ""};
  payload.path = folder + "/" + payload.metainfo.name;
  return payload;
}

Payload MakeV1(const TempDir& temp) {
  const TestTorrent torrent = MakeV1Torrent("model", Files(), kPiece);
  WritePayload(torrent, temp.path());
  return Load(torrent.torrent, temp.path());
}
Payload MakeHybrid(const TempDir& temp) {
  const TestTorrent torrent =
      MakeHybridTorrent(temp.path(), "model", Files(), kPiece);
  return Load(torrent.torrent, temp.path());
}
Payload MakeV2(const TempDir& temp) {
  WritePayload(MakeV1Torrent("model", Files(), kPiece), temp.path());
  p2p::CreateOptions options;
  options.path = temp.File("model");
  options.format = p2p::TorrentFormat::kV2;
  options.piece_length = kPiece;
  const auto created = p2p::CreateTorrent(options, CancelToken(), nullptr);
  EXPECT_TRUE(created) << created.error().ToString();
  return Load(created->torrent, temp.path());
}

PieceSet Check(const Payload& payload, PieceSet pieces = {}) {
  p2p::PieceCheckOptions options;
  options.payload_path = payload.path;
  options.pieces = std::move(pieces);
  const auto good =
      CheckPieces(payload.metainfo, payload.layers, options, CancelToken());
  EXPECT_TRUE(good) << good.error().ToString();
  return *good;
}

void Flip(const std::string& path, size_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ 1));
}

// The one piece that is bad; -1 if it is not one.
int OnlyBad(const PieceSet& good) {
  int bad = -1;
  for (size_t i = 0; i < good.size(); ++i) {
    if (good[i]) continue;
    if (bad != -1) return -1;
    bad = static_cast<int>(i);
  }
  return bad;
}

TEST(CheckPiecesTest, FindsAllOfItRight) {
  for (const auto& make : {MakeV1, MakeHybrid, MakeV2}) {
    const TempDir temp;
    const Payload payload = make(temp);
    const PieceSet good = Check(payload);
    EXPECT_EQ(good.size(), payload.metainfo.num_pieces());
    EXPECT_EQ(NumSet(good), good.size());
  }
}

TEST(CheckPiecesTest, FindsTheOneByteThatDiffers) {
  for (const auto& make : {MakeV1, MakeHybrid, MakeV2}) {
    const TempDir temp;
    const Payload payload = make(temp);
    // In every version a.bin begins with piece 0.
    Flip(payload.path + "/a.bin", 2 * kPiece + 5);
    EXPECT_EQ(OnlyBad(Check(payload)), 2);
  }
}

TEST(CheckPiecesTest, V1PieceOverSeveralFilesNeedsAllOfThem) {
  const TempDir temp;
  const Payload payload = MakeV1(temp);
  // Bytes 3 * kPiece to 4 * kPiece: the end of a.bin and the start of b.bin.
  fs::remove(payload.path + "/sub/b.bin");
  const PieceSet good = Check(payload);
  EXPECT_TRUE(good[2]);
  EXPECT_FALSE(good[3]);
  EXPECT_FALSE(good[4]);
  EXPECT_TRUE(good[5]);
}

TEST(CheckPiecesTest, HybridNeedsBothHashes) {
  const TempDir temp;
  Payload payload = MakeHybrid(temp);
  // As if the two versions spoke of different bytes.
  payload.layers.begin()->second[0] ^= std::byte{1};
  EXPECT_GE(OnlyBad(Check(payload)), 0);
  payload = MakeHybrid(temp);
  payload.metainfo.piece_digests[1][0] ^= std::byte{1};
  EXPECT_EQ(OnlyBad(Check(payload)), 1);
}

TEST(CheckPiecesTest, V2WithoutLayersIsJudgedByTheRootOfTheFile) {
  const TempDir temp;
  Payload payload = MakeV2(temp);
  payload.layers.clear();
  EXPECT_EQ(NumSet(Check(payload)), payload.metainfo.num_pieces());
  // Which piece of it is wrong nobody can say: none of that file is good, all
  // of the others are.
  Flip(payload.path + "/a.bin", 2 * kPiece + 5);
  const PieceSet good = Check(payload);
  for (size_t i = 0; i < good.size(); ++i) EXPECT_EQ(good[i], i >= 4) << i;
}

TEST(CheckPiecesTest, FilesThatAreNotWhatTheyShouldBeAreNoError) {
  for (const auto& make : {MakeV1, MakeHybrid, MakeV2}) {
    const TempDir temp;
    const Payload payload = make(temp);
    fs::resize_file(payload.path + "/a.bin", kPiece + 10);
    fs::remove(payload.path + "/sub/c.bin");
    fs::create_directory(payload.path + "/sub/c.bin");
    const PieceSet good = Check(payload);
    EXPECT_TRUE(good[0]);
    EXPECT_FALSE(good[1]);
    EXPECT_FALSE(good[2]);
    fs::remove_all(payload.path);
    EXPECT_EQ(NumSet(Check(payload)), 0u);
  }
}

TEST(CheckPiecesTest, LooksOnlyAtWhatItIsAskedFor) {
  const TempDir temp;
  const Payload payload = MakeV1(temp);
  PieceSet pieces(payload.metainfo.num_pieces(), false);
  pieces[1] = true;
  const PieceSet good = Check(payload, pieces);
  EXPECT_EQ(good, pieces);
}

TEST(CheckPiecesTest, ReadsNoHolesAndKnowsZeros) {
  // 64 GiB of nothing, with one piece of data: seconds if it were read.
  const TempDir temp;
  constexpr uint64_t kSize = uint64_t{64} << 30;
  constexpr uint64_t kLength = 16u << 20;
  Metainfo metainfo;
  metainfo.name = "big.bin";
  metainfo.single_file = true;
  metainfo.info_hashes.v1.emplace();
  metainfo.piece_length = kLength;
  metainfo.files.push_back({"big.bin", kSize, false, {}, 0});
  const std::string data(kLength, 'x');
  const std::string zeros(kLength, '\0');
  metainfo.piece_digests.assign(kSize / kLength,
                                verify::Sha1(verify::AsBytes(data)));
  metainfo.piece_digests[7] = verify::Sha1(verify::AsBytes(zeros));
  const std::string path = temp.Write("big.bin", "");
  const verify::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(fd.valid());
  ASSERT_EQ(::ftruncate(fd.get(), static_cast<off_t>(kSize)), 0);
  ASSERT_EQ(::pwrite(fd.get(), data.data(), data.size(), 3 * kLength),
            static_cast<ssize_t>(data.size()));
  const PieceSet good = Check({metainfo, {}, path});
  ASSERT_EQ(good.size(), kSize / kLength);
  EXPECT_EQ(NumSet(good), 2u);
  EXPECT_TRUE(good[3]);
  EXPECT_TRUE(good[7]);
}

TEST(CheckPiecesTest, StopsWhenCancelled) {
  const TempDir temp;
  const Payload payload = MakeV1(temp);
  CancelToken cancel;
  cancel.Cancel();
  p2p::PieceCheckOptions options;
  options.payload_path = payload.path;
  const auto good =
      CheckPieces(payload.metainfo, payload.layers, options, cancel);
  ASSERT_FALSE(good);
  EXPECT_EQ(good.error().code, verify::ErrorCode::kCancelled);
}

TEST(PiecesOfFilesTest, CountsBothEnds) {
  const TempDir temp;
  const Metainfo metainfo = MakeV1(temp).metainfo;
  // b.bin: bytes 3 * kPiece + 100 to 4 * kPiece + 100.
  const PieceSet pieces =
      p2p::PiecesOfFiles(metainfo, {false, false, true, false, false});
  EXPECT_EQ(NumSet(pieces), 2u);
  EXPECT_TRUE(pieces[3]);
  EXPECT_TRUE(pieces[4]);
  EXPECT_EQ(NumSet(p2p::PiecesOfFiles(metainfo, {})), metainfo.num_pieces());
}

}  // namespace
}  // namespace tests
