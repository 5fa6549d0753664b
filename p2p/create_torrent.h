// SPDX-License-Identifier: Apache-2.0
// A folder or file to a reproducible .torrent: the same bytes and names give
// the same info-hash on every machine. Tested by
// tests/p2p/create_torrent_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "p2p/metainfo.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace p2p {

enum class TorrentFormat { kV1, kV2, kHybrid };

struct CreateOptions {
  std::string path;  // file or folder
  TorrentFormat format = TorrentFormat::kV1;
  uint64_t piece_length = 0;  // 0: chosen by size alone
  std::vector<std::string> trackers;
  std::vector<std::string> web_seeds;
  std::string comment;
  bool is_private = false;
  std::optional<int64_t> creation_date;  // seconds; none as a rule
  size_t num_threads = 0;
};

struct CreatedTorrent {
  std::vector<std::byte> torrent;
  Metainfo metainfo;
  std::string magnet;
};

// Regular files under the folder in byte order of their paths; hidden files
// and unfinished downloads are left out, symlinks and special files refused.
// Errors: kNotFound, kIo, kInvalidArgument (no file, a name that our own
// reader would refuse, a piece length that is no power of two), kCancelled.
verify::Result<CreatedTorrent> CreateTorrent(const CreateOptions& options,
                                             const verify::CancelToken& cancel,
                                             verify::ProgressSink* progress);

}  // namespace p2p
