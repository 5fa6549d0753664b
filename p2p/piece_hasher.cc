// SPDX-License-Identifier: Apache-2.0
#include "p2p/piece_hasher.h"

#include <algorithm>
#include <span>
#include <utility>

namespace p2p {

using verify::Result;
using verify::Sha256Digest;

PieceHasher::PieceHasher(uint64_t piece_length, bool with_v1)
    : chunk_bytes_(std::min(piece_length, kPieceChunkBytes)),
      piece_length_(piece_length),
      with_v1_(with_v1),
      buffer_(static_cast<size_t>(chunk_bytes_)),
      zero_chunk_(merkle_.ZeroRoot(LeavesOf(chunk_bytes_))) {}

Result<PieceDigests> PieceHasher::Hash(const verify::ByteSource& file,
                                       const FilePiece& piece,
                                       bool fills_layer) {
  std::vector<Sha256Digest> chunks;
  PieceDigests digests;
  sha1_.Reset();
  const bool is_one_chunk = piece.size_bytes <= chunk_bytes_;
  for (uint64_t done = 0; done < piece.size_bytes;) {
    const auto size =
        static_cast<size_t>(std::min(chunk_bytes_, piece.size_bytes - done));
    const std::span<std::byte> bytes = std::span(buffer_).first(size);
    RETURN_IF_ERROR(file.ReadAt(piece.offset + done, bytes));
    // The tree of a short file is only as wide as its leaves need.
    const bool full_width = fills_layer || !is_one_chunk;
    chunks.push_back(
        merkle_.SubtreeRoot(bytes, full_width ? LeavesOf(chunk_bytes_) : 1));
    if (with_v1_) sha1_.Update(bytes);
    done += size;
  }
  digests.root = merkle_.Root(
      std::move(chunks), zero_chunk_,
      fills_layer ? static_cast<size_t>(piece_length_ / chunk_bytes_) : 1);
  if (with_v1_) {
    if (piece.padding > 0) {
      std::fill(buffer_.begin(), buffer_.end(), std::byte{});
    }
    for (uint64_t left = piece.padding; left > 0;) {
      const auto size = static_cast<size_t>(std::min(chunk_bytes_, left));
      sha1_.Update(std::span(buffer_).first(size));
      left -= size;
    }
    digests.sha1 = sha1_.Finish();
  }
  return digests;
}

}  // namespace p2p
