// SPDX-License-Identifier: Apache-2.0
// A weight matrix where it lies: element type, shape and mapped bytes, not
// owned. Rows are consecutive, elements of a row contiguous; no alignment is
// assumed (safetensors promises 8 bytes, a stored storage less).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "verify/base/bytes.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

// [rows, cols], row-major. The mapped file must outlive it.
struct TensorView {
  verify::DType dtype = verify::DType::kF32;
  size_t rows = 0;
  size_t cols = 0;
  size_t row_bytes = 0;
  const std::byte* data = nullptr;

  bool empty() const { return data == nullptr; }
  verify::ByteSpan Row(size_t row) const {
    return {data + row * row_bytes, row_bytes};
  }
  size_t size_bytes() const { return rows * row_bytes; }
};

}  // namespace inference
