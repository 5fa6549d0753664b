// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/merkle_nodes.h"

#include <algorithm>
#include <utility>

#include "verify/digest/merkle.h"

namespace verify::internal {

MerkleNodes::MerkleNodes(uint64_t file_bytes, uint64_t present_bytes,
                         uint64_t piece_length, size_t block_bytes)
    : file_bytes_(file_bytes),
      piece_length_(piece_length),
      unit_bytes_(block_bytes) {
  if (piece_length != 0 && piece_length < block_bytes) {
    unit_bytes_ = static_cast<size_t>(piece_length);
  }
  nodes_.resize(static_cast<size_t>(
      CountUnits(std::min(file_bytes, present_bytes), unit_bytes_)));
  known_.resize(nodes_.size());
}

void MerkleNodes::Add(uint64_t offset, ByteSpan bytes) {
  // A tree that is wider than a node holds the node's subtree in full width; a
  // smaller one is only as wide as its leaves need.
  const size_t width =
      file_bytes_ > unit_bytes_ ? unit_bytes_ / kMerkleLeafBytes : 1;
  MerkleHasher hasher;
  while (!bytes.empty()) {
    const auto size = static_cast<size_t>(
        std::min<uint64_t>(unit_bytes_, file_bytes_ - offset));
    const auto node = static_cast<size_t>(offset / unit_bytes_);
    if (bytes.size() < size || node >= nodes_.size()) return;
    nodes_[node] = hasher.SubtreeRoot(bytes.first(size), width);
    known_[node] = 1;
    offset += size;
    bytes = bytes.subspan(size);
  }
}

MerkleNodes::Roots MerkleNodes::Finish() {
  Roots roots;
  MerkleHasher hasher;
  const Sha256Digest pad = hasher.ZeroRoot(unit_bytes_ / kMerkleLeafBytes);
  const uint64_t num_nodes = CountUnits(file_bytes_, unit_bytes_);
  const bool whole = nodes_.size() == num_nodes &&
                     std::find(known_.begin(), known_.end(), 0) == known_.end();
  if (piece_length_ == 0) {
    if (whole) roots.pieces_root = hasher.Root(std::move(nodes_), pad);
    return roots;
  }
  const auto num_pieces =
      static_cast<size_t>(CountUnits(file_bytes_, piece_length_));
  const auto width = static_cast<size_t>(piece_length_ / unit_bytes_);
  roots.pieces.resize(num_pieces);
  roots.known.resize(num_pieces);
  for (size_t piece = 0; piece < num_pieces; ++piece) {
    const size_t first = piece * width;
    const auto last =
        static_cast<size_t>(std::min<uint64_t>(first + width, num_nodes));
    if (last > nodes_.size()) break;  // no more bytes were there
    const auto at = [first, last](auto& items) {
      return std::pair(items.begin() + static_cast<ptrdiff_t>(first),
                       items.begin() + static_cast<ptrdiff_t>(last));
    };
    const auto [known, known_end] = at(known_);
    if (std::find(known, known_end, 0) != known_end) continue;
    const auto [node, node_end] = at(nodes_);
    roots.pieces[piece] = hasher.Root(std::vector(node, node_end), pad,
                                      num_pieces == 1 ? 1 : width);
    roots.known[piece] = 1;
  }
  nodes_ = {};
  if (whole) {
    roots.pieces_root = hasher.Root(
        roots.pieces,
        hasher.ZeroRoot(static_cast<size_t>(piece_length_ / kMerkleLeafBytes)));
  }
  return roots;
}

}  // namespace verify::internal
