// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/hash_plan.h"

#include <algorithm>
#include <bit>

#include "verify/base/text.h"
#include "verify/digest/merkle.h"
#include "verify/digest/merkle_nodes.h"

namespace verify::internal {
namespace {

constexpr uint64_t kMinSegmentBytes = 8u << 20;

}  // namespace

void PlanFile(const HashRequest& request, const PieceLayout& layout,
              size_t index, size_t num_threads,
              std::vector<StreamPlan>& plans) {
  const HashFile& file = request.files[index];
  if (IsPad(file)) return;
  auto inside = layout.PiecesInside(index);
  if (file.known.has_value()) inside = {};
  StreamPlan plan;
  plan.file = index;
  plan.end = file.size_bytes;
  plan.read_mode = request.read_mode;
  if (!file.known.has_value()) {
    plan.sums = file.sums;
    plan.merkle = file.want_merkle && file.size_bytes > 0;
  }
  plan.pieces = inside.last > inside.first;
  plan.merkle_piece_length = request.merkle_piece_length;
  const uint64_t length = layout.piece_length();
  uint64_t unit = 0;
  if (!plan.sums.empty()) {
    unit = 0;
  } else if (plan.pieces && !plan.merkle) {
    plan.begin = inside.first * length - layout.FileStart(index);
    const uint64_t last = inside.last - 1;
    plan.end =
        last * length + layout.PieceBytes(last) - layout.FileStart(index);
    unit = length;
  } else if (plan.merkle && !plan.pieces) {
    unit = kBlockBytes;
  } else if (plan.merkle && layout.FileStart(index) % length == 0 &&
             std::has_single_bit(length)) {
    unit = std::max<uint64_t>(length, kBlockBytes);
  }
  if (plan.sums.empty() && !plan.merkle && !plan.pieces) {
    plan.end = plan.begin;  // only looked at
  }
  const uint64_t wish = std::max<uint64_t>(
      kMinSegmentBytes, (plan.end - plan.begin) / (4 * num_threads));
  if (unit == 0 || unit >= plan.end - plan.begin ||
      wish >= plan.end - plan.begin) {
    plans.push_back(plan);
    return;
  }
  const uint64_t segment = (wish / unit + (wish % unit == 0 ? 0 : 1)) * unit;
  for (uint64_t begin = plan.begin; begin < plan.end;) {
    StreamPlan part = plan;
    part.begin = begin;
    part.end = plan.end - begin > segment ? begin + segment : plan.end;
    begin = part.end;
    plans.push_back(part);
  }
}

Result<void> CheckMerklePieces(const HashRequest& request) {
  const uint64_t length = request.merkle_piece_length;
  if (length != 0 &&
      (!std::has_single_bit(length) || length < kMerkleLeafBytes)) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("v2 piece length ", length,
                       ", not a power of two of at least ", kMerkleLeafBytes));
  }
  uint64_t total = 0;
  for (const HashFile& file : request.files) {
    const uint64_t count = length != 0 && file.want_merkle && !IsPad(file)
                               ? CountUnits(file.size_bytes, length)
                               : 0;
    if (!file.merkle_pieces.empty() && file.merkle_pieces.size() != count) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("\"", EscapeForTerminal(file.path),
                         "\": ", file.merkle_pieces.size(),
                         " v2 piece digests given, its size makes ", count));
    }
    total += count;
    if (total > kMaxPieces) {
      return Fail(
          ErrorCode::kLimit,
          StrCat("more than ", kMaxPieces, " v2 pieces of ", length, " bytes"));
    }
  }
  return {};
}

Result<void> CheckKnown(const HashRequest& request, const PieceLayout& layout) {
  for (size_t i = 0; i < request.files.size(); ++i) {
    const HashFile& file = request.files[i];
    if (!file.known.has_value()) continue;
    bool fits = !IsPad(file);
    for (const SumAlgorithm algorithm : file.sums.List()) {
      fits = fits && file.known->sums.contains(algorithm);
    }
    if (file.want_merkle && file.size_bytes > 0) {
      fits = fits && file.known->merkle_root.has_value() &&
             request.merkle_piece_length == 0;
    }
    const auto inside = layout.PiecesInside(i);
    if (!fits || file.known->pieces.size() != inside.last - inside.first) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("\"", EscapeForTerminal(file.path),
                         "\": what is known of it is not what is wanted"));
    }
  }
  return {};
}

}  // namespace verify::internal
