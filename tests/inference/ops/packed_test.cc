// SPDX-License-Identifier: Apache-2.0
// Products with packed and bf16 weights on every CPU target that runs here:
// against sums in double over the rounded activations, and against themselves
// with other neighbours.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "inference/ops/kernels.h"
#include "inference/ops/reference.h"
#include "inference/quant/quantize.h"
#include "inference/tensor/aligned_buffer.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using tests::TestRandom;
using verify::DType;

constexpr DType kPacked[] = {
    DType::kQ8_0, DType::kQ4_0,  DType::kQ4_1,  DType::kQ5_0, DType::kQ5_1,
    DType::kQ2K,  DType::kQ3K,   DType::kQ4K,   DType::kQ5K,  DType::kQ6K,
    DType::kQ8K,  DType::kIQ4NL, DType::kIQ4XS, DType::kMXFP4};
constexpr double kUnit = 0x1p-24;

// Random codes; scales that are halves of about 0.01, so that sums are as
// large as those of weights.
struct PackedMatrix {
  std::vector<std::byte> storage;
  TensorView view;
};

void SetHalf(std::byte* at, float value) {
  const uint16_t bits = FloatToHalf(value);
  std::memcpy(at, &bits, sizeof(bits));
}

void SetScales(DType dtype, std::byte* block, TestRandom& random) {
  const float scale = 0.005f + 0.01f * std::fabs(random.NextFloat());
  const float second = 0.02f * random.NextFloat();
  switch (dtype) {
    case DType::kQ2K:
      SetHalf(block + 80, scale);
      return SetHalf(block + 82, second);
    case DType::kQ3K:
      return SetHalf(block + 108, scale);
    case DType::kQ6K:
      return SetHalf(block + 208, scale);
    case DType::kQ8K:
      std::memcpy(block, &scale, sizeof(scale));
      return;
    case DType::kMXFP4:
      *block = static_cast<std::byte>(120 + static_cast<int>(8 * scale));
      return;
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4K:
    case DType::kQ5K:
      SetHalf(block + 2, second);
      return SetHalf(block, scale);
    default:
      return SetHalf(block, scale);
  }
}

PackedMatrix RandomPacked(DType dtype, size_t rows, size_t cols,
                          TestRandom& random) {
  PackedMatrix m;
  m.view.dtype = dtype;
  m.view.rows = rows;
  m.view.cols = cols;
  m.view.row_bytes = *verify::DTypeBytes(dtype, cols);
  const size_t block = verify::BlockBytes(dtype);
  m.storage.resize(1 + rows * m.view.row_bytes);
  for (auto& byte : m.storage) {
    byte = static_cast<std::byte>(random.NextU32() >> 24);
  }
  for (size_t at = 1; at < m.storage.size(); at += block) {
    SetScales(dtype, m.storage.data() + at, random);
  }
  m.view.data = m.storage.data() + 1;
  return m;
}

std::vector<ActivationBlock> Quantize(const Kernels& kernels,
                                      const std::vector<float>& x, size_t n) {
  std::vector<ActivationBlock> blocks(x.size() / kActivationElements);
  for (size_t t = 0; t < x.size() / n; ++t) {
    kernels.quantize_row(x.data() + t * n, n,
                         blocks.data() + t * (n / kActivationElements));
  }
  return blocks;
}

// Rows [begin, end) of all tokens; the rest of y stays -7.
std::vector<float> Multiply(const Kernels& kernels, const TensorView& w,
                            const std::vector<ActivationBlock>& x, size_t begin,
                            size_t end) {
  AlignedBuffer<std::byte> scratch;
  EXPECT_TRUE(scratch.Reserve(PackedScratchBytes(w.rows, w.row_bytes)));
  PackedArgs args;
  args.dtype = w.dtype;
  args.rows = w.data;
  args.row_bytes = w.row_bytes;
  args.num_rows = w.rows;
  args.n = w.cols;
  args.begin = begin;
  args.end = end;
  args.x = x.data();
  args.num_tokens = x.size() * kActivationElements / w.cols;
  args.y_stride = w.rows + 3;
  std::vector<float> y(args.num_tokens * args.y_stride, -7.0f);
  args.y = y.data();
  args.scratch = scratch.data();
  kernels.packed_matmul(args);
  return y;
}

