// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/merkle.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "verify/base/check.h"

namespace verify {

Sha256Digest MerkleHasher::Parent(const Sha256Digest& left,
                                  const Sha256Digest& right) {
  first_.Update(left);
  first_.Update(right);
  return first_.Finish();
}

Sha256Digest MerkleHasher::Root(std::vector<Sha256Digest> nodes,
                                Sha256Digest pad, size_t min_width) {
  CHECK(!nodes.empty());
  size_t width = std::bit_ceil(std::max(nodes.size(), min_width));
  // Only the nodes that are there are kept: to their right stands `pad`, one
  // level up its parent with itself.
  for (; width > 1; width /= 2) {
    if (nodes.size() % 2 != 0) nodes.push_back(pad);
    for (size_t i = 0; i < nodes.size() / 2; ++i) {
      nodes[i] = Parent(nodes[2 * i], nodes[2 * i + 1]);
    }
    nodes.resize(nodes.size() / 2);
    pad = Parent(pad, pad);
  }
  return nodes.front();
}

Sha256Digest MerkleHasher::SubtreeRoot(ByteSpan bytes, size_t min_width) {
  CHECK(!bytes.empty());
  std::vector<Sha256Digest> leaves;
  leaves.reserve(bytes.size() / kMerkleLeafBytes + 1);
  while (bytes.size() >= 2 * kMerkleLeafBytes) {
    Sha256Lane::UpdateBoth(first_, bytes.first(kMerkleLeafBytes), second_,
                           bytes.subspan(kMerkleLeafBytes, kMerkleLeafBytes));
    const auto both = Sha256Lane::FinishBoth(first_, second_);
    leaves.insert(leaves.end(), both.begin(), both.end());
    bytes = bytes.subspan(2 * kMerkleLeafBytes);
  }
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kMerkleLeafBytes);
    first_.Update(bytes.first(size));
    leaves.push_back(first_.Finish());
    bytes = bytes.subspan(size);
  }
  return Root(std::move(leaves), Sha256Digest{}, min_width);
}

Sha256Digest MerkleHasher::ZeroRoot(size_t width) {
  CHECK(std::has_single_bit(width));
  Sha256Digest root{};
  for (; width > 1; width /= 2) root = Parent(root, root);
  return root;
}

MerkleTree::MerkleTree(size_t piece_length) : piece_length_(piece_length) {
  CHECK(std::has_single_bit(piece_length) && piece_length >= kMerkleLeafBytes);
  leaf_.reserve(kMerkleLeafBytes);
}

void MerkleTree::Update(ByteSpan bytes) {
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kMerkleLeafBytes - leaf_.size());
    leaf_.insert(leaf_.end(), bytes.begin(),
                 bytes.begin() + static_cast<ptrdiff_t>(size));
    bytes = bytes.subspan(size);
    if (leaf_.size() < kMerkleLeafBytes) return;
    leaves_.push_back(hasher_.SubtreeRoot(leaf_));
    leaf_.clear();
    if (leaves_.size() == piece_length_ / kMerkleLeafBytes) {
      pieces_.push_back(
          hasher_.Root(std::exchange(leaves_, {}), Sha256Digest{}));
    }
  }
}

MerkleTree::Roots MerkleTree::Finish() {
  if (!leaf_.empty()) leaves_.push_back(hasher_.SubtreeRoot(leaf_));
  Roots roots;
  if (pieces_.empty() && leaves_.empty()) return roots;
  const size_t width = piece_length_ / kMerkleLeafBytes;
  if (pieces_.empty()) {
    // At most one piece: the tree is only as wide as its leaves need.
    roots.pieces_root = hasher_.Root(std::move(leaves_), Sha256Digest{});
    return roots;
  }
  if (!leaves_.empty()) {
    pieces_.push_back(hasher_.Root(std::move(leaves_), Sha256Digest{}, width));
  }
  roots.pieces_root = hasher_.Root(pieces_, hasher_.ZeroRoot(width));
  if (pieces_.size() > 1) roots.piece_layer = std::move(pieces_);
  return roots;
}

}  // namespace verify
