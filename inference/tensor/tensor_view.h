// SPDX-License-Identifier: Apache-2.0
// A weight matrix where it lies: element type, shape and mapped bytes, not
// owned. No alignment is assumed (safetensors promises 8 bytes, a stored
// storage less).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "verify/base/bytes.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

// [rows, cols]. Rows are row_bytes apart; elements of a row lie side by side,
// or, of plain types, col_bytes apart (a transposed matrix). The mapped file
// must outlive it.
struct TensorView {
  verify::DType dtype = verify::DType::kF32;
  size_t rows = 0;
  size_t cols = 0;
  size_t row_bytes = 0;
  const std::byte* data = nullptr;
  size_t col_bytes = 0;  // 0: side by side

  bool empty() const { return data == nullptr; }
  bool has_rows() const { return col_bytes == 0; }
  // Requires has_rows().
  verify::ByteSpan Row(size_t row) const {
    return {data + row * row_bytes, row_bytes};
  }
};

// Bytes of `count` rows from `begin` on, elements side by side, into `out`.
// Requires !view.has_rows(); rows are gathered together, since each line of
// memory holds elements of many.
void GatherRows(const TensorView& view, size_t begin, size_t count,
                std::byte* out);

}  // namespace inference
