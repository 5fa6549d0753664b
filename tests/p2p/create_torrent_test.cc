// SPDX-License-Identifier: Apache-2.0
// Every torrent made here is made by libtorrent as well, from the same files:
// the info-hashes must be equal.
// Long because: a matrix of layouts against libtorrent.
#include "p2p/create_torrent.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <libtorrent/bencode.hpp>
#include <libtorrent/create_torrent.hpp>
#include <libtorrent/file_storage.hpp>
#include <libtorrent/torrent_info.hpp>

#include "p2p/magnet.h"
#include "tests/support/content.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using tests::Content;
using verify::ErrorCode;

CreatedTorrent MustCreate(const CreateOptions& options) {
  const verify::CancelToken cancel;
  auto created = CreateTorrent(options, cancel, nullptr);
  if (!created) {
    ADD_FAILURE() << created.error().message;
    return {};
  }
  return std::move(*created);
}

verify::Error MustFail(const CreateOptions& options) {
  const verify::CancelToken cancel;
  const auto created = CreateTorrent(options, cancel, nullptr);
  if (created.has_value()) {
    ADD_FAILURE() << "not refused";
    return {};
  }
  return created.error();
}

lt::torrent_info LoadWithLibtorrent(const std::vector<std::byte>& torrent) {
  lt::error_code error;
  lt::torrent_info info(
      lt::span<const char>(reinterpret_cast<const char*>(torrent.data()),
                           static_cast<std::ptrdiff_t>(torrent.size())),
      error, lt::from_span);
  EXPECT_FALSE(error) << error.message();
  return info;
}

template <typename Hash>
std::string LtHex(const Hash& hash) {
  const std::string raw = hash.to_string();
  return verify::HexEncode(std::as_bytes(std::span(raw)));
}

void ExpectSameAsLibtorrentReads(const CreatedTorrent& created) {
  const lt::torrent_info info = LoadWithLibtorrent(created.torrent);
  const Metainfo& ours = created.metainfo;
  ASSERT_EQ(info.info_hashes().has_v1(), ours.info_hashes.v1.has_value());
  ASSERT_EQ(info.info_hashes().has_v2(), ours.info_hashes.v2.has_value());
  if (ours.info_hashes.v1.has_value()) {
    EXPECT_EQ(LtHex(info.info_hashes().v1),
              verify::HexEncode(*ours.info_hashes.v1));
  }
  if (ours.info_hashes.v2.has_value()) {
    EXPECT_EQ(LtHex(info.info_hashes().v2),
              verify::HexEncode(*ours.info_hashes.v2));
  }
  EXPECT_EQ(info.name(), ours.name);
  EXPECT_EQ(static_cast<uint64_t>(info.piece_length()), ours.piece_length);
  EXPECT_EQ(static_cast<uint32_t>(info.num_pieces()), ours.num_pieces());
  // Pads aside: libtorrent makes its own for v2.
  const lt::file_storage& files = info.files();
  std::vector<std::pair<std::string, uint64_t>> theirs;
  for (const lt::file_index_t i : files.file_range()) {
    if (files.pad_file_at(i)) continue;
    theirs.emplace_back(files.file_path(i),
                        static_cast<uint64_t>(files.file_size(i)));
  }
  std::vector<std::pair<std::string, uint64_t>> expected;
  for (const MetainfoFile& file : ours.files) {
    if (file.is_pad) continue;
    expected.emplace_back(
        ours.single_file ? file.path : ours.name + "/" + file.path,
        file.size_bytes);
  }
  EXPECT_EQ(theirs, expected);
}

