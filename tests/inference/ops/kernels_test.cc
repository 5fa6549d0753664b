// SPDX-License-Identifier: Apache-2.0
// Every kernel on every compiled CPU target against the plain loops, with odd
// lengths and weights at odd addresses.
#include "inference/ops/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "inference/ops/reference.h"
#include "inference/quant/quantize.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using tests::TestRandom;
using verify::DType;

constexpr DType kDTypes[] = {DType::kF32, DType::kF16, DType::kBF16};
constexpr size_t kLengths[] = {1,   2,   3,   4,   5,   7,   8,   9,   15,
                               16,  17,  31,  32,  33,  47,  63,  64,  65,
                               100, 127, 128, 172, 256, 288, 515, 1024};
// One rounding of a float.
constexpr double kUnit = 0x1p-24;

// A matrix of random weights whose bytes begin `misalignment` bytes past an
// aligned address.
struct Matrix {
  std::vector<std::byte> storage;
  TensorView view;
};

Matrix RandomMatrix(DType dtype, size_t rows, size_t cols, size_t misalignment,
                    TestRandom& random) {
  Matrix m;
  m.view.dtype = dtype;
  m.view.rows = rows;
  m.view.cols = cols;
  m.view.row_bytes = *verify::DTypeBytes(dtype, cols);
  m.storage.resize(misalignment + rows * m.view.row_bytes);
  for (size_t r = 0; r < rows; ++r) {
    const auto row = std::span(m.storage).subspan(
        misalignment + r * m.view.row_bytes, m.view.row_bytes);
    EXPECT_TRUE(EncodeRow(dtype, random.Floats(cols), row));
  }
  m.view.data = m.storage.data() + misalignment;
  return m;
}

bool Fits(DType dtype, size_t n) {
  return verify::DTypeBytes(dtype, n).has_value();
}

// The bound of a float dot product: every product and sum rounds once.
double DotBound(std::span<const float> a, std::span<const float> b) {
  double magnitude = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    magnitude +=
        std::fabs(static_cast<double>(a[i]) * static_cast<double>(b[i]));
  }
  return static_cast<double>(a.size() + 1) * kUnit * magnitude;
}

TEST(KernelsTest, RunsAtLeastOneTargetBestFirst) {
  const auto all = RunnableKernels();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(&BestKernels(), all.front());
  for (size_t i = 1; i < all.size(); ++i) {
    EXPECT_NE(all[i]->target, all[0]->target);
  }
}

TEST(KernelsTest, DecodesRowsToTheBitsOfThePlainLoop) {
  TestRandom random(1);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const DType dtype : kDTypes) {
      for (const size_t n : kLengths) {
        if (!Fits(dtype, n)) continue;
        for (size_t misalignment = 0; misalignment < 4; ++misalignment) {
          const Matrix m = RandomMatrix(dtype, 1, n, misalignment, random);
          // One float more, to see a store past the end.
          std::vector<float> out(n + 1, -7.0f);
          kernels->decode_row(dtype, m.view.data, n, out.data());
          ASSERT_EQ(out[n], -7.0f);
          out.pop_back();
          ASSERT_EQ(out, reference::DecodeRow(m.view, 0))
              << kernels->target << " " << DTypeName(dtype) << " " << n;
        }
      }
    }
  }
}

// All halves, subnormals and infinities among them.
TEST(KernelsTest, DecodesEveryHalf) {
  std::vector<uint16_t> bits(65536);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  for (const Kernels* kernels : RunnableKernels()) {
    std::vector<float> out(bits.size());
    kernels->decode_row(DType::kF16,
                        reinterpret_cast<const std::byte*>(bits.data()),
                        bits.size(), out.data());
    for (size_t i = 0; i < bits.size(); ++i) {
      const float expected = HalfToFloat(bits[i]);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(out[i])) << kernels->target << " " << i;
      } else {
        ASSERT_EQ(out[i], expected) << kernels->target << " " << i;
      }
    }
  }
}

