// SPDX-License-Identifier: Apache-2.0
// The disk layer by itself, as libtorrent's engine would call it: blocks in any
// order, more of them than the budget, files in the way. Expected hashes are
// libtorrent's own.
#include "p2p/disk_io.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/disk_buffer_holder.hpp>
#include <libtorrent/disk_observer.hpp>
#include <libtorrent/hasher.hpp>
#include <libtorrent/io_context.hpp>
#include <libtorrent/peer_request.hpp>
#include <libtorrent/performance_counters.hpp>
#include <libtorrent/storage_defs.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/loopback_swarm.h"
#include "tests/support/temp_dir.h"

namespace tests {
namespace {

namespace fs = std::filesystem;

constexpr int kBlock = 16 << 10;

// One torrent in a disk layer, with an engine's thread that runs on request.
class Disk {
 public:
  struct Options {
    int piece_length = 64 << 10;
    size_t budget_bytes = 32u << 20;
    p2p::PayloadMode mode = p2p::PayloadMode::kDownload;
    std::vector<lt::download_priority_t> priorities{};
    bool with_pad = false;  // behind the first file, as BEP 47
  };

  Disk(std::string folder, std::vector<std::string> contents,
       const Options& options)
      : folder_(std::move(folder)), contents_(std::move(contents)) {
    fs::create_directories(folder_);
    files_.set_piece_length(options.piece_length);
    for (size_t i = 0; i < contents_.size(); ++i) {
      files_.add_file("t/" + std::to_string(i),
                      static_cast<int64_t>(contents_[i].size()));
      payload_ += contents_[i];
      if (i == 0 && options.with_pad) {
        const size_t pad =
            static_cast<size_t>(options.piece_length) -
            contents_[0].size() % static_cast<size_t>(options.piece_length);
        files_.add_file("t/.pad/" + std::to_string(pad),
                        static_cast<int64_t>(pad),
                        lt::file_storage::flag_pad_file);
        payload_.append(pad, '\0');
      }
    }
    files_.set_num_pieces(files_.num_pieces());
    const int64_t total = files_.total_size();
    files_.set_num_pieces(static_cast<int>((total + options.piece_length - 1) /
                                           options.piece_length));
    p2p::DiskIoOptions disk;
    disk.files.mode = options.mode;
    disk.budget_bytes = options.budget_bytes;
    io_ = p2p::MakeDiskIo(disk)(context_, settings_, counters_);
    priorities_.assign(options.priorities.begin(), options.priorities.end());
    const lt::storage_params params(files_, nullptr, folder_,
                                    lt::storage_mode_sparse, priorities_,
                                    lt::sha1_hash());
    storage_.emplace(io_->new_torrent(params, owner_));
  }
  ~Disk() {
    io_->abort(true);
    context_.restart();
    context_.run();
    storage_->reset();
    io_.reset();
  }

  lt::disk_interface& io() { return *io_; }
  lt::storage_index_t index() const { return *storage_; }
  const lt::file_storage& files() const { return files_; }
  int num_pieces() const { return files_.num_pieces(); }
  size_t Offset(int piece) const {
    return static_cast<size_t>(piece) *
           static_cast<size_t>(files_.piece_length());
  }
  size_t PieceSize(int piece) const {
    return static_cast<size_t>(files_.piece_size(lt::piece_index_t(piece)));
  }
  std::string Piece(int piece) const {
    return payload_.substr(Offset(piece), PieceSize(piece));
  }
  int NumBlocks(int piece) const {
    return (files_.piece_size(lt::piece_index_t(piece)) + kBlock - 1) / kBlock;
  }

  // Runs the engine's thread until `done` holds.
  void RunUntil(const bool& done) {
    while (!done) {
      context_.restart();
      context_.run_one_for(std::chrono::milliseconds(50));
    }
  }

  bool Put(int piece, int block, lt::storage_error* error = nullptr,
           std::shared_ptr<lt::disk_observer> observer = nullptr) {
    const std::string bytes = payload_.substr(
        Offset(piece) + static_cast<size_t>(block) * kBlock,
        std::min<size_t>(
            kBlock, PieceSize(piece) - static_cast<size_t>(block) * kBlock));
    const lt::peer_request request{lt::piece_index_t(piece), block * kBlock,
                                   static_cast<int>(bytes.size())};
    auto done = std::make_shared<bool>(false);
    auto got = std::make_shared<lt::storage_error>();
    const bool exceeded =
        io_->async_write(index(), request, bytes.data(), std::move(observer),
                         [done, got](const lt::storage_error& e) {
                           *done = true;
                           *got = e;
                         });
    if (error != nullptr) {
      RunUntil(*done);
      *error = *got;
    }
    return exceeded;
  }
  void PutPiece(int piece) {
    for (int block = 0; block < NumBlocks(piece); ++block) Put(piece, block);
  }

