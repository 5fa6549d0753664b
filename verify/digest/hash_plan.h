// SPDX-License-Identifier: Apache-2.0
// Which streams a request makes. Part of hash_engine.
// Tested by tests/verify/digest/hash_engine_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "verify/base/result.h"
#include "verify/digest/hash_engine.h"
#include "verify/digest/piece_layout.h"

namespace verify::internal {

// Two of them fit a second-level cache of 1 MiB; smaller ones cost more in
// system calls than they save.
inline constexpr size_t kBlockBytes = 512u << 10;

// What a stream is to do: bytes [begin, end) of a file, and in which digests
// they go. Pieces are those that start in the range and lie in the file.
struct StreamPlan {
  size_t file = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
  SumSet sums;
  bool merkle = false;
  bool pieces = false;
  uint64_t merkle_piece_length = 0;
  ReadMode read_mode = ReadMode::kCached;
};

inline bool IsPad(const HashFile& file) { return file.path.empty(); }

// Appends the streams of one file. A digest of the whole file needs all bytes
// in order: one stream. Without one the file is cut into segments that start
// with a piece and with a block, so that many threads can share it.
void PlanFile(const HashRequest& request, const PieceLayout& layout,
              size_t index, size_t num_threads, std::vector<StreamPlan>& plans);

// kInvalidArgument, kLimit: as HashFiles says of v2 pieces.
Result<void> CheckMerklePieces(const HashRequest& request);

// kInvalidArgument if known digests are not what the request wants.
Result<void> CheckKnown(const HashRequest& request, const PieceLayout& layout);

}  // namespace verify::internal