// The same torrent by libtorrent's own maker; files in the given order.
lt::torrent_info MakeWithLibtorrent(
    const std::string& parent,
    const std::vector<std::pair<std::string, int64_t>>& files, int piece_length,
    TorrentFormat format) {
  lt::file_storage storage;
  for (const auto& [path, size] : files) storage.add_file(path, size);
  lt::create_flags_t flags{};
  if (format == TorrentFormat::kV1) flags = lt::create_torrent::v1_only;
  if (format == TorrentFormat::kV2) flags = lt::create_torrent::v2_only;
  if (format == TorrentFormat::kHybrid) {
    flags = lt::create_torrent::canonical_files_no_tail_padding;
  }
  lt::create_torrent maker(storage, piece_length, flags);
  lt::error_code error;
  lt::set_piece_hashes(maker, parent, error);
  EXPECT_FALSE(error) << error.message();
  std::vector<char> bytes;
  lt::bencode(std::back_inserter(bytes), maker.generate());
  lt::torrent_info info(bytes, error, lt::from_span);
  EXPECT_FALSE(error) << error.message();
  return info;
}

struct Layout {
  std::string name;
  // Ascending part by part.
  std::vector<std::pair<std::string, size_t>> files;
};

std::vector<Layout> Layouts() {
  constexpr size_t kPiece = 16384;
  return {
      {"one", {{"m/a", 5}}},
      {"model",
       {{"m/params.json", 212},
        {"m/w/0.bin", 3 * kPiece + 17},
        {"m/w/1.bin", 2 * kPiece}}},
      {"order", {{"m/a/x", 20000}, {"m/a-b", 7}, {"m/a.b", 40000}}},
      {"exact", {{"m/a", kPiece}, {"m/b", 4 * kPiece}, {"m/c", 1}}},
      {"leaves", {{"m/a", 5 * kPiece + 1}, {"m/b", kPiece - 1}}},
      {"empty files",
       {{"m/a", 5}, {"m/b", 0}, {"m/c", kPiece + 1}, {"m/d", 0}}},
  };
}

class CreateTorrentTest
    : public testing::TestWithParam<std::tuple<TorrentFormat, int>> {};

TEST_P(CreateTorrentTest, SameInfoHashAsLibtorrent) {
  const auto [format, piece_length] = GetParam();
  for (const Layout& layout : Layouts()) {
    SCOPED_TRACE(layout.name);
    // libtorrent reads such a v2 torrent as a file without its folder.
    if (format == TorrentFormat::kV2 && layout.name == "one") continue;
    const tests::TempDir dir;
    uint32_t seed = 0;
    std::vector<std::pair<std::string, int64_t>> files;
    for (const auto& [path, size] : layout.files) {
      dir.Write(path, Content(size, ++seed));
      files.emplace_back(path, static_cast<int64_t>(size));
    }
    CreateOptions options;
    options.path = dir.File("m");
    options.format = format;
    options.piece_length = static_cast<uint64_t>(piece_length);
    const CreatedTorrent created = MustCreate(options);
    ExpectSameAsLibtorrentReads(created);
    const lt::torrent_info theirs =
        MakeWithLibtorrent(dir.path(), files, piece_length, format);
    if (format != TorrentFormat::kV2) {
      EXPECT_EQ(LtHex(theirs.info_hashes().v1),
                verify::HexEncode(*created.metainfo.info_hashes.v1));
    }
    if (format != TorrentFormat::kV1) {
      EXPECT_EQ(LtHex(theirs.info_hashes().v2),
                verify::HexEncode(*created.metainfo.info_hashes.v2));
    }
  }
}

TEST_P(CreateTorrentTest, SingleFile) {
  const auto [format, piece_length] = GetParam();
  for (const size_t size : {size_t{1}, size_t{16384}, size_t{100000}}) {
    const tests::TempDir dir;
    const std::string path = dir.Write("model.gguf", Content(size, 7));
    CreateOptions options;
    options.path = path;
    options.format = format;
    options.piece_length = static_cast<uint64_t>(piece_length);
    const CreatedTorrent created = MustCreate(options);
    EXPECT_TRUE(created.metainfo.single_file);
    ExpectSameAsLibtorrentReads(created);
    const lt::torrent_info theirs = MakeWithLibtorrent(
        dir.path(), {{"model.gguf", static_cast<int64_t>(size)}}, piece_length,
        format);
    if (format != TorrentFormat::kV2) {
      EXPECT_EQ(LtHex(theirs.info_hashes().v1),
                verify::HexEncode(*created.metainfo.info_hashes.v1));
    }
    if (format != TorrentFormat::kV1) {
      EXPECT_EQ(LtHex(theirs.info_hashes().v2),
                verify::HexEncode(*created.metainfo.info_hashes.v2));
    }
  }
}