  std::pair<lt::sha1_hash, lt::storage_error> Hash(int piece) {
    std::pair<lt::sha1_hash, lt::storage_error> result;
    bool done = false;
    io_->async_hash(index(), lt::piece_index_t(piece), {},
                    lt::disk_interface::v1_hash,
                    [&](lt::piece_index_t, const lt::sha1_hash& hash,
                        const lt::storage_error& error) {
                      result = {hash, error};
                      done = true;
                    });
    RunUntil(done);
    return result;
  }
  void ExpectHash(int piece) {
    const auto [hash, error] = Hash(piece);
    EXPECT_FALSE(error) << error.ec.message();
    EXPECT_EQ(hash, lt::hasher(Piece(piece)).final()) << "piece " << piece;
  }

  std::pair<std::string, lt::storage_error> Read(int piece, int start,
                                                 int size) {
    std::pair<std::string, lt::storage_error> result;
    bool done = false;
    io_->async_read(
        index(), {lt::piece_index_t(piece), start, size},
        [&](lt::disk_buffer_holder buffer, const lt::storage_error& error) {
          if (!error) {
            result.first.assign(buffer.data(), static_cast<size_t>(size));
          }
          result.second = error;
          done = true;
        },
        {});
    RunUntil(done);
    return result;
  }

  void Release() {
    bool done = false;
    io_->async_release_files(index(), [&] { done = true; });
    RunUntil(done);
  }

  std::pair<lt::status_t, lt::storage_error> Check(
      const lt::add_torrent_params& resume) {
    std::pair<lt::status_t, lt::storage_error> result;
    bool done = false;
    io_->async_check_files(
        index(), &resume, {},
        [&](lt::status_t status, const lt::storage_error& error) {
          result = {status, error};
          done = true;
        });
    RunUntil(done);
    return result;
  }

  std::string Path(int file) const {
    return folder_ + "/t/" + std::to_string(file);
  }

