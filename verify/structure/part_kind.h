// SPDX-License-Identifier: Apache-2.0
// Weights in several consolidated.NN files: what they are, told by the names
// of their tensors. They are not joined; the message says what would do it.
// Tested by tests/verify/structure/part_kind_test.cc.
#pragma once

#include <string>

#include "verify/base/result.h"
#include "verify/checkpoint/tensor_table.h"

namespace verify {

// Whether experts are stacked as in the first upload of Mixtral to Hugging
// Face: layers.N.block_sparse_moe.w1, w2, w3, each [experts * ff, dim], w2
// transposed, which a view of the right size would not notice.
bool HasStackedExperts(const TensorTable& tensors);

enum class PartKind {
  kStackedExperts,  // as above, each file with tensors of its own
  kDisjoint,        // each file with tensors of its own
  kSlices,          // the same tensors in each: slices of a tensor-parallel run
  kOther,           // neither: parts of different models
};

PartKind KindOfParts(const TensorTable& first, const TensorTable& second);

// `refused`: what opening `folder` said. If the folder holds numbered parts,
// an error of the same code, id E-UNSUPPORTED, that says what they are;
// otherwise `refused`. Opens the tables of two files.
Error ExplainParts(const std::string& folder, Error refused);

}  // namespace verify
