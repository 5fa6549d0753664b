// SPDX-License-Identifier: Apache-2.0
// The BEP 52 tree of one file whose blocks come in any order and from many
// threads: its v2 pieces and its pieces root. Part of hash_engine.
// Tested by tests/verify/digest/hash_engine_v2_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/digest/digest.h"

namespace verify::internal {

// How many units `bytes` make, the last one perhaps short.
inline uint64_t CountUnits(uint64_t bytes, uint64_t unit) {
  return bytes / unit + (bytes % unit == 0 ? 0 : 1);
}

// Keeps one node for each block, or for each piece where those are smaller.
class MerkleNodes {
 public:
  // Of no file.
  MerkleNodes() = default;
  // `block_bytes`, and `piece_length` unless it is 0: powers of two of at
  // least 16 KiB. 0: no pieces are told apart. Requires file_bytes > 0. Of the
  // file `present_bytes` are there; memory grows with them, whatever its size
  // is said to be.
  MerkleNodes(uint64_t file_bytes, uint64_t present_bytes,
              uint64_t piece_length, size_t block_bytes);

  bool empty() const { return nodes_.empty(); }

  // Bytes at `offset`, a multiple of block_bytes, of at most block_bytes. A
  // node of which the file has more than is in `bytes` stays unknown. Different
  // blocks may be added from different threads at once.
  void Add(uint64_t offset, ByteSpan bytes);

  struct Roots {
    // One for each piece; all zero where a part is unknown. A file of at most
    // one piece has its pieces root here. Empty without a piece length.
    std::vector<Sha256Digest> pieces;
    std::vector<uint8_t> known;               // 1: as in `pieces`
    std::optional<Sha256Digest> pieces_root;  // if all nodes are known
  };
  // Call once, after all blocks.
  Roots Finish();

 private:
  uint64_t file_bytes_ = 0;
  uint64_t piece_length_ = 0;
  size_t unit_bytes_ = 0;  // what a node covers
  std::vector<Sha256Digest> nodes_;
  std::vector<uint8_t> known_;
};

}  // namespace verify::internal
