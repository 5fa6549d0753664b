// SPDX-License-Identifier: Apache-2.0
// Which pieces of BitTorrent v1 lie in which files: the files (and pads) one
// after the other, cut into pieces of one length.
// Tested by tests/verify/digest/piece_layout_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "verify/base/result.h"

namespace verify {

inline constexpr uint64_t kMaxPieces = 1u << 24;

// A part of one file.
struct FileRange {
  size_t file = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;

  bool operator==(const FileRange&) const = default;
};

// Immutable, so thread-safe.
class PieceLayout {
 public:
  // `piece_length` 0: no pieces. kInvalidArgument if the sum of the sizes
  // overflows, kLimit beyond kMaxPieces.
  static Result<PieceLayout> Create(const std::vector<uint64_t>& file_sizes,
                                    uint64_t piece_length);

  uint64_t total_bytes() const { return total_bytes_; }
  uint64_t piece_length() const { return piece_length_; }
  uint64_t num_pieces() const { return num_pieces_; }

  // Where the file starts in the payload.
  uint64_t FileStart(size_t file) const { return starts_[file]; }
  // Length of a piece: piece_length, but for a shorter last one.
  uint64_t PieceBytes(uint64_t piece) const;

  // Pieces [first, last) that lie wholly in one file.
  struct PieceRange {
    uint64_t first = 0;
    uint64_t last = 0;

    bool operator==(const PieceRange&) const = default;
  };
  PieceRange PiecesInside(size_t file) const;

  // The parts of the files that make up a piece, in order; no empty ones.
  std::vector<FileRange> PartsOf(uint64_t piece) const;

 private:
  PieceLayout() = default;

  std::vector<uint64_t> starts_;  // one more than files: the last is the end
  uint64_t total_bytes_ = 0;
  uint64_t piece_length_ = 0;
  uint64_t num_pieces_ = 0;
};

}  // namespace verify
