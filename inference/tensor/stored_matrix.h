// SPDX-License-Identifier: Apache-2.0
// Where the numbers of one matrix of the model lie: a tensor of the checkpoint
// or a part of one, in the order of rows and columns that its layout has. The
// engine and the conversion both read weights through this.
// Tested by tests/inference/tensor/stored_matrix_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inference/tensor/tensor_view.h"
#include "verify/base/bytes.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace inference {

// What the numbers of an fp8 matrix are to be multiplied with: one factor for
// each block of so many rows and columns, row by row of blocks; those at the
// ends may be smaller.
struct MatrixScales {
  const verify::TensorInfo* tensor = nullptr;  // null: there are none
  verify::ByteSpan bytes;                      // of a plain float type
  uint64_t block_rows = 0;
  uint64_t block_cols = 0;
  uint64_t blocks_in_row = 1;
};

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
  // Not empty: the matrix lies in slices of equal shape, row-major each, which
  // stand below each other or side by side; `bytes` is then empty. The type is
  // a plain one.
  std::vector<verify::ByteSpan> slices;
  bool slices_are_columns = false;
  MatrixScales scales;

  // The same for products; rows stay in their stored order.
  TensorView View() const;
  // All bytes of it, in one span or several, for advice about pages.
  std::vector<verify::ByteSpan> Spans() const;
};

// The heads that the rows of `role` turn pair by pair: of q and of k, else 0.
uint64_t RotatedHeads(const verify::ModelConfig& config,
                      verify::TensorRole role);

// The matrix of `role`; `layer` and `expert` -1 where it has none. Requires
// that the structure check has passed and that the family is runnable.
// Errors: kUnsupported (strides of packed blocks, experts stacked in slices),
// kCorrupt (E-STRUCTURE: a shape that the check would not have let pass).
verify::Result<StoredMatrix> FindStoredMatrix(
    const verify::Checkpoint& checkpoint, const verify::ModelConfig& config,
    verify::TensorRole role, int64_t layer, int64_t expert);

// Whether DecodeRows gives the numbers of the model: a type that is decoded,
// and of fp8 the scales are at hand.
bool CanDecodeRows(const StoredMatrix& matrix);

// Reads all scales. Errors: kCorrupt (E-SCALE: one that is not finite or not
// above zero, with its tensor). Nothing to do where there are none.
verify::Result<void> CheckScales(const StoredMatrix& matrix);

// Multiplies the numbers of row `row`, in its stored order, that were decoded
// without scales; does nothing where there are none. Requires values.size() ==
// cols. Thread-safe.
void ScaleRow(const StoredMatrix& matrix, uint64_t row,
              std::span<float> values);

// Rows [first, first + count), in their stored order, as numbers of the model,
// side by side: whatever the layout, scales applied. Requires
// CanDecodeRows(matrix) and out.size() == count * cols. A number that is not
// finite stays so. Thread-safe. Cheaper for many rows at a time where rows do
// not lie side by side.
void DecodeRows(const StoredMatrix& matrix, uint64_t first, uint64_t count,
                std::span<float> out);

}  // namespace inference
