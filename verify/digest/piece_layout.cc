// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/piece_layout.h"

#include <algorithm>

#include "verify/base/bytes.h"
#include "verify/base/text.h"

namespace verify {

Result<PieceLayout> PieceLayout::Create(const std::vector<uint64_t>& file_sizes,
                                        uint64_t piece_length) {
  PieceLayout layout;
  layout.piece_length_ = piece_length;
  layout.starts_.reserve(file_sizes.size() + 1);
  layout.starts_.push_back(0);
  for (const uint64_t size : file_sizes) {
    const auto end = CheckedAdd(layout.total_bytes_, size);
    if (!end.has_value()) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("sum of the file sizes overflows at ", size));
    }
    layout.total_bytes_ = *end;
    layout.starts_.push_back(*end);
  }
  if (piece_length == 0) return layout;
  layout.num_pieces_ = layout.total_bytes_ / piece_length +
                       (layout.total_bytes_ % piece_length == 0 ? 0 : 1);
  if (layout.num_pieces_ > kMaxPieces) {
    return Fail(ErrorCode::kLimit,
                StrCat(layout.num_pieces_, " pieces of ", piece_length,
                       " bytes, the limit is ", kMaxPieces));
  }
  return layout;
}

uint64_t PieceLayout::PieceBytes(uint64_t piece) const {
  return std::min(piece_length_, total_bytes_ - piece * piece_length_);
}

PieceLayout::PieceRange PieceLayout::PiecesInside(size_t file) const {
  if (piece_length_ == 0) return {};
  const uint64_t begin = starts_[file];
  const uint64_t end = starts_[file + 1];
  PieceRange range;
  range.first = begin / piece_length_ + (begin % piece_length_ == 0 ? 0 : 1);
  // The last piece of all ends where the payload ends.
  range.last = end == total_bytes_ ? num_pieces_ : end / piece_length_;
  if (begin == end || range.last <= range.first) return {};
  return range;
}

std::vector<FileRange> PieceLayout::PartsOf(uint64_t piece) const {
  std::vector<FileRange> parts;
  uint64_t at = piece * piece_length_;
  const uint64_t end = at + PieceBytes(piece);
  // The last start that is <= at; files of no bytes share a start.
  size_t file =
      static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), at) -
                          starts_.begin() - 1);
  for (; at < end; ++file) {
    const uint64_t part_end = std::min(end, starts_[file + 1]);
    if (part_end == at) continue;
    parts.push_back({file, at - starts_[file], part_end - at});
    at = part_end;
  }
  return parts;
}

}  // namespace verify