// Pieces of more than the bytes that are read at once.
TEST_P(CreateTorrentTest, PiecesOfSeveralChunks) {
  const auto [format, small] = GetParam();
  constexpr int kPieceLength = 4 << 20;
  if (small != 16384) return;
  const tests::TempDir dir;
  dir.Write("m/a", Content((5 << 20) + 12345, 1));
  dir.Write("m/b", Content((1 << 20) + (1 << 19), 2));
  dir.Write("m/c", Content(1 << 20, 3));
  CreateOptions options;
  options.path = dir.File("m");
  options.format = format;
  options.piece_length = kPieceLength;
  const CreatedTorrent created = MustCreate(options);
  ExpectSameAsLibtorrentReads(created);
  const lt::torrent_info theirs =
      MakeWithLibtorrent(dir.path(),
                         {{"m/a", (5 << 20) + 12345},
                          {"m/b", (1 << 20) + (1 << 19)},
                          {"m/c", 1 << 20}},
                         kPieceLength, format);
  if (format != TorrentFormat::kV2) {
    EXPECT_EQ(LtHex(theirs.info_hashes().v1),
              verify::HexEncode(*created.metainfo.info_hashes.v1));
  }
  if (format != TorrentFormat::kV1) {
    EXPECT_EQ(LtHex(theirs.info_hashes().v2),
              verify::HexEncode(*created.metainfo.info_hashes.v2));
  }
}

// Digests of FIPS 180-2; the pads of a hybrid have none.
TEST_P(CreateTorrentTest, GivesTheSha256OfEveryFileOfTheSameRead) {
  const auto [format, piece_length] = GetParam();
  const tests::TempDir dir;
  dir.Write("m/abc", "abc");
  dir.Write("m/empty", "");
  dir.Write("m/z", std::string(1'000'000, 'a'));
  CreateOptions options;
  options.path = dir.File("m");
  options.format = format;
  options.piece_length = static_cast<uint64_t>(piece_length);
  const InfoHashes without = MustCreate(options).metainfo.info_hashes;
  options.want_sha256 = true;
  const CreatedTorrent created = MustCreate(options);
  EXPECT_EQ(created.metainfo.info_hashes, without);
  std::vector<std::string> digests;
  ASSERT_EQ(created.sha256.size(), created.metainfo.files.size());
  for (size_t i = 0; i < created.sha256.size(); ++i) {
    if (created.metainfo.files[i].is_pad) continue;
    digests.push_back(verify::HexEncode(created.sha256[i]).substr(0, 8));
  }
  EXPECT_EQ(digests,
            (std::vector<std::string>{"ba7816bf", "e3b0c442", "cdc76e5c"}));
}

