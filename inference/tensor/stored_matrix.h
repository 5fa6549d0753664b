// SPDX-License-Identifier: Apache-2.0
// Where the numbers of one matrix of the model lie: a tensor of the checkpoint
// or a part of one, in the order of rows and columns that its layout has. The
// engine and the conversion both read weights through this.
// Tested by tests/inference/tensor/stored_matrix_test.cc.
#pragma once

#include <cstdint>

#include "inference/tensor/tensor_view.h"
#include "verify/base/bytes.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace inference {

// [rows, cols]; a norm has one row. Element (r, c) is element
// r * row_stride + c * col_stride of `bytes`. Where col_stride is not 1 the
// type is a plain one. Views the checkpoint, which must outlive it.
struct StoredMatrix {
  const verify::TensorInfo* tensor = nullptr;
  verify::ByteSpan bytes;  // from the first element to the last
  uint64_t rows = 1;
  uint64_t cols = 0;
  uint64_t row_stride = 0;
  uint64_t col_stride = 1;
  // Not 0: the rows of each head pair i with i + head_dim / 2 (Hugging Face),
  // not 2i with 2i + 1; the number of heads.
  uint64_t half_rotated_heads = 0;

  // The same for products; rows stay in their stored order.
  TensorView View() const;
};

// The matrix of `role`; `layer` and `expert` -1 where it has none. Requires
// that the structure check has passed and that the family is runnable.
// Errors: kUnsupported (strides of packed blocks), kCorrupt (E-STRUCTURE: a
// shape that the check would not have let pass).
verify::Result<StoredMatrix> FindStoredMatrix(
    const verify::Checkpoint& checkpoint, const verify::ModelConfig& config,
    verify::TensorRole role, int64_t layer, int64_t expert);

}  // namespace inference
