// SPDX-License-Identifier: Apache-2.0
// Tables of several files of one checkpoint as one table. What the files are to
// each other is told by the names of their tensors.
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

// Files with tensors of their own become one table, file_index i being
// parts[i]. Requires at least two parts. Errors: kUnsupported (E-PARTS: slices
// of a tensor-parallel run, where each file has every tensor), kCorrupt
// (E-PARTS: some tensors are in several files and others not: no parts of one
// model), those of TensorTable::Add.
Result<TensorTable> JoinParts(const std::vector<PartTable>& parts);

}  // namespace verify