std::string FormatName(
    const testing::TestParamInfo<std::tuple<TorrentFormat, int>>& info) {
  const TorrentFormat format = std::get<0>(info.param);
  return verify::StrCat(format == TorrentFormat::kV1   ? "V1"
                        : format == TorrentFormat::kV2 ? "V2"
                                                       : "Hybrid",
                        "Piece", std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(
    Formats, CreateTorrentTest,
    testing::Combine(testing::Values(TorrentFormat::kV1, TorrentFormat::kV2,
                                     TorrentFormat::kHybrid),
                     testing::Values(16384, 32768)),
    FormatName);

class CreateTorrentRulesTest : public testing::Test {
 protected:
  CreateOptions Options() const {
    CreateOptions options;
    options.path = dir_.File("m");
    return options;
  }
  tests::TempDir dir_;
};

TEST_F(CreateTorrentRulesTest, WritesAllFields) {
  dir_.Write("m/a", "hello");
  CreateOptions options = Options();
  options.trackers = {"udp://a.example:1337/announce", "http://b.example/a"};
  options.web_seeds = {"https://c.example/m/"};
  options.comment = "a model";
  options.is_private = true;
  options.creation_date = 1700000000;
  const CreatedTorrent created = MustCreate(options);
  EXPECT_EQ(created.metainfo.trackers, options.trackers);
  EXPECT_EQ(created.metainfo.web_seeds, options.web_seeds);
  EXPECT_EQ(created.metainfo.comment, "a model");
  EXPECT_TRUE(created.metainfo.is_private);
  const lt::torrent_info info = LoadWithLibtorrent(created.torrent);
  EXPECT_TRUE(info.priv());
  EXPECT_EQ(info.creation_date(), 1700000000);
  EXPECT_EQ(info.comment(), "a model");
  EXPECT_EQ(info.trackers().size(), 2u);
  EXPECT_EQ(info.web_seeds().size(), 1u);

  const auto magnet = ParseMagnet(created.magnet);
  ASSERT_TRUE(magnet.has_value());
  EXPECT_EQ(magnet->magnet.info_hashes, created.metainfo.info_hashes);
  EXPECT_EQ(magnet->magnet.display_name, "m");
  EXPECT_EQ(magnet->magnet.trackers, options.trackers);
  EXPECT_EQ(magnet->magnet.web_seeds, options.web_seeds);
}

TEST_F(CreateTorrentRulesTest, SameBytesWhateverTheThreadsOrTheTime) {
  for (int i = 0; i < 40; ++i) {
    dir_.Write(
        verify::StrCat("m/", i % 4, "/", i),
        Content(static_cast<size_t>(i) * 1000 + 1, static_cast<uint32_t>(i)));
  }
  for (const TorrentFormat format :
       {TorrentFormat::kV1, TorrentFormat::kV2, TorrentFormat::kHybrid}) {
    CreateOptions options = Options();
    options.format = format;
    options.num_threads = 1;
    const CreatedTorrent one = MustCreate(options);
    // Another order in the directory, another time.
    for (int i = 39; i >= 0; --i) {
      dir_.Write(
          verify::StrCat("n/m/", i % 4, "/", i),
          Content(static_cast<size_t>(i) * 1000 + 1, static_cast<uint32_t>(i)));
    }
    options.path = dir_.File("n/m/");
    options.num_threads = 4;
    EXPECT_EQ(MustCreate(options).torrent, one.torrent);
  }
}

TEST_F(CreateTorrentRulesTest, LeavesOutHiddenAndUnfinished) {
  dir_.Write("m/a", "hello");
  dir_.Write("m/.git/config", "x");
  dir_.Write("m/.DS_Store", "x");
  dir_.Write("m/b.part", "x");
  dir_.Write("m/d/c.!qB", "x");
  const CreatedTorrent created = MustCreate(Options());
  ASSERT_EQ(created.metainfo.files.size(), 1u);
  EXPECT_EQ(created.metainfo.files[0].path, "a");
  EXPECT_EQ(created.left_out.size(), 4u);
}

TEST_F(CreateTorrentRulesTest, TheNameIsTheFolders) {
  dir_.Write("m/a", "hello");
  CreateOptions options = Options();
  options.path = dir_.File("m/.");
  EXPECT_EQ(MustCreate(options).metainfo.name, "m");
  options.path = dir_.File("m///");
  EXPECT_EQ(MustCreate(options).metainfo.name, "m");
  ASSERT_EQ(::symlink(dir_.File("m").c_str(), dir_.File("other").c_str()), 0);
  options.path = dir_.File("other");
  EXPECT_EQ(MustCreate(options).metainfo.name, "other");
}

TEST_F(CreateTorrentRulesTest, RefusesLinksAndSpecialFiles) {
  dir_.Write("m/a", "hello");
  ASSERT_EQ(::symlink("a", dir_.File("m/link").c_str()), 0);
  verify::Error error = MustFail(Options());
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.id, "E-SYMLINK");
  EXPECT_NE(error.message.find("\"link\""), std::string::npos);
  std::filesystem::remove(dir_.File("m/link"));
  ASSERT_EQ(::mkfifo(dir_.File("m/pipe").c_str(), 0600), 0);
  error = MustFail(Options());
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.id, "E-PATH");
}

