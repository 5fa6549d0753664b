// SPDX-License-Identifier: Apache-2.0
// The Merkle tree of BEP 52 (BitTorrent v2): leaves are the SHA-256 of each
// 16 KiB of one file, the last one short; the leaves are padded with zero
// hashes to a power of two and hashed in pairs up to the pieces root.
// Tested by tests/verify/digest/merkle_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/digest/digest.h"
#include "verify/digest/sha256_lane.h"

namespace verify {

inline constexpr size_t kMerkleLeafBytes = 16u << 10;

// Hashes nodes and leaves of trees, two leaves at a time where that is faster;
// a tree of many nodes needs no allocation per node. Thread-compatible.
class MerkleHasher {
 public:
  explicit MerkleHasher(
      Sha256Lane::Method method = Sha256Lane::Method::kFastest)
      : first_(method), second_(method) {}

  Sha256Digest Parent(const Sha256Digest& left, const Sha256Digest& right);

  // The root of `nodes`, padded on the right with `pad` to the next power of
  // two of at least `min_width`. Requires at least one node.
  Sha256Digest Root(std::vector<Sha256Digest> nodes, Sha256Digest pad,
                    size_t min_width = 1);

  // The root of the leaves of `bytes`, padded to `min_width` leaves or the
  // next power of two. Requires at least one byte.
  Sha256Digest SubtreeRoot(ByteSpan bytes, size_t min_width = 1);

  // The root of a tree of `width` zero leaves; `width` a power of two.
  Sha256Digest ZeroRoot(size_t width);

 private:
  Sha256Lane first_;
  Sha256Lane second_;
};

// The tree of one file as its bytes come in, in order; memory grows with the
// number of pieces. Thread-compatible.
class MerkleTree {
 public:
  // `piece_length`: a power of two of at least 16 KiB.
  explicit MerkleTree(size_t piece_length);

  void Update(ByteSpan bytes);

  struct Roots {
    // Nothing for an empty file, which has no root.
    std::optional<Sha256Digest> pieces_root;
    // The nodes that cover one piece each: what a torrent holds under "piece
    // layers". Empty for a file of at most one piece, as in the torrent.
    std::vector<Sha256Digest> piece_layer;
  };
  // Of all bytes so far. Call once.
  Roots Finish();

 private:
  size_t piece_length_;
  MerkleHasher hasher_;
  std::vector<std::byte> leaf_;       // the leaf that is not full yet
  std::vector<Sha256Digest> leaves_;  // of the piece that is not full yet
  std::vector<Sha256Digest> pieces_;
};

}  // namespace verify
