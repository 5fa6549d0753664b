// SPDX-License-Identifier: Apache-2.0
// Tables of several files of one checkpoint as one table. What the files are to
// each other is told by the names of their tensors: files with tensors of their
// own are parts, files that all have every tensor are slices of a
// tensor-parallel run. Layout: docs/formats/layouts.md.
// Tested by tests/verify/checkpoint/join_parts_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/tensor_table.h"

namespace verify {

struct PartTable {
  std::string path;
  TensorTable tensors;
  uint64_t file_size = 0;
};

// A tensor that every file of a tensor-parallel run has whole: the table has
// that of the first file, and the others must hold the same bytes, which is for
// whoever maps them to compare.
struct TensorCopies {
  std::string name;
  std::vector<TensorSlice> places;  // one for each file
};

struct JoinedParts {
  TensorTable tensors;
  std::vector<TensorCopies> copies;  // none if the files are no slices
};

// Longer rows of slices are not put together.
inline constexpr uint64_t kMaxSlicedRow = uint64_t{1} << 20;
// What is larger is no norm that each file repeats.
inline constexpr uint64_t kMaxCopyBytes = 16u << 20;

// file_index i is parts[i]. Requires at least two parts. Errors: kCorrupt
// (E-PARTS: some tensors are in several files and others not, or the slices do
// not make up matrices of one model), kUnsupported (E-PARTS: slices of tensors
// that are not known to be cut, or of packed or strided ones), kLimit, those of
// TensorTable::Add.
Result<JoinedParts> JoinParts(const std::vector<PartTable>& parts);

}  // namespace verify
