// SPDX-License-Identifier: Apache-2.0
// Which pieces of a torrent stand on disk with the right bytes: v1 pieces and
// v2 leaves in one read, on all processors. libtorrent never hashes what is
// here already. Tested by tests/p2p/piece_check_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "p2p/metainfo.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace p2p {

// One flag for each piece.
using PieceSet = std::vector<bool>;

// Where a payload file (no pad) stands if the payload is at `payload_path`:
// that path itself for a torrent of one file, else below it.
std::string PayloadFilePath(const Metainfo& metainfo, const MetainfoFile& file,
                            const std::string& payload_path);

struct PieceCheckOptions {
  std::string payload_path;  // folder, or the file of a single-file torrent
  PieceSet pieces;           // which to look at; empty: all
  size_t num_threads = 0;    // 0: all processors
  // Called on the caller's thread a few times a second with the file at hand
  // and bytes of the whole check. May be empty.
  std::function<void(const std::string& item, uint64_t done_bytes,
                     uint64_t total_bytes)>
      tick;
};

// For each piece, true if it was looked at and every byte is as the torrent
// says: its SHA-1 for v1, its Merkle node for v2, both for a hybrid. Bytes that
// are not there, cannot be read or change while they are read make a piece
// bad, never an error; holes of sparse files are not read. `layers`: the v2
// nodes (ReadPieceLayers); where a v2-only file has none, its pieces are good
// only if all of them together lead to its root. Memory: 1 MiB a thread.
// Errors: kCancelled.
verify::Result<PieceSet> CheckPieces(const Metainfo& metainfo,
                                     const PieceLayers& layers,
                                     const PieceCheckOptions& options,
                                     const verify::CancelToken& cancel);

// The pieces that have a byte of one of these files (one flag for each of
// metainfo.files; empty: of all files). Empty files and pads have none.
PieceSet PiecesOfFiles(const Metainfo& metainfo,
                       const std::vector<bool>& files);

// How many flags are set.
size_t NumSet(const PieceSet& pieces);

}  // namespace p2p
