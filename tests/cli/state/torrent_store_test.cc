// SPDX-License-Identifier: Apache-2.0
#include "cli/state/torrent_store.h"

#include <filesystem>

#include "p2p/create_torrent.h"
#include "tests/support/temp_dir.h"
#include "verify/base/file.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

p2p::CreatedTorrent Create(const std::string& path) {
  p2p::CreateOptions options;
  options.path = path;
  const verify::CancelToken cancel;
  auto created = p2p::CreateTorrent(options, cancel, nullptr);
  EXPECT_TRUE(created) << created.error().message;
  return std::move(*created);
}

class TorrentStoreTest : public testing::Test {
 protected:
  TorrentStoreTest() : store_(dir_.File("store")) {
    dir_.Write("a/model/weights", "weights of a");
    dir_.Write("a/model/params", "p");
    torrent_ = Create(dir_.File("a/model"));
  }

  tests::TempDir dir_;
  TorrentStore store_;
  p2p::CreatedTorrent torrent_;
};

TEST_F(TorrentStoreTest, FindsByKeyAndByPath) {
  ASSERT_TRUE(
      store_.Save(torrent_.torrent, torrent_.metainfo, dir_.File("a/model")));
  const auto by_key = store_.FindByKey(torrent_.metainfo.info_hashes.Key());
  ASSERT_TRUE(by_key.has_value());
  EXPECT_EQ(by_key->bytes, torrent_.torrent);
  EXPECT_TRUE(store_.FindForPath(dir_.File("a/model/")).has_value());
  EXPECT_FALSE(store_.FindByKey(std::string(40, '0')).has_value());
}

TEST_F(TorrentStoreTest, FindsACopyElsewhereByItsFiles) {
  ASSERT_TRUE(store_.Save(torrent_.torrent, torrent_.metainfo, ""));
  fs::copy(dir_.File("a/model"), dir_.File("copy"),
           fs::copy_options::recursive);
  EXPECT_TRUE(store_.FindForPath(dir_.File("copy")).has_value());
  // A shortened file leaves the other's size to find it by.
  fs::resize_file(dir_.File("copy/weights"), 3);
  EXPECT_TRUE(store_.FindForPath(dir_.File("copy")).has_value());
  fs::resize_file(dir_.File("copy/params"), 0);
  EXPECT_FALSE(store_.FindForPath(dir_.File("copy")).has_value());
}

TEST_F(TorrentStoreTest, DoesNotGuessBetweenTwo) {
  dir_.Write("b/model/weights", "weights of b");
  dir_.Write("b/model/params", "q");
  const auto other = Create(dir_.File("b/model"));
  ASSERT_TRUE(store_.Save(torrent_.torrent, torrent_.metainfo, ""));
  ASSERT_TRUE(store_.Save(other.torrent, other.metainfo, dir_.File("b/model")));
  fs::copy(dir_.File("a/model"), dir_.File("copy"),
           fs::copy_options::recursive);
  // The path of b is known; the copy fits both by size... except that b is
  // bound to its own path and still fits by size: no answer beats a guess.
  EXPECT_FALSE(store_.FindForPath(dir_.File("copy")).has_value());
  const auto b = store_.FindForPath(dir_.File("b/model"));
  ASSERT_TRUE(b.has_value());
  EXPECT_EQ(b->metainfo.info_hashes, other.metainfo.info_hashes);
}

TEST_F(TorrentStoreTest, ATorrentBesideComesFirst) {
  ASSERT_TRUE(verify::WriteFileAtomically(dir_.File("a/model.torrent"),
                                          torrent_.torrent));
  const auto found = store_.FindForPath(dir_.File("a/model"));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->source, "model.torrent");
}

TEST_F(TorrentStoreTest, DamagedRecordsAreNoRecords) {
  ASSERT_TRUE(
      store_.Save(torrent_.torrent, torrent_.metainfo, dir_.File("a/model")));
  const std::string key = torrent_.metainfo.info_hashes.Key();
  dir_.Write("store/" + key + ".json", "{\"paths\": 7");
  EXPECT_TRUE(store_.FindForPath(dir_.File("a/model")).has_value());
  dir_.Write("store/" + key + ".torrent", "d4:infod");
  EXPECT_FALSE(store_.FindForPath(dir_.File("a/model")).has_value());
}

}  // namespace
}  // namespace cli
