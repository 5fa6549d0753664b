// SPDX-License-Identifier: Apache-2.0
// A torrent's metainfo as Lodestone sees it: our own bounded bencode reader
// and our own rules on names and layout, applied before libtorrent gets the
// bytes. docs/formats/metainfo.md. Fuzzed by tests/fuzz/metainfo_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "p2p/info_hash.h"
#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/digest/hash_engine.h"

namespace p2p {

struct MetainfoFile {
  std::string path;   // relative to the torrent's folder, "/" between parts
  uint64_t size_bytes = 0;
  bool is_pad = false;
  std::optional<verify::Sha256Digest> pieces_root;  // v2
};

struct Metainfo {
  std::string name;  // folder name, or the file's if single_file
  bool single_file = false;
  InfoHashes info_hashes;
  uint64_t piece_length = 0;
  std::vector<MetainfoFile> files;  // pads included, in v1 order
  std::vector<verify::Sha1Digest> piece_digests;  // v1; empty if v2 only
  std::vector<std::string> trackers;
  std::vector<std::string> web_seeds;
  bool is_private = false;
  std::string comment;

  uint64_t total_bytes() const;  // without pads
};

inline constexpr uint64_t kMaxMetainfoBytes = 16u << 20;

// Reads a whole .torrent file (or, with FromInfo, its info dictionary alone as
// peers send it) and checks every rule: sizes, piece length, piece count, and
// names: no "..", absolute, empty, backslash, drive, control, bidirectional or
// over-long parts, no two paths that are equal or equal but for case, no file
// where another needs a folder, no symlinks.
// Errors: kCorrupt (ids E-TORRENT, E-PATH, E-NAME-ALTERED, E-NAME-COLLISION,
//         E-SYMLINK, E-PAD), kLimit.
verify::Result<Metainfo> ParseMetainfo(verify::ByteSpan torrent);
verify::Result<Metainfo> ParseInfoDictionary(verify::ByteSpan info);

// Which file a byte of the v1 payload lies in: (index, offset in it).
struct FileRange {
  size_t file_index = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};
// The file ranges (pads left out) that piece `index` covers.
std::vector<FileRange> PieceRanges(const Metainfo& metainfo, uint32_t index);

}  // namespace p2p
