// SPDX-License-Identifier: Apache-2.0
// A folder or file to a reproducible .torrent: the same bytes and names give
// the same info-hash on every machine. Tested by
// tests/p2p/create_torrent_test.cc.
#pragma once

#include <cstddef>
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
  uint64_t piece_length = 0;  // 0: ChoosePieceLength of the sizes' sum
  std::vector<std::string> trackers;
  std::vector<std::string> web_seeds;
  std::string comment;
  bool is_private = false;
  std::optional<int64_t> creation_date;  // seconds; none as a rule
  bool want_sha256 = false;              // of every file, in the same read
  size_t num_threads = 0;
};

struct CreatedTorrent {
  std::vector<std::byte> torrent;
  Metainfo metainfo;
  // With want_sha256: as metainfo.files; zeros for pads.
  std::vector<verify::Sha256Digest> sha256;
  std::string magnet;
  // What was left out of the torrent, and why, one line each; a bounded number
  // of them. Printable.
  std::vector<std::string> left_out;
};

// The smallest power of two of at least 16 KiB that cuts `total_bytes` into at
// most 2048 pieces, but no more than 16 MiB:
//
//   up to    32 MiB   64 MiB  128 MiB  256 MiB  512 MiB  1 GiB  2 GiB
//   pieces   16 KiB   32 KiB   64 KiB  128 KiB  256 KiB  512 KiB  1 MiB
//
//   up to     4 GiB    8 GiB   16 GiB   more
//   pieces    2 MiB    4 MiB    8 MiB   16 MiB
//
// Fixed for good: another table would give published content other hashes.
uint64_t ChoosePieceLength(uint64_t total_bytes);

// Regular files under the folder, in byte order of their paths part by part;
// hidden files and unfinished downloads are left out, symlinks and special
// files refused. The files are read once, on all threads. The torrent's name is
// that of the file or folder; nothing of the time, the machine or the program
// goes into it. v2 and hybrid torrents are those of BEP 52, hybrids with pads
// (BEP 47) that let each file begin a piece.
// Errors: kNotFound, kIo, kInvalidArgument (no file, a name that our own
// reader would refuse, a piece length that is no power of two or makes the
// torrent too large, a tracker or web seed that is no usable URL), kMismatch
// (a file changed meanwhile), kCancelled.
verify::Result<CreatedTorrent> CreateTorrent(const CreateOptions& options,
                                             const verify::CancelToken& cancel,
                                             verify::ProgressSink* progress);

}  // namespace p2p
