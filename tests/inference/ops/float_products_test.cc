// SPDX-License-Identifier: Apache-2.0
// Products of float weights on every compiled CPU target: rows as they lie, and
// laid out for several tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "inference/ops/kernels.h"
#include "inference/ops/reference.h"
#include "inference/tensor/aligned_buffer.h"
#include "tests/inference/ops/random_matrix.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using tests::kLengths;
using tests::kPlainTypes;
using tests::Matrix;
using tests::RandomMatrix;
using tests::TestRandom;
using verify::DType;

// One rounding of a float.
constexpr double kOneRounding = 0x1p-24;

// The bound of a float dot product: every product and sum rounds once.
double DotBound(std::span<const float> a, std::span<const float> b) {
  double magnitude = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    magnitude +=
        std::fabs(static_cast<double>(a[i]) * static_cast<double>(b[i]));
  }
  return static_cast<double>(a.size() + 1) * kOneRounding * magnitude;
}

TEST(FloatProductsTest, DotRowsMatchesTheReference) {
  TestRandom random(2);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const DType dtype : kPlainTypes) {
      for (const size_t n : kLengths) {
        for (const size_t rows : {1u, 3u, 4u, 5u, 6u, 9u, 13u, 20u}) {
          const Matrix m = RandomMatrix(dtype, rows, n, n % 4, random);
          const std::vector<float> x = random.Floats(n);
          std::vector<float> out(rows + 1, -7.0f);
          kernels->dot_rows(dtype, m.view.data, m.view.row_bytes, rows,
                            x.data(), 1, n, out.data(), rows);
          ASSERT_EQ(out[rows], -7.0f);
          for (size_t r = 0; r < rows; ++r) {
            const auto row = reference::DecodeRow(m.view, r);
            ASSERT_NEAR(static_cast<double>(out[r]), reference::Dot(row, x),
                        DotBound(row, x))
                << kernels->target << " " << DTypeName(dtype) << " " << n;
          }
        }
      }
    }
  }
}

// Every token by itself, rows as they lie.
std::vector<float> DotEach(const Kernels& kernels, const TensorView& w,
                           const std::vector<float>& x, size_t tokens,
                           size_t stride) {
  std::vector<float> y(stride * tokens, -7.0f);
  for (size_t t = 0; t < tokens; ++t) {
    kernels.dot_rows(w.dtype, w.data, w.row_bytes, w.rows,
                     x.data() + t * w.cols, 1, w.cols, y.data() + t * stride,
                     stride);
  }
  return y;
}

TEST(FloatProductsTest, SeveralTokensGiveTheBitsOfOne) {
  TestRandom random(3);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const DType dtype : kPlainTypes) {
      for (const size_t n : {1u, 17u, 32u, 100u, 172u, 256u}) {
        for (const size_t rows : {1u, 3u, 4u, 7u, 8u, 13u}) {
          for (size_t tokens = 1; tokens <= 9; ++tokens) {
            const Matrix m = RandomMatrix(dtype, rows, n, 1, random);
            const std::vector<float> x = random.Floats(n * tokens);
            const size_t stride = rows + 3;
            std::vector<float> y(stride * tokens, -7.0f);
            kernels->dot_rows(dtype, m.view.data, m.view.row_bytes, rows,
                              x.data(), tokens, n, y.data(), stride);
            ASSERT_EQ(y, DotEach(*kernels, m.view, x, tokens, stride))
                << kernels->target << " " << DTypeName(dtype) << " n " << n
                << " rows " << rows << " tokens " << tokens;
          }
        }
      }
    }
  }
}

// Laid out for float_matmul, tile by tile, and multiplied.
std::vector<float> FloatMatMul(const Kernels& kernels, const TensorView& w,
                               const std::vector<float>& x, size_t tokens,
                               size_t stride) {
  const FloatTile& tile = kernels.float_tile;
  AlignedBuffer<float> packed;
  AlignedBuffer<float> scratch;
  EXPECT_TRUE(packed.Reserve(tile.TokenFloats(tokens, w.cols)));
  EXPECT_TRUE(scratch.Reserve(tile.ScratchFloats(w.rows, tokens, w.cols)));
  // What is read before it is written shows.
  std::fill_n(packed.data(), packed.capacity(), std::nanf(""));
  std::fill_n(scratch.data(), scratch.capacity(), std::nanf(""));
  for (size_t t = 0; t < tokens; t += tile.tokens) {
    kernels.pack_tokens(x.data(), tokens, w.cols, t,
                        std::min(tokens, t + tile.tokens), packed.data());
  }
  std::vector<float> y(stride * tokens, -7.0f);
  FloatArgs args;
  args.dtype = w.dtype;
  args.rows = w.data;
  args.row_bytes = w.row_bytes;
  args.num_rows = w.rows;
  args.n = w.cols;
  args.x = packed.data();
  args.num_tokens = tokens;
  args.y = y.data();
  args.y_stride = stride;
  args.scratch = scratch.data();
  kernels.float_matmul(args);
  return y;
}

TEST(FloatProductsTest, FloatMatMulGivesTheBitsOfDotRows) {
  TestRandom random(9);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const DType dtype : kPlainTypes) {
      // Less than a vector, less than a slab, one slab, and a tail after it.
      for (const size_t n :
           {1u, 17u, 32u, 100u, 172u, 256u, 1024u, 1029u, 2080u}) {
        for (const size_t rows : {1u, 3u, 4u, 7u, 8u, 13u}) {
          for (const size_t tokens :
               {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 13u}) {
            const Matrix m = RandomMatrix(dtype, rows, n, 1, random);
            const std::vector<float> x = random.Floats(n * tokens);
            const size_t stride = rows + 3;
            ASSERT_EQ(FloatMatMul(*kernels, m.view, x, tokens, stride),
                      DotEach(*kernels, m.view, x, tokens, stride))
                << kernels->target << " " << DTypeName(dtype) << " n " << n
                << " rows " << rows << " tokens " << tokens;
          }
        }
      }
    }
  }
}

// Blocks of 256 and of 32, over more than one slab.
TEST(FloatProductsTest, FloatMatMulDecodesPackedWeights) {
  TestRandom random(10);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const DType dtype : {DType::kQ4K, DType::kQ8_0}) {
      const size_t n = 2048 + 256;
      const Matrix m = RandomMatrix(dtype, 5, n, 1, random);
      Matrix plain;
      plain.view = m.view;
      plain.view.dtype = DType::kF32;
      plain.view.row_bytes = n * sizeof(float);
      for (size_t r = 0; r < 5; ++r) {
        const auto row = reference::DecodeRow(m.view, r);
        const auto bytes = std::as_bytes(std::span(row));
        plain.storage.insert(plain.storage.end(), bytes.begin(), bytes.end());
      }
      plain.view.data = plain.storage.data();
      const std::vector<float> x = random.Floats(n * 7);
      ASSERT_EQ(FloatMatMul(*kernels, m.view, x, 7, 5),
                DotEach(*kernels, plain.view, x, 7, 5))
          << kernels->target << " " << DTypeName(dtype);
    }
  }
}

}  // namespace
}  // namespace inference