TEST(PackedTest, ActivationsAreWithinHalfAStep) {
  TestRandom random(21);
  for (const Kernels* kernels : RunnableKernels()) {
    std::vector<float> x = random.Floats(96, 5.0f);
    std::fill(x.begin() + 32, x.begin() + 64, 0.0f);
    const auto blocks = Quantize(*kernels, x, 96);
    for (size_t b = 0; b < 3; ++b) {
      float max = 0;
      int32_t sum = 0;
      int32_t half = 0;
      for (size_t i = 0; i < 32; ++i)
        max = std::max(max, std::fabs(x[32 * b + i]));
      EXPECT_EQ(blocks[b].scale, max / 127.0f) << kernels->target;
      for (size_t i = 0; i < 32; ++i) {
        const int32_t q = blocks[b].q[i];
        EXPECT_NEAR(static_cast<float>(q) * blocks[b].scale, x[32 * b + i],
                    blocks[b].scale * 0.5001f);
        sum += q;
        if (i < 16) half += q;
      }
      EXPECT_EQ(blocks[b].minus_sum, -sum);
      EXPECT_EQ(blocks[b].minus_half_sum, -half);
      EXPECT_EQ(blocks[b].sum, blocks[b].scale * static_cast<float>(sum));
    }
    x[40] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(Quantize(*kernels, x, 96)[1].scale));
    x[40] = -std::numeric_limits<float>::infinity();
    EXPECT_TRUE(std::isnan(Quantize(*kernels, x, 96)[1].scale));
  }
}

TEST(PackedTest, MatchesTheReference) {
  TestRandom random(22);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const DType dtype : kPacked) {
      for (const size_t n : {32u, 96u, 256u, 512u}) {
        if (!verify::DTypeBytes(dtype, n)) continue;
        for (const size_t rows : {1u, 8u, 15u, 16u, 17u, 40u}) {
          const PackedMatrix m = RandomPacked(dtype, rows, n, random);
          for (const size_t tokens : {1u, 2u, 7u}) {
            const auto x = Quantize(*kernels, random.Floats(tokens * n), n);
            const auto y = Multiply(*kernels, m.view, x, 0, rows);
            for (size_t t = 0; t < tokens; ++t) {
              for (size_t r = 0; r < rows; ++r) {
                const auto w = reference::DecodeRow(m.view, r);
                double sum = 0;
                double magnitude = 0;
                for (size_t i = 0; i < n; ++i) {
                  const ActivationBlock& b = x[(t * n + i) / 32];
                  const double product = static_cast<double>(w[i]) *
                                         (static_cast<double>(b.scale) *
                                          static_cast<double>(b.q[i % 32]));
                  sum += product;
                  magnitude += std::fabs(product);
                }
                // Offsets and codes are added apart, and may be larger than
                // what is left of them: 16 times the magnitude bounds it.
                ASSERT_NEAR(static_cast<double>(y[t * (rows + 3) + r]), sum,
                            16 * kUnit * static_cast<double>(n / 8) *
                                (magnitude + 1e-3))
                    << kernels->target << " " << verify::DTypeName(dtype)
                    << " n " << n << " rows " << rows << " row " << r;
              }
              for (size_t r = rows; r < rows + 3; ++r) {
                ASSERT_EQ(y[t * (rows + 3) + r], -7.0f);
              }
            }
          }
        }
      }
    }
  }
}

// Codes and activations as far from zero as they go, of either sign: sums of
// 16 bits have just room for them.
TEST(PackedTest, LargestCodesDoNotOverflow) {
  constexpr size_t kColumns = 64;
  constexpr size_t kRows = 16;
  constexpr size_t kTokens = 4;
  const auto sign = [](size_t pattern, size_t i) {
    return pattern == 0 || (pattern > 1 && i % pattern == 0) ? -1 : 1;
  };
  std::vector<std::byte> storage(kRows * kColumns / 32 * 34);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t i = 0; i < kColumns; ++i) {
      std::byte* const block = storage.data() + (r * kColumns + i) / 32 * 34;
      SetHalf(block, 1.0f);
      block[2 + i % 32] = sign(r, i) < 0 ? std::byte{0x80} : std::byte{0x7f};
    }
  }
  TensorView w;
  w.dtype = DType::kQ8_0;
  w.rows = kRows;
  w.cols = kColumns;
  w.row_bytes = kColumns / 32 * 34;
  w.data = storage.data();
  std::vector<float> x(kTokens * kColumns);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(127 * sign(i / kColumns, i % kColumns));
  }
  for (const Kernels* kernels : RunnableKernels()) {
    for (const size_t tokens : {size_t{1}, kTokens}) {
      for (size_t first = 0; first + tokens <= kTokens; ++first) {
        const std::vector<float> some(
            x.begin() + static_cast<ptrdiff_t>(first * kColumns),
            x.begin() + static_cast<ptrdiff_t>((first + tokens) * kColumns));
        const auto y =
            Multiply(*kernels, w, Quantize(*kernels, some, kColumns), 0, kRows);
        for (size_t t = 0; t < tokens; ++t) {
          for (size_t r = 0; r < kRows; ++r) {
            int32_t sum = 0;
            for (size_t i = 0; i < kColumns; ++i) {
              sum += (sign(r, i) < 0 ? -128 : 127) * 127 * sign(first + t, i);
            }
            ASSERT_EQ(y[t * (kRows + 3) + r], static_cast<float>(sum))
                << kernels->target << " row " << r << " token " << first + t;
          }
        }
      }
    }
  }
}

