// SPDX-License-Identifier: Apache-2.0
// The digests of one piece that lies in one file, read in chunks so that a
// thread's memory does not grow with the piece length. Internal to p2p.
// Tested by tests/p2p/create_torrent_test.cc and piece_check_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/digest/digest.h"
#include "verify/digest/merkle.h"

namespace p2p {

// Read at once.
inline constexpr uint64_t kPieceChunkBytes = 1u << 20;

struct FilePiece {
  size_t file = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  uint64_t padding = 0;  // zeros that v1 counts to this piece
};

struct PieceDigests {
  verify::Sha256Digest root{};
  verify::Sha1Digest sha1{};
};

// Used by one thread.
class PieceHasher {
 public:
  // `piece_length`: a power of two of at least 16 KiB.
  PieceHasher(uint64_t piece_length, bool with_v1);

  // `fills_layer`: the piece is one of several, so that its tree has the full
  // width of a piece even where the file ends in it. Errors: those of reading.
  verify::Result<PieceDigests> Hash(const verify::ByteSource& file,
                                    const FilePiece& piece, bool fills_layer);

 private:
  static size_t LeavesOf(uint64_t bytes) {
    return static_cast<size_t>((bytes + verify::kMerkleLeafBytes - 1) /
                               verify::kMerkleLeafBytes);
  }

  uint64_t chunk_bytes_;
  uint64_t piece_length_;
  bool with_v1_;
  std::vector<std::byte> buffer_;
  verify::MerkleHasher merkle_;
  verify::Sha256Digest zero_chunk_;
  verify::Sha1Hasher sha1_;
};

}  // namespace p2p
