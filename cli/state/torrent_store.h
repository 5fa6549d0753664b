// SPDX-License-Identifier: Apache-2.0
// The torrents that `get` and `publish` have seen, so that `verify` and `seed`
// find the right one for a folder by themselves:
//   DATA/torrents/KEY.torrent   the metainfo
//   DATA/torrents/KEY.manifest.json   the publisher's manifest, if known, with
//                                     its signature beside it
//   DATA/torrents/KEY.json      {"paths": [where its payload was put],
//                                "partial": {path: {file: its SHA-256}}}
// "partial" names the copies of which only some files were wanted, and what
// those were like when all of their pieces had been seen to be right: the
// pieces that they share with files that were left out cannot be hashed later.
// Tested by tests/cli/state/torrent_store_test.cc.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "p2p/metainfo.h"
#include "verify/base/bytes.h"
#include "verify/base/result.h"

namespace cli {

// What a copy holds of its torrent, if not everything.
struct PartialCopy {
  std::vector<bool> files;  // one for each of Metainfo::files: is it wanted
  // By path in the torrent: hex SHA-256 of the file when it was right.
  std::map<std::string, std::string> sha256;
};

struct KnownTorrent {
  std::vector<std::byte> bytes;
  p2p::Metainfo metainfo;
  std::string source;  // in words: "torrent of this folder", a file name, ...
  std::optional<PartialCopy> partial{};  // nothing: all files are wanted
};

class TorrentStore {
 public:
  // `folder` is made when something is saved.
  explicit TorrentStore(std::string folder);
  // DataFolder()/torrents.
  static TorrentStore Default();

  // Remembers a torrent and, if not empty, where its payload stands, and that
  // it holds only some of the files (`partial`) or all (null).
  verify::Result<void> Save(verify::ByteSpan torrent,
                            const p2p::Metainfo& metainfo,
                            const std::string& payload_path,
                            const PartialCopy* partial = nullptr) const;

  // What the copy at `path` was meant to hold; nothing if everything.
  std::optional<PartialCopy> FindPartial(const p2p::Metainfo& metainfo,
                                         const std::string& path) const;

  // Where the manifest of a torrent is kept; it need not be there.
  std::string ManifestPath(const p2p::Metainfo& metainfo) const;

  // By InfoHashes::Key().
  std::optional<KnownTorrent> FindByKey(const std::string& key) const;

  // The torrent that belongs to the payload at `path`: PATH.torrent beside
  // it; else one that was put at this very path; else the one torrent whose
  // files are here with the same names and sizes; else the one whose files
  // are here by name with at least one size right. Nothing if none fits, or
  // if several fit equally.
  std::optional<KnownTorrent> FindForPath(const std::string& path) const;

 private:
  std::string folder_;
};

// Reads and checks a .torrent file.
verify::Result<KnownTorrent> ReadTorrentFile(const std::string& path);

}  // namespace cli