TEST_F(CreateTorrentRulesTest, RefusesNamesThatOurReaderRefuses) {
  dir_.Write("m/a\\b", "hello");
  dir_.Write("m/c\x01", "hello");
  verify::Error error = MustFail(Options());
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.id, "E-PATH");
  EXPECT_NE(error.message.find("a\\b"), std::string::npos);
  EXPECT_NE(error.message.find("c\\x01"), std::string::npos);
  CreateOptions other;
  dir_.Write("n/Model", "hello");
  dir_.Write("n/model", "hello");
  other.path = dir_.File("n");
  EXPECT_EQ(MustFail(other).id, "E-NAME-COLLISION");
}

TEST_F(CreateTorrentRulesTest, RefusesBadOptions) {
  EXPECT_EQ(MustFail(Options()).code, ErrorCode::kNotFound);
  std::filesystem::create_directory(dir_.File("m"));
  EXPECT_EQ(MustFail(Options()).code, ErrorCode::kInvalidArgument);
  dir_.Write("m/empty", "");
  EXPECT_EQ(MustFail(Options()).code, ErrorCode::kInvalidArgument);
  dir_.Write("m/a", "hello");
  for (const uint64_t length :
       {uint64_t{1}, uint64_t{8192}, uint64_t{49152}, uint64_t{1} << 30}) {
    CreateOptions options = Options();
    options.piece_length = length;
    EXPECT_EQ(MustFail(options).code, ErrorCode::kInvalidArgument);
  }
  CreateOptions options = Options();
  options.trackers = {"ftp://a.example/"};
  EXPECT_EQ(MustFail(options).code, ErrorCode::kInvalidArgument);
  options = Options();
  options.web_seeds = {"udp://a.example:6969"};
  EXPECT_EQ(MustFail(options).code, ErrorCode::kInvalidArgument);
  options = Options();
  options.comment = "\xFF";
  EXPECT_EQ(MustFail(options).code, ErrorCode::kInvalidArgument);
}

TEST_F(CreateTorrentRulesTest, RefusesV2FolderWithOneFile) {
  dir_.Write("m/a", "hello");
  CreateOptions options = Options();
  options.format = TorrentFormat::kV2;
  const verify::Error error = MustFail(options);
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(error.hint.find("v1"), std::string::npos);
  options.format = TorrentFormat::kHybrid;
  ExpectSameAsLibtorrentReads(MustCreate(options));
  dir_.Write("n/n", "hello");
  options.path = dir_.File("n");
  EXPECT_EQ(MustFail(options).code, ErrorCode::kInvalidArgument);
  options.format = TorrentFormat::kV1;
  ExpectSameAsLibtorrentReads(MustCreate(options));
}

TEST_F(CreateTorrentRulesTest, RefusesTooManyPiecesBeforeReadingThem) {
  dir_.Write("m/a", "x");
  // A hole of 1 TiB: reading it would take minutes.
  ASSERT_EQ(::truncate(dir_.File("m/a").c_str(), off_t{1} << 40), 0);
  CreateOptions options = Options();
  options.piece_length = 16384;
  const verify::Error error = MustFail(options);
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.hint, "choose larger pieces");
}

TEST_F(CreateTorrentRulesTest, StopsWhenAsked) {
  dir_.Write("m/a", Content(100000, 1));
  verify::CancelToken cancel;
  cancel.Cancel();
  for (const TorrentFormat format :
       {TorrentFormat::kV1, TorrentFormat::kHybrid}) {
    CreateOptions options = Options();
    options.format = format;
    const auto created = CreateTorrent(options, cancel, nullptr);
    ASSERT_FALSE(created.has_value());
    EXPECT_EQ(created.error().code, ErrorCode::kCancelled);
  }
}

