// SPDX-License-Identifier: Apache-2.0
#include "p2p/adopt.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/loopback_swarm.h"
#include "tests/support/temp_dir.h"

namespace tests {
namespace {

namespace fs = std::filesystem;
using p2p::Metainfo;
using p2p::PieceSet;
using verify::CancelToken;

constexpr size_t kPiece = 32 << 10;

// Everything is shared: pieces 0 to 2 are of a.bin, 3 of all three.
TestTorrent MakeTorrent() {
  return MakeV1Torrent("model",
                       {{"a.bin", NoiseBytes(3 * kPiece + 100, 1)},
                        {"empty", ""},
                        {"sub/b.bin", NoiseBytes(200, 2)},
                        {"sub/c.bin", NoiseBytes(2 * kPiece, 3)}},
                       kPiece);
}

class AdoptTest : public testing::Test {
 protected:
  AdoptTest() : torrent_(MakeTorrent()) {
    metainfo_ = *p2p::ParseMetainfo(torrent_.torrent);
    WritePayload(torrent_, temp_.File("good"));
    WritePayload(torrent_, temp_.File("copy"));
  }
  std::string Good() const { return temp_.File("good/model"); }
  std::string Copy() const { return temp_.File("copy/model"); }
  PieceSet Check(const std::string& path) const {
    p2p::PieceCheckOptions options;
    options.payload_path = path;
    return *p2p::CheckPieces(metainfo_, {}, options, CancelToken());
  }
  // Pieces that the copy lacks, from the good payload.
  verify::Result<p2p::ApplyOutcome> Apply() const {
    p2p::ApplyOptions options;
    options.from = Good();
    options.to = Copy();
    options.good = Check(Copy());
    options.pieces = options.good;
    options.pieces.flip();
    options.files.assign(metainfo_.files.size(), true);
    return p2p::ApplyPieces(metainfo_, options);
  }
  static ino_t Inode(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_ino;
  }
  void Damage(const std::string& name, size_t at) const {
    std::string bytes = ReadFile(Copy() + "/" + name);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    temp_.Write("copy/model/" + name, bytes);
  }

  TempDir temp_;
  TestTorrent torrent_;
  Metainfo metainfo_;
};

TEST_F(AdoptTest, WritesOnlyThePieceThatDiffers) {
  Damage("a.bin", kPiece + 3);
  const ino_t inode = Inode(Copy() + "/a.bin");
  const auto applied = Apply();
  ASSERT_TRUE(applied) << applied.error().ToString();
  EXPECT_EQ(applied->written_bytes, kPiece);
  EXPECT_EQ(applied->files_repaired, 1u);
  EXPECT_EQ(applied->files_made, 0u);
  EXPECT_EQ(Inode(Copy() + "/a.bin"), inode) << "in place";
  EXPECT_EQ(DescribeDifference(torrent_, Copy()), "");
}

TEST_F(AdoptTest, MendsEveryKindOfHarm) {
  fs::remove(Copy() + "/empty");
  fs::resize_file(Copy() + "/a.bin", kPiece + 10);       // cut off
  std::string longer = ReadFile(Copy() + "/sub/c.bin");  // too long
  temp_.Write("copy/model/sub/c.bin", longer + "more");
  fs::remove(Copy() + "/sub/b.bin");
  temp_.Write("copy/model/mine.txt", "mine");
  const auto applied = Apply();
  ASSERT_TRUE(applied) << applied.error().ToString();
  EXPECT_EQ(applied->files_made, 2u);
  EXPECT_EQ(applied->files_repaired, 2u);
  EXPECT_EQ(ReadFile(Copy() + "/mine.txt"), "mine") << "not the torrent's";
  fs::remove(Copy() + "/mine.txt");
  EXPECT_EQ(DescribeDifference(torrent_, Copy()), "");
}

TEST_F(AdoptTest, MakesAFolderThatIsNotThere) {
  fs::remove_all(Copy());
  const auto applied = Apply();
  ASSERT_TRUE(applied) << applied.error().ToString();
  EXPECT_EQ(DescribeDifference(torrent_, Copy()), "");
}

TEST_F(AdoptTest, WritesNoFileThatIsNotWanted) {
  fs::remove_all(Copy());
  p2p::ApplyOptions options;
  options.from = Good();
  options.to = Copy();
  options.good.assign(metainfo_.num_pieces(), false);
  options.pieces.assign(metainfo_.num_pieces(), true);
  options.files = {false, false, false, true};
  const auto applied = p2p::ApplyPieces(metainfo_, options);
  ASSERT_TRUE(applied) << applied.error().ToString();
  EXPECT_EQ(ReadFile(Copy() + "/sub/c.bin"), torrent_.files[3].content);
  EXPECT_FALSE(fs::exists(Copy() + "/a.bin"));
  EXPECT_FALSE(fs::exists(Copy() + "/sub/b.bin"));
}

TEST_F(AdoptTest, F10RefusesLinksInTheWay) {
  temp_.Write("target", "precious");
  fs::remove(Copy() + "/a.bin");
  fs::create_symlink(temp_.File("target"), Copy() + "/a.bin");
  auto applied = Apply();
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().id, "E-SYMLINK");
  EXPECT_EQ(ReadFile(temp_.File("target")), "precious");
  fs::remove_all(Copy());
  fs::create_directories(Copy());
  fs::create_directories(temp_.File("elsewhere"));
  fs::create_directory_symlink(temp_.File("elsewhere"), Copy() + "/sub");
  applied = Apply();
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().id, "E-SYMLINK");
  EXPECT_TRUE(fs::is_empty(temp_.File("elsewhere")));
}

TEST_F(AdoptTest, BringsInWhatIsRightAndLeavesTheOldCopyAlone) {
  Damage("a.bin", kPiece + 3);
  const std::string before = ReadFile(Copy() + "/a.bin");
  const PieceSet good = Check(Copy());
  EXPECT_EQ(p2p::NumSet(good), metainfo_.num_pieces() - 1);
  PieceSet have(metainfo_.num_pieces(), false);
  const std::string to = temp_.File("work/model");
  fs::create_directories(temp_.File("work"));
  const auto brought = p2p::BringIn(metainfo_, Copy(), to, good, have);
  ASSERT_TRUE(brought) << brought.error().ToString();
  EXPECT_EQ(have, good);
  EXPECT_EQ(Check(to), good);
  EXPECT_EQ(ReadFile(Copy() + "/a.bin"), before);
  // A file that will still be written has an inode of its own.
  EXPECT_NE(Inode(to + "/a.bin"), Inode(Copy() + "/a.bin"));
}

}  // namespace
}  // namespace tests
