// SPDX-License-Identifier: Apache-2.0
// Weights for tests of kernels.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <vector>

#include "inference/quant/quantize.h"
#include "inference/tensor/tensor_view.h"
#include "tests/support/test_random.h"

namespace tests {

inline constexpr verify::DType kPlainTypes[] = {
    verify::DType::kF32, verify::DType::kF16, verify::DType::kBF16};
// Around the widths of vectors, and what no vector divides.
inline constexpr size_t kLengths[] = {
    1,  2,  3,  4,  5,  7,   8,   9,   15,  16,  17,  31,  32,
    33, 47, 63, 64, 65, 100, 127, 128, 172, 256, 288, 515, 1024};

// A matrix of random weights whose bytes begin `misalignment` bytes past an
// aligned address.
struct Matrix {
  std::vector<std::byte> storage;
  inference::TensorView view;
};

inline Matrix RandomMatrix(verify::DType dtype, size_t rows, size_t cols,
                           size_t misalignment, TestRandom& random) {
  Matrix m;
  m.view.dtype = dtype;
  m.view.rows = rows;
  m.view.cols = cols;
  m.view.row_bytes = *verify::DTypeBytes(dtype, cols);
  m.storage.resize(misalignment + rows * m.view.row_bytes);
  for (size_t r = 0; r < rows; ++r) {
    const auto row = std::span(m.storage).subspan(
        misalignment + r * m.view.row_bytes, m.view.row_bytes);
    EXPECT_TRUE(inference::EncodeRow(dtype, random.Floats(cols), row));
  }
  m.view.data = m.storage.data() + misalignment;
  return m;
}

}  // namespace tests