 private:
  std::string folder_;
  std::vector<std::string> contents_;
  std::string payload_;
  lt::file_storage files_;
  lt::aux::vector<lt::download_priority_t, lt::file_index_t> priorities_;
  lt::io_context context_;
  lt::settings_pack settings_;
  lt::counters counters_;
  std::shared_ptr<void> owner_ = std::make_shared<int>(0);
  std::unique_ptr<lt::disk_interface> io_;
  std::optional<lt::storage_holder> storage_;
};

TEST(DiskIoTest, HashesAndWritesPiecesWhateverTheOrderOfBlocks) {
  const TempDir temp;
  const std::vector<std::string> contents{
      NoiseBytes(200'001, 1), NoiseBytes(5, 2), NoiseBytes(131'072, 3)};
  Disk disk(temp.File("d"), contents, {});
  for (int piece = 0; piece < disk.num_pieces(); ++piece) {
    for (int block = disk.NumBlocks(piece) - 1; block >= 0; --block) {
      disk.Put(piece, block);
    }
    disk.ExpectHash(piece);
  }
  for (int file = 0; file < 3; ++file) {
    EXPECT_EQ(ReadFile(disk.Path(file)), contents[static_cast<size_t>(file)]);
  }
}

TEST(DiskIoTest, WritesEarlyBeyondItsBudgetAndHashesAllTheSame) {
  const TempDir temp;
  const std::vector<std::string> contents{NoiseBytes(40 * (64 << 10) + 77, 1)};
  // Four pieces of forty: most of what comes goes to the disk in halves.
  Disk disk(temp.File("d"), contents, {.budget_bytes = 1});
  for (const int parity : {0, 1}) {
    for (int piece = 0; piece < disk.num_pieces(); ++piece) {
      for (int block = parity; block < disk.NumBlocks(piece); block += 2) {
        disk.Put(piece, block);
      }
    }
  }
  for (int piece = 0; piece < disk.num_pieces(); ++piece) {
    disk.ExpectHash(piece);
  }
  EXPECT_EQ(ReadFile(disk.Path(0)), contents[0]);
}

class RecordingObserver final : public lt::disk_observer {
 public:
  void on_disk() override { told = true; }
  bool told = false;
};

TEST(DiskIoTest, KeepsAPeerWaitingUntilThereIsRoom) {
  const TempDir temp;
  Disk disk(temp.File("d"), {NoiseBytes(64 * (64 << 10), 1)},
            {.budget_bytes = 1});
  std::vector<std::shared_ptr<RecordingObserver>> waiting;
  for (int piece = 0; piece < disk.num_pieces(); ++piece) {
    auto observer = std::make_shared<RecordingObserver>();
    if (disk.Put(piece, 0, nullptr, observer)) waiting.push_back(observer);
  }
  // One block a piece: the budget of four pieces was passed many times.
  ASSERT_FALSE(waiting.empty());
  for (const auto& observer : waiting) disk.RunUntil(observer->told);
}

TEST(DiskIoTest, GathersLongPiecesInParts) {
  const TempDir temp;
  const std::vector<std::string> contents{NoiseBytes((32 << 20) + 12'345, 4)};
  Disk disk(temp.File("d"), contents, {.piece_length = 32 << 20});
  for (int piece = 0; piece < disk.num_pieces(); ++piece) {
    disk.PutPiece(piece);
    disk.ExpectHash(piece);
  }
  EXPECT_EQ(ReadFile(disk.Path(0)), contents[0]);
}

TEST(DiskIoTest, HashesEachBlockForV2) {
  const TempDir temp;
  Disk disk(temp.File("d"), {NoiseBytes(2 * (64 << 10) + 20'000, 5)}, {});
  for (const bool from_disk : {false, true}) {
    for (int piece = 0; piece < disk.num_pieces(); ++piece) {
      disk.PutPiece(piece);
      if (from_disk) disk.Release();
      std::vector<lt::sha256_hash> blocks(
          static_cast<size_t>(disk.NumBlocks(piece)));
      bool done = false;
      disk.io().async_hash(disk.index(), lt::piece_index_t(piece), blocks,
                           lt::disk_interface::v1_hash,
                           [&](lt::piece_index_t, const lt::sha1_hash& hash,
                               const lt::storage_error& error) {
                             EXPECT_FALSE(error);
                             EXPECT_EQ(hash,
                                       lt::hasher(disk.Piece(piece)).final());
                             done = true;
                           });
      disk.RunUntil(done);
      for (size_t block = 0; block < blocks.size(); ++block) {
        EXPECT_EQ(blocks[block], lt::hasher256(disk.Piece(piece).substr(
                                                   block * kBlock, kBlock))
                                     .final());
      }
    }
  }
}

TEST(DiskIoTest, ReadsBlocksThatAreGatheredWrittenOrBoth) {
  const TempDir temp;
  Disk disk(temp.File("d"), {NoiseBytes(100'000, 6), NoiseBytes(70'000, 7)},
            {});
  disk.Put(1, 0);
  EXPECT_EQ(disk.Read(1, 0, kBlock).first, disk.Piece(1).substr(0, kBlock));
  disk.PutPiece(1);
  disk.ExpectHash(1);
  // Across the border of two files, and not at a block's beginning.
  EXPECT_EQ(disk.Read(1, 30'000, kBlock).first,
            disk.Piece(1).substr(30'000, kBlock));
}

TEST(DiskIoTest, PadsReadAsZerosAndAreNeverWritten) {
  const TempDir temp;
  Disk disk(temp.File("d"), {NoiseBytes(50'000, 8), NoiseBytes(10'000, 9)},
            {.with_pad = true});
  for (int piece = 0; piece < disk.num_pieces(); ++piece) {
    disk.PutPiece(piece);
    disk.ExpectHash(piece);
    disk.Release();
    disk.ExpectHash(piece);  // from the disk
  }
  EXPECT_FALSE(fs::exists(temp.File("d/t/.pad")));
}

TEST(DiskIoTest, SaysThatAFileEndsEarly) {
  const TempDir temp;
  Disk disk(temp.File("d"), {NoiseBytes(100'000, 6)}, {});
  disk.PutPiece(0);
  disk.ExpectHash(0);
  fs::resize_file(disk.Path(0), 30'000);
  disk.Release();
  const auto [hash, error] = disk.Hash(0);
  EXPECT_EQ(error.ec, lt::errors::make_error_code(lt::errors::file_too_short));
  EXPECT_EQ(error.file(), lt::file_index_t(0));
}

// F10: a link planted in the work folder.
TEST(DiskIoTest, F10FollowsNoLinkBelowTheWorkFolder) {
  const TempDir temp;
  temp.Write("precious", "not yours");
  fs::create_directories(temp.File("d/t"));
  fs::create_symlink(temp.File("precious"), temp.File("d/t/0"));
  Disk disk(temp.File("d"), {NoiseBytes(64 << 10, 1)}, {});
  disk.PutPiece(0);
  const auto [hash, error] = disk.Hash(0);
  EXPECT_EQ(error.ec.value(), ELOOP);
  EXPECT_EQ(ReadFile(temp.File("precious")), "not yours");

  fs::create_directories(temp.File("elsewhere"));
  fs::create_directories(temp.File("e"));
  fs::create_directory_symlink(temp.File("elsewhere"), temp.File("e/t"));
  Disk other(temp.File("e"), {NoiseBytes(64 << 10, 1)}, {});
  other.PutPiece(0);
  EXPECT_TRUE(other.Hash(0).second);
  EXPECT_TRUE(fs::is_empty(temp.File("elsewhere")));
}

TEST(DiskIoTest, TellsWithTheNextBlockOfAWriteThatFailed) {
  const TempDir temp;
  fs::create_directories(temp.File("d/t/0"));  // a folder in the file's place
  Disk disk(temp.File("d"), {NoiseBytes(2 * (64 << 10), 1)}, {});
  lt::storage_error error;
  disk.Put(0, 0, &error);
  EXPECT_FALSE(error);
  disk.Release();  // writes what there is of the piece
  disk.Put(0, 1, &error);
  EXPECT_EQ(error.ec.value(), EISDIR);
  EXPECT_EQ(error.operation, lt::operation_t::file_open);
}

TEST(DiskIoTest, ServingWritesNothing) {
  const TempDir temp;
  Disk disk(temp.File("d"), {NoiseBytes(64 << 10, 1)},
            {.mode = p2p::PayloadMode::kServe});
  lt::storage_error error;
  disk.Put(0, 0, &error);
  EXPECT_EQ(error.ec.value(), EROFS);
  EXPECT_TRUE(fs::is_empty(temp.File("d")));
}

TEST(DiskIoTest, UnwantedFilesAreNotMadeUntilTheyAreWanted) {
  const TempDir temp;
  const std::vector<std::string> contents{
      NoiseBytes(40'000, 1), NoiseBytes(100'000, 2), NoiseBytes(20'000, 3)};
  Disk disk(temp.File("d"), contents,
            {.priorities = {lt::default_priority, lt::dont_download,
                            lt::default_priority}});
  // All pieces but the one that lies in the second file alone.
  ASSERT_EQ(disk.num_pieces(), 3);
  for (const int piece : {0, 2}) {
    disk.PutPiece(piece);
    disk.ExpectHash(piece);
  }
  EXPECT_EQ(ReadFile(disk.Path(0)), contents[0]);
  EXPECT_EQ(ReadFile(disk.Path(2)), contents[2]);
  EXPECT_FALSE(fs::exists(disk.Path(1)));
  disk.ExpectHash(0);  // what is set aside counts

  bool done = false;
  disk.io().async_set_file_priority(
      disk.index(),
      lt::aux::vector<lt::download_priority_t, lt::file_index_t>(
          3, lt::default_priority),
      [&](const lt::storage_error& error, const auto&) {
        EXPECT_FALSE(error) << error.ec.message();
        done = true;
      });
  disk.RunUntil(done);
  disk.PutPiece(1);
  disk.ExpectHash(1);
  disk.ExpectHash(0);
  EXPECT_EQ(ReadFile(disk.Path(1)), contents[1]);
}

TEST(DiskIoTest, ChecksFilesAgainstResumeData) {
  const TempDir temp;
  const std::vector<std::string> contents{NoiseBytes(100'000, 1), "",
                                          NoiseBytes(100'000, 2)};
  Disk disk(temp.File("d"), contents, {});
  lt::add_torrent_params resume;
  EXPECT_EQ(disk.Check(resume).first, lt::status_t::no_error);
  EXPECT_TRUE(fs::exists(disk.Path(1)));  // an empty file needs no piece

  disk.PutPiece(0);
  disk.ExpectHash(0);
  disk.Release();
  // Nothing is claimed, so nothing is looked for.
  EXPECT_EQ(disk.Check(resume).first, lt::status_t::no_error);
  resume.have_pieces.resize(disk.num_pieces(), false);
  resume.have_pieces.set_bit(lt::piece_index_t(0));
  EXPECT_EQ(disk.Check(resume).first, lt::status_t::no_error);
  // A piece of the third file is claimed, which is not there.
  resume.have_pieces.set_bit(lt::piece_index_t(2));
  const auto [status, error] = disk.Check(resume);
  EXPECT_EQ(status, lt::status_t::need_full_check);
  EXPECT_EQ(error.ec.value(), ENOENT);

  resume.have_pieces.set_all();
  EXPECT_EQ(disk.Check(resume).first, lt::status_t::need_full_check);
  temp.Write("d/t/0", contents[0] + "trailing");
  temp.Write("d/t/2", contents[2]);
  disk.Release();
  // What stands behind the end of a file is cut off.
  EXPECT_EQ(disk.Check(resume).first, lt::status_t::no_error);
  EXPECT_EQ(ReadFile(disk.Path(0)), contents[0]);
}

}  // namespace
}  // namespace tests
