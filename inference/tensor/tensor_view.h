// SPDX-License-Identifier: Apache-2.0
// A weight matrix where it lies: element type, shape and mapped bytes, not
// owned. No alignment is assumed (safetensors promises 8 bytes, a stored
// storage less).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

// The bytes of one row: where they lie, or put together if no place holds all
// of them. As a range of bytes it converts to a ByteSpan, valid while it lives.
class RowBytes {
 public:
  explicit RowBytes(verify::ByteSpan mapped) : mapped_(mapped) {}
  explicit RowBytes(std::vector<std::byte> gathered)
      : gathered_(std::move(gathered)) {}

  const std::byte* data() const {
    return gathered_.empty() ? mapped_.data() : gathered_.data();
  }
  size_t size() const {
    return gathered_.empty() ? mapped_.size() : gathered_.size();
  }
  const std::byte* begin() const { return data(); }
  const std::byte* end() const { return data() + size(); }

 private:
  verify::ByteSpan mapped_;
  std::vector<std::byte> gathered_;
};

// Some rows, or columns, of a matrix that lies in several places.
struct ViewPart {
  const std::byte* data = nullptr;
  size_t extent = 0;  // rows or columns
};

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
  // Not empty: the matrix, of a plain type, lies in parts that each hold some
  // of its rows, or of its columns, without gaps. `data` is that of the first;
  // row_bytes are those of a whole row.
  std::vector<ViewPart> parts;
  bool parts_are_columns = false;

  bool empty() const { return data == nullptr; }
  // Whether all rows can be reached by `data` and `row_bytes`.
  bool has_rows() const { return col_bytes == 0 && parts.empty(); }
  // Requires col_bytes == 0.
  RowBytes Row(size_t row) const;
};

// Bytes of `count` rows from `begin` on, elements and rows side by side, into
// `out`. Requires a plain type and !view.has_rows(); rows are gathered
// together, since each line of memory holds elements of many.
void GatherRows(const TensorView& view, size_t begin, size_t count,
                std::byte* out);

}  // namespace inference
