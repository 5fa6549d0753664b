// SPDX-License-Identifier: Apache-2.0
#include "inference/ops/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "inference/ops/reference.h"
#include "tests/inference/ops/random_matrix.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using tests::Matrix;
using tests::RandomMatrix;
using verify::DType;

// What rounding an activation within (-1, 1) may be off by.
double RoundingOf(DType dtype) {
  if (dtype == DType::kBF16) return 0x1p-9;
  return dtype == DType::kQ8_0 ? 0.5 / 127 : 0;
}

TEST(MatMulTest, MatchesTheReference) {
  tests::TestRandom random(1);
  verify::ThreadPool pool(3);
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    // More rows than one range, of a length that fills no whole panel.
    const Matrix m = RandomMatrix(dtype, 1031, 96, 0, random);
    for (const size_t tokens : {1u, 2u, 7u, 19u}) {
      const std::vector<float> x = random.Floats(tokens * 96);
      std::vector<float> y(tokens * 1031);
      MatMul matmul(BestKernels(), pool);
      const MatMulJob job = {&m.view, x.data(), tokens, y.data(), 1031};
      ASSERT_TRUE(matmul.Run({&job, 1}));
      const auto expected = reference::MatMul(m.view, x, tokens);
      for (size_t i = 0; i < y.size(); ++i) {
        // 97 roundings of sums of 96 products below 1.
        ASSERT_NEAR(static_cast<double>(y[i]), static_cast<double>(expected[i]),
                    97 * 96 * 0x1p-24 + 96 * RoundingOf(dtype));
      }
    }
  }
}

TEST(MatMulTest, ExactJobsKeepTheirActivations) {
  tests::TestRandom random(6);
  verify::ThreadPool pool(2);
  const Matrix m = RandomMatrix(DType::kBF16, 9, 96, 0, random);
  const std::vector<float> x = random.Floats(3 * 96);
  std::vector<float> y(3 * 9);
  MatMul matmul(BestKernels(), pool);
  const MatMulJob job = {&m.view, x.data(), 3, y.data(), 9, /*exact=*/true};
  ASSERT_TRUE(matmul.Run({&job, 1}));
  const auto expected = reference::MatMul(m.view, x, 3);
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(y[i]), static_cast<double>(expected[i]),
                97 * 96 * 0x1p-24);
  }
}

TEST(MatMulTest, SameBitsForAnyThreadsAndBatch) {
  tests::TestRandom random(2);
  for (const DType dtype : {DType::kBF16, DType::kQ8_0}) {
    const Matrix a = RandomMatrix(dtype, 517, 160, 0, random);
    const Matrix b = RandomMatrix(dtype, 3, 160, 0, random);
    constexpr size_t kTokens = 11;
    const std::vector<float> x = random.Floats(kTokens * 160);
    std::vector<float> first;
    for (const size_t threads : {1u, 2u, 3u, 8u}) {
      verify::ThreadPool pool(threads);
      MatMul matmul(BestKernels(), pool);
      std::vector<float> together(kTokens * 520);
      const MatMulJob jobs[] = {
          {&a.view, x.data(), kTokens, together.data(), 520},
          {&b.view, x.data(), kTokens, together.data() + 517, 520}};
      ASSERT_TRUE(matmul.Run(jobs));
      std::vector<float> alone(kTokens * 520);
      for (size_t t = 0; t < kTokens; ++t) {
        const MatMulJob one[] = {
            {&a.view, x.data() + t * 160, 1, alone.data() + t * 520, 520},
            {&b.view, x.data() + t * 160, 1, alone.data() + t * 520 + 517,
             520}};
        ASSERT_TRUE(matmul.Run(one));
      }
      EXPECT_EQ(together, alone);
      if (first.empty()) first = together;
      EXPECT_EQ(together, first) << threads;
    }
  }
}

// A matrix that lies across gives the same bits as one that lies along.
TEST(MatMulTest, SameBitsWhenTransposed) {
  tests::TestRandom random(5);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const Matrix m = RandomMatrix(dtype, 131, 96, 0, random);
    const size_t element = verify::BlockBytes(dtype);
    std::vector<std::byte> across(m.storage.size());
    for (size_t r = 0; r < 131; ++r) {
      for (size_t c = 0; c < 96; ++c) {
        std::memcpy(across.data() + (c * 131 + r) * element,
                    m.storage.data() + (r * 96 + c) * element, element);
      }
    }
    TensorView view = m.view;
    view.data = across.data();
    view.row_bytes = element;
    view.col_bytes = 131 * element;
    for (const size_t tokens : {1u, 7u, 19u}) {
      const std::vector<float> x = random.Floats(tokens * 96);
      for (const size_t threads : {1u, 3u}) {
        verify::ThreadPool pool(threads);
        MatMul matmul(BestKernels(), pool);
        std::vector<float> along(tokens * 131);
        std::vector<float> y(tokens * 131);
        const MatMulJob jobs[] = {
            {&m.view, x.data(), tokens, along.data(), 131},
            {&view, x.data(), tokens, y.data(), 131}};
        ASSERT_TRUE(matmul.Run(jobs));
        EXPECT_EQ(y, along) << verify::DTypeName(dtype);
      }
    }
  }
}

TEST(MatMulTest, NoTokensAreNoWork) {
  verify::ThreadPool pool(2);
  MatMul matmul(BestKernels(), pool);
  tests::TestRandom random(3);
  const Matrix m = RandomMatrix(DType::kF32, 4, 4, 0, random);
  const MatMulJob job = {&m.view, nullptr, 0, nullptr, 4};
  EXPECT_TRUE(matmul.Run({&job, 1}));
  EXPECT_TRUE(matmul.Run({}));
}

TEST(MatMulTest, ReturnsAtOnceWhenCancelled) {
  verify::ThreadPool pool(2);
  MatMul matmul(BestKernels(), pool);
  tests::TestRandom random(4);
  const Matrix m = RandomMatrix(DType::kF32, 4, 4, 0, random);
  const std::vector<float> x(4, 1.0f);
  std::vector<float> y(4, -7.0f);
  const MatMulJob job = {&m.view, x.data(), 1, y.data(), 4};
  verify::CancelToken cancel;
  cancel.Cancel();
  matmul.set_cancel(&cancel);
  EXPECT_TRUE(matmul.Run({&job, 1}));
  EXPECT_TRUE(matmul.cancelled());
  EXPECT_EQ(y, std::vector<float>(4, -7.0f));
}

}  // namespace
}  // namespace inference