TEST(KernelsTest, DotRowsMatchesTheReference) {
  TestRandom random(2);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const DType dtype : kDTypes) {
      for (const size_t n : kLengths) {
        if (!Fits(dtype, n)) continue;
        for (const size_t rows : {1u, 3u, 4u, 9u}) {
          const Matrix m = RandomMatrix(dtype, rows, n, n % 4, random);
          const std::vector<float> x = random.Floats(n);
          std::vector<float> out(rows + 1, -7.0f);
          kernels->dot_rows(dtype, m.view.data, m.view.row_bytes, rows,
                            x.data(), n, out.data());
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

TEST(KernelsTest, PanelGivesTheBitsOfDotRows) {
  TestRandom random(3);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const DType dtype : kDTypes) {
      for (const size_t n : {1u, 17u, 32u, 100u, 172u, 256u}) {
        if (!Fits(dtype, n)) continue;
        for (const size_t rows : {1u, 4u, 7u, 8u}) {
          for (size_t tokens = 1; tokens <= 9; ++tokens) {
            const Matrix m = RandomMatrix(dtype, rows, n, 1, random);
            const std::vector<float> x = random.Floats(n * tokens);
            std::vector<float> panel(rows * n);
            for (size_t r = 0; r < rows; ++r) {
              kernels->decode_row(dtype, m.view.Row(r).data(), n,
                                  panel.data() + r * n);
            }
            const size_t stride = rows + 3;
            std::vector<float> y(stride * tokens, -7.0f);
            kernels->panel_matmul(panel.data(), rows, x.data(), tokens, n,
                                  y.data(), stride);
            std::vector<float> expected(stride * tokens, -7.0f);
            for (size_t t = 0; t < tokens; ++t) {
              kernels->dot_rows(dtype, m.view.data, m.view.row_bytes, rows,
                                x.data() + t * n, n,
                                expected.data() + t * stride);
            }
            ASSERT_EQ(y, expected)
                << kernels->target << " " << DTypeName(dtype) << " n " << n
                << " rows " << rows << " tokens " << tokens;
          }
        }
      }
    }
  }
}

TEST(KernelsTest, RmsNormMatchesTheReference) {
  TestRandom random(4);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const size_t n : kLengths) {
      const std::vector<float> x = random.Floats(n, 3.0f);
      const std::vector<float> gain = random.Floats(n);
      std::vector<float> out(n + 1, -7.0f);
      kernels->rms_norm(x.data(), gain.data(), n, 1e-5f, out.data());
      ASSERT_EQ(out[n], -7.0f);
      const auto expected = reference::RmsNorm(x, gain, 1e-5);
      for (size_t i = 0; i < n; ++i) {
        // n roundings in the sum, halved by the root, and five more.
        const double bound = (static_cast<double>(n) / 2 + 6) * kUnit *
                             std::fabs(static_cast<double>(expected[i]));
        ASSERT_NEAR(static_cast<double>(out[i]),
                    static_cast<double>(expected[i]), bound)
            << kernels->target << " " << n;
      }
    }
  }
}

TEST(KernelsTest, SiluMultiplyMatchesTheReference) {
  std::vector<float> gate = {0.0f,   -0.0f,  1.0f,   -1.0f, 20.0f,
                             -20.0f, 100.0f, -100.f, 1e30f, -1e30f,
                             1e-30f, 0.5f,   -87.5f, 87.5f, -1e4f};
  TestRandom random(5);
  for (const float value : random.Floats(100, 12.0f)) gate.push_back(value);
  for (const Kernels* kernels : RunnableKernels()) {
    for (size_t n = 1; n <= gate.size(); ++n) {
      const std::vector<float> up = random.Floats(n, 2.0f);
      std::vector<float> out(gate.begin(),
                             gate.begin() + static_cast<ptrdiff_t>(n));
      out.push_back(-7.0f);
      kernels->silu_multiply(out.data(), up.data(), n);
      ASSERT_EQ(out[n], -7.0f);
      for (size_t i = 0; i < n; ++i) {
        const double expected = reference::Silu(static_cast<double>(gate[i])) *
                                static_cast<double>(up[i]);
        // Six roundings; and nothing larger than 1e-6 where e^-x is capped.
        ASSERT_NEAR(static_cast<double>(out[i]), expected,
                    8 * kUnit * std::fabs(expected) + 1e-7)
            << kernels->target << " " << gate[i];
      }
    }
  }
}

TEST(KernelsTest, NanSurvivesEveryKernel) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const Kernels* kernels : RunnableKernels()) {
    for (const size_t n : {5u, 16u, 19u}) {
      std::vector<float> x(n, 1.0f);
      x[n - 1] = kNan;
      const std::vector<float> ones(n, 1.0f);
      std::vector<float> out(n);
      kernels->rms_norm(x.data(), ones.data(), n, 1e-5f, out.data());
      EXPECT_TRUE(std::isnan(out[0])) << kernels->target;
      std::vector<float> gate = x;
      kernels->silu_multiply(gate.data(), ones.data(), n);
      EXPECT_TRUE(std::isnan(gate[n - 1])) << kernels->target;
      EXPECT_FALSE(std::isnan(gate[0])) << kernels->target;
      kernels->dot_rows(DType::kF32,
                        reinterpret_cast<const std::byte*>(x.data()), n * 4, 1,
                        ones.data(), n, out.data());
      EXPECT_TRUE(std::isnan(out[0])) << kernels->target;
    }
  }
}

