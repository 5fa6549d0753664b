// SPDX-License-Identifier: Apache-2.0
// Which files of a folder are weights, and which of them belong together, by
// their names alone; what they hold is judged when they are opened.
// Tested by tests/verify/checkpoint/weight_files_test.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "verify/base/result.h"

namespace verify {

inline constexpr std::string_view kShardIndexName =
    "model.safetensors.index.json";
inline constexpr uint64_t kMaxWeightParts = 10'000;

// The id of the error, kNotFound, for a file that others of its set name or
// count and that is not there: a copy that is no copy, unless only a part was
// wanted.
inline constexpr std::string_view kShardMissing = "E-SHARD-MISSING";

// The files of one checkpoint, as paths, in the order of their numbers. Parts
// have names of one of these forms:
//   consolidated.NN.pth, consolidated.NN.pt            from 00
//   consolidated-NNNNN-of-NNNNN.safetensors            from 00001
//   STEM-NNNNN-of-NNNNN.gguf                           from 00001
// A single file stands for itself; shards with an index for the index alone.
//
// A file may have been cut into pieces by its bytes, whatever it holds. Pieces
// have the name of the whole and one of these behind it:
//   -splitN (from 0), -split-a or -split-aa (in order of the alphabet),
//   .partNofN (from 1)
// A whole file may be compressed, with .zst or .zstd behind its name; it is
// passed over if the same is there without.
struct WeightSet {
  std::vector<std::string> files;
  bool is_index = false;
  // The paths of the pieces of each file; none of a file that is whole. A file
  // in pieces need not be there under its own name.
  std::vector<std::vector<std::string>> pieces;

  // Whether a file is in pieces.
  bool in_pieces() const;
};

// `path`, or that of its compressed form if only this is there.
std::string PathHere(const std::string& path);

// The sets of a folder, by the name of their first file, but for those all of
// whose files are compressed. A file that is missing in a set is not looked
// for. Errors: kNotFound, kIo, kLimit (too many files).
Result<std::vector<WeightSet>> ListWeightSets(const std::string& folder);

// The one set that a folder holds, complete; one that is all compressed only if
// there is no other. Errors: those above; kNotFound
// (no weights; kShardMissing), kInvalidArgument (more than one).
Result<WeightSet> ChooseWeightSet(const std::string& folder);

// The set that a file is of by its name, complete; `path` may be a piece, or
// the name of a whole of which only pieces are there. Errors: as above.
Result<WeightSet> WeightSetOf(const std::string& path);

}  // namespace verify