// Changes a file as soon as bytes of it were read.
class Meddler final : public verify::ProgressSink {
 public:
  explicit Meddler(std::string path) : path_(std::move(path)) {}
  void OnProgress(std::string_view, uint64_t, uint64_t) override {
    std::filesystem::resize_file(path_, 99999);
  }

 private:
  std::string path_;
};

TEST_F(CreateTorrentRulesTest, NoticesFilesThatChange) {
  for (const TorrentFormat format :
       {TorrentFormat::kV1, TorrentFormat::kV2, TorrentFormat::kHybrid}) {
    dir_.Write("m/a", Content(100000, 1));
    dir_.Write("m/b", "hello");
    CreateOptions options = Options();
    options.format = format;
    options.num_threads = 1;
    const verify::CancelToken cancel;
    Meddler meddler(dir_.File("m/a"));
    const auto created = CreateTorrent(options, cancel, &meddler);
    ASSERT_FALSE(created.has_value());
    EXPECT_EQ(created.error().code, ErrorCode::kMismatch)
        << created.error().message;
  }
}

TEST(ChoosePieceLengthTest, FollowsTheTable) {
  constexpr uint64_t kMiB = 1u << 20;
  constexpr uint64_t kGiB = 1024 * kMiB;
  EXPECT_EQ(ChoosePieceLength(0), 16384u);
  EXPECT_EQ(ChoosePieceLength(32 * kMiB), 16384u);
  EXPECT_EQ(ChoosePieceLength(32 * kMiB + 1), 32768u);
  EXPECT_EQ(ChoosePieceLength(64 * kMiB), 32768u);
  EXPECT_EQ(ChoosePieceLength(2 * kGiB), kMiB);
  EXPECT_EQ(ChoosePieceLength(4 * kGiB), 2 * kMiB);
  EXPECT_EQ(ChoosePieceLength(16 * kGiB), 8 * kMiB);
  EXPECT_EQ(ChoosePieceLength(16 * kGiB + 1), 16 * kMiB);
  // Mixtral 8x7B: 93.4 GB.
  EXPECT_EQ(ChoosePieceLength(93'405'585'408), 16 * kMiB);
  EXPECT_EQ(ChoosePieceLength(UINT64_MAX), 16 * kMiB);
}

// A real model: files of very different sizes.
TEST(CreateTorrentDemoTest, SameInfoHashAsLibtorrentForEveryFormat) {
  const std::string demo = std::string(LODESTONE_SOURCE_DIR) + "/magnets/demo";
  std::vector<std::pair<std::string, int64_t>> files;
  for (const auto& entry : std::filesystem::directory_iterator(demo)) {
    if (!entry.is_regular_file()) continue;
    files.emplace_back("demo/" + entry.path().filename().string(),
                       static_cast<int64_t>(entry.file_size()));
  }
  std::sort(files.begin(), files.end());
  for (const TorrentFormat format :
       {TorrentFormat::kV1, TorrentFormat::kV2, TorrentFormat::kHybrid}) {
    CreateOptions options;
    options.path = demo;
    options.format = format;
    const CreatedTorrent created = MustCreate(options);
    ExpectSameAsLibtorrentReads(created);
    const lt::torrent_info theirs = MakeWithLibtorrent(
        std::string(LODESTONE_SOURCE_DIR) + "/magnets", files,
        static_cast<int>(created.metainfo.piece_length), format);
    EXPECT_EQ(theirs.info_hashes().has_v1(),
              created.metainfo.info_hashes.v1.has_value());
    if (theirs.info_hashes().has_v1()) {
      EXPECT_EQ(LtHex(theirs.info_hashes().v1),
                verify::HexEncode(*created.metainfo.info_hashes.v1));
    }
    if (theirs.info_hashes().has_v2()) {
      EXPECT_EQ(LtHex(theirs.info_hashes().v2),
                verify::HexEncode(*created.metainfo.info_hashes.v2));
    }
  }
}

}  // namespace
}  // namespace p2p