TEST(KernelsTest, MultiplyAddMatchesTheReference) {
  TestRandom random(6);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const size_t n : kLengths) {
      const std::vector<float> x = random.Floats(n);
      const std::vector<float> start = random.Floats(n);
      std::vector<float> y = start;
      y.push_back(-7.0f);
      kernels->multiply_add(0.3f, x.data(), n, y.data());
      ASSERT_EQ(y[n], -7.0f);
      for (size_t i = 0; i < n; ++i) {
        const double product =
            static_cast<double>(0.3f) * static_cast<double>(x[i]);
        const double expected = product + static_cast<double>(start[i]);
        ASSERT_NEAR(static_cast<double>(y[i]), expected,
                    kUnit * (std::fabs(product) + std::fabs(expected)));
      }
    }
  }
}

TEST(KernelsTest, ToHalfRoundsLikeThePlainLoop) {
  TestRandom random(7);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const size_t n : kLengths) {
      const std::vector<float> x = random.Floats(n, 1000.0f);
      std::vector<uint16_t> out(n + 1, 0xabcd);
      kernels->to_half(x.data(), n, out.data());
      ASSERT_EQ(out[n], 0xabcd);
      for (size_t i = 0; i < n; ++i) ASSERT_EQ(out[i], FloatToHalf(x[i]));
    }
  }
}

// One block of keys is a whole softmax: out / sum is the attention.
void CheckAttend(const Kernels& kernels, size_t group, size_t head_dim,
                 size_t count, TestRandom& random) {
  const size_t stride = head_dim + 5;
  std::vector<uint16_t> keys(stride * count);
  std::vector<uint16_t> values(stride * count);
  std::vector<float> decoded_keys;
  std::vector<float> decoded_values;
  for (size_t j = 0; j < count; ++j) {
    for (size_t i = 0; i < head_dim; ++i) {
      keys[j * stride + i] = FloatToHalf(3 * random.NextFloat());
      values[j * stride + i] = FloatToHalf(random.NextFloat());
      decoded_keys.push_back(HalfToFloat(keys[j * stride + i]));
      decoded_values.push_back(HalfToFloat(values[j * stride + i]));
    }
  }
  const std::vector<float> q = random.Floats(group * head_dim, 3.0f);
  std::vector<float> max(group);
  std::vector<float> sum(group);
  std::vector<float> out(group * head_dim);
  std::vector<float> scores(group * kAttentionBlockKeys);
  AttendArgs args;
  args.q = q.data();
  args.group = group;
  args.head_dim = head_dim;
  args.keys = keys.data();
  args.values = values.data();
  args.stride = stride;
  args.count = count;
  args.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
  args.max = max.data();
  args.sum = sum.data();
  args.out = out.data();
  args.scores = scores.data();
  kernels.attend(args);
  for (size_t g = 0; g < group; ++g) {
    const auto expected =
        reference::Attend(std::span(q).subspan(g * head_dim, head_dim),
                          decoded_keys, decoded_values);
    for (size_t i = 0; i < head_dim; ++i) {
      // Scores of up to 9 * head_dim / sqrt(head_dim) round in head_dim steps;
      // their error multiplies values of at most 1.
      const double bound =
          kUnit * (9 * std::pow(static_cast<double>(head_dim), 1.5) +
                   2 * static_cast<double>(count) + 16);
      ASSERT_NEAR(static_cast<double>(out[g * head_dim + i] / sum[g]),
                  static_cast<double>(expected[i]), bound)
          << kernels.target << " group " << group << " head_dim " << head_dim
          << " count " << count;
    }
  }
}

TEST(KernelsTest, AttendMatchesTheReference) {
  TestRandom random(8);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const size_t head_dim : {2u, 8u, 20u, 32u, 128u}) {
      for (const size_t group : {1u, 2u, 4u, 6u}) {
        for (const size_t count : {1u, 3u, 16u, 37u, 256u}) {
          CheckAttend(*kernels, group, head_dim, count, random);
        }
      }
    }
  }
}

}  // namespace
}  // namespace inference