// More columns than a slab holds, every count of tokens of a tile, and rows in
// ranges: the same bits as row by row and token by token.
TEST(PackedTest, SameBitsForAnyNeighbours) {
  constexpr size_t kColumns = 4096 + 512;
  constexpr size_t kRows = 75;
  TestRandom random(23);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const DType dtype : kPacked) {
      const PackedMatrix m = RandomPacked(dtype, kRows, kColumns, random);
      const auto floats = random.Floats(14 * kColumns);
      const auto all = Quantize(*kernels, floats, kColumns);
      const auto expected = Multiply(*kernels, m.view, all, 0, kRows);
      for (const size_t tokens : {1u, 2u, 3u, 4u, 5u, 6u, 8u}) {
        const std::vector<ActivationBlock> x(
            all.begin() + kColumns / 32,
            all.begin() + static_cast<ptrdiff_t>((1 + tokens) * kColumns / 32));
        for (const size_t step : {75u, 32u}) {
          for (size_t begin = 0; begin < kRows; begin += step) {
            const size_t end = std::min(kRows, begin + step);
            const auto y = Multiply(*kernels, m.view, x, begin, end);
            for (size_t t = 0; t < tokens; ++t) {
              for (size_t r = 0; r < kRows; ++r) {
                const float value = y[t * (kRows + 3) + r];
                if (r < begin || r >= end) {
                  ASSERT_EQ(value, -7.0f);
                } else {
                  ASSERT_EQ(value, expected[(1 + t) * (kRows + 3) + r])
                      << kernels->target << " " << verify::DTypeName(dtype)
                      << " tokens " << tokens << " row " << r;
                }
              }
            }
          }
        }
      }
    }
  }
}

TEST(PackedTest, NanInAScaleOrAnActivationShows) {
  TestRandom random(24);
  for (const Kernels* kernels : RunnableKernels()) {
    PackedMatrix m = RandomPacked(DType::kQ8_0, 20, 64, random);
    std::vector<float> x = random.Floats(2 * 64);
    x[64 + 40] = std::numeric_limits<float>::quiet_NaN();
    const uint16_t nan = 0x7e00;
    std::memcpy(m.storage.data() + 1 + 3 * m.view.row_bytes, &nan, 2);
    const auto y = Multiply(*kernels, m.view, Quantize(*kernels, x, 64), 0, 20);
    for (size_t r = 0; r < 20; ++r) {
      EXPECT_EQ(std::isnan(y[r]), r == 3) << kernels->target;
      EXPECT_TRUE(std::isnan(y[23 + r])) << kernels->target;
    }
  }
}

TEST(Bf16Test, MatchesTheReferenceAndItself) {
  TestRandom random(25);
  for (const Kernels* kernels : RunnableKernels()) {
    if (kernels->bf16_matmul == nullptr) continue;
    for (const size_t n : {1u, 31u, 32u, 33u, 100u, 512u}) {
      for (const size_t rows : {1u, 4u, 7u}) {
        std::vector<std::byte> storage(1 + rows * n * 2);
        TensorView w;
        w.dtype = DType::kBF16;
        w.rows = rows;
        w.cols = n;
        w.row_bytes = 2 * n;
        w.data = storage.data() + 1;
        ASSERT_TRUE(EncodeRow(DType::kBF16, random.Floats(rows * n),
                              std::span(storage).subspan(1)));
        constexpr size_t kTokens = 13;
        const auto floats = random.Floats(kTokens * n);
        std::vector<uint16_t> x(kTokens * n);
        kernels->to_bf16(floats.data(), x.size(), x.data());
        const auto run = [&](size_t first, size_t tokens) {
          std::vector<float> y(tokens * (rows + 1), -7.0f);
          Bf16Args args;
          args.rows = w.data;
          args.row_bytes = w.row_bytes;
          args.num_rows = rows;
          args.n = n;
          args.x = x.data() + first * n;
          args.num_tokens = tokens;
          args.y = y.data();
          args.y_stride = rows + 1;
          kernels->bf16_matmul(args);
          return y;
        };
        const auto all = run(0, kTokens);
        for (size_t t = 0; t < kTokens; ++t) {
          ASSERT_EQ(all[t * (rows + 1) + rows], -7.0f);
          const auto one = run(t, 1);
          for (size_t r = 0; r < rows; ++r) {
            const float y = all[t * (rows + 1) + r];
            ASSERT_EQ(y, one[r]) << n << " " << rows;
            const auto row = reference::DecodeRow(w, r);
            double sum = 0;
            double magnitude = 0;
            for (size_t i = 0; i < n; ++i) {
              const double product =
                  static_cast<double>(row[i]) *
                  static_cast<double>(Bf16ToFloat(x[t * n + i]));
              sum += product;
              magnitude += std::fabs(product);
            }
            ASSERT_NEAR(
                static_cast<double>(y), sum,
                2 * static_cast<double>(n + 1) * kUnit * magnitude + 1e-30)
                << n << " " << rows;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace inference
