// SPDX-License-Identifier: Apache-2.0
// A torrent's metainfo as Lodestone sees it: our own bounded bencode reader
// and our own rules on names and layout, applied before libtorrent gets the
// bytes. docs/formats/metainfo.md. Tested by tests/p2p/metainfo_test.cc, fuzzed
// by tests/fuzz/metainfo_fuzz.cc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "p2p/info_hash.h"
#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/digest/hash_engine.h"

namespace p2p {

inline constexpr uint64_t kMaxMetainfoBytes = 16u << 20;
inline constexpr uint64_t kMinPieceLength = 16u << 10;
inline constexpr uint64_t kMaxPieceLength = 512u << 20;
inline constexpr uint64_t kMaxPieces = 1u << 21;
inline constexpr size_t kMaxTorrentFiles = 250'000;
// Of all paths together: a v2 tree can spell long paths with few bytes.
inline constexpr uint64_t kMaxTotalPathBytes = 64u << 20;

struct MetainfoFile {
  std::string path;  // relative to the torrent's folder, "/" between parts
  uint64_t size_bytes = 0;
  bool is_pad = false;
  std::optional<verify::Sha256Digest> pieces_root;  // v2
  // Where its first byte stands among the pieces.
  uint64_t offset = 0;
};

struct Metainfo {
  std::string name;  // folder name, or the file's if single_file
  bool single_file = false;
  InfoHashes info_hashes;
  uint64_t piece_length = 0;
  std::vector<MetainfoFile> files;                // pads included, in v1 order
  std::vector<verify::Sha1Digest> piece_digests;  // v1; empty if v2 only
  std::vector<std::string> trackers;  // as they came: see endpoint_policy.h
  std::vector<std::string> web_seeds;
  bool is_private = false;
  std::string comment;  // valid UTF-8; not for a terminal as it is
  // Names that other systems cannot store or would hide, one line each; and
  // what was left out or ignored. Printable; a bounded number of lines.
  std::vector<std::string> portability;
  std::vector<std::string> warnings;

  uint64_t total_bytes() const;  // without pads
  uint32_t num_pieces() const;
};

// Per pieces root: the digests of the pieces of a file longer than one piece,
// one after the other, as "piece layers" holds them (v2).
using PieceLayers = std::map<verify::Sha256Digest, std::vector<std::byte>>;

// Reads a whole .torrent file (or, with FromInfo, its info dictionary alone as
// peers send it) and checks every rule: sizes, piece length, piece count, and
// names: no "..", absolute, empty, backslash, drive, control, bidirectional or
// over-long parts, no two paths that are equal or equal but for case, no file
// where another needs a folder, no symlinks. A whole file's piece layers must
// be complete and lead to their roots.
// Errors: kCorrupt (ids E-TORRENT, E-PATH, E-NAME-ALTERED, E-NAME-COLLISION,
//         E-SYMLINK, E-PAD), kLimit, kUnsupported (a later meta version).
verify::Result<Metainfo> ParseMetainfo(verify::ByteSpan torrent);
verify::Result<Metainfo> ParseInfoDictionary(verify::ByteSpan info);

// A whole .torrent around an info dictionary, which stands in it byte for byte.
// `layers` is written as it is given: without those of a v2 torrent the result
// is none that ParseMetainfo accepts, unless every file fits one piece.
// Requires that ParseInfoDictionary accepts `info`.
std::vector<std::byte> TorrentFromInfo(
    verify::ByteSpan info, const std::vector<std::string>& trackers,
    const std::vector<std::string>& web_seeds, const PieceLayers& layers = {});

// The piece layers of a whole .torrent; none for v1, or where every file fits
// one piece. Requires that ParseMetainfo accepts `torrent`.
PieceLayers ReadPieceLayers(verify::ByteSpan torrent);

// Which file a byte of the payload lies in: (index, offset in it).
struct FileRange {
  size_t file_index = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;

  bool operator==(const FileRange&) const = default;
};
// The file ranges (pads left out) that piece `index` covers; none beyond the
// last piece. In a v2-only torrent each file begins a piece of its own.
std::vector<FileRange> PieceRanges(const Metainfo& metainfo, uint32_t index);

}  // namespace p2p
