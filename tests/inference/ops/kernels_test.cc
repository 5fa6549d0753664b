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
constexpr double kUnit = 0x1p-24;

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
    for (const DType dtype : kPlainTypes) {
      for (const size_t n : kLengths) {
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
                        ones.data(), 1, n, out.data(), 1);
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

TEST(KernelsTest, KeysAndValuesAreStoredAsHalves) {
  TestRandom random(7);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const size_t n : kLengths) {
      const std::vector<float> x = random.Floats(n, 1000.0f);
      std::vector<std::byte> out(2 * n + 1, std::byte{0xab});
      kernels->store_kv(KvType::kF16, x.data(), n, out.data());
      ASSERT_EQ(out[2 * n], std::byte{0xab});
      for (size_t i = 0; i < n; ++i) {
        uint16_t half = 0;
        std::memcpy(&half, out.data() + 2 * i, 2);
        ASSERT_EQ(half, FloatToHalf(x[i]));
      }
    }
  }
}

// Read back by GGUF's own type, of which the blocks are.
std::vector<float> StoredAsBytes(const Kernels& kernels,
                                 const std::vector<float>& x) {
  std::vector<std::byte> rows(KvBytes(KvType::kQ8_0, x.size()) + 1,
                              std::byte{0xab});
  kernels.store_kv(KvType::kQ8_0, x.data(), x.size(), rows.data());
  EXPECT_EQ(rows.back(), std::byte{0xab});
  std::vector<float> out(x.size());
  DecodeRow(verify::DType::kQ8_0, std::span(rows).first(rows.size() - 1), out);
  return out;
}

TEST(KernelsTest, KeysAndValuesAreStoredAsBytes) {
  TestRandom random(7);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const float scale : {1e-3f, 1.0f, 1000.0f}) {
      const std::vector<float> x = random.Floats(96, scale);
      const std::vector<float> stored = StoredAsBytes(*kernels, x);
      for (size_t block = 0; block < x.size(); block += kKvBlock) {
        float largest = 0;
        for (size_t i = 0; i < kKvBlock; ++i) {
          largest = std::max(largest, std::fabs(x[block + i]));
        }
        // Half a step, where a step is largest / 127 as a half (2^-11, and
        // 2^-25 of subnormals); the largest may be cut by as much as a step
        // is too short, 127 times.
        const double step = static_cast<double>(largest) / 127;
        const double bound = step * (0.5 + 127.5 * 0x1p-11) + 128 * 0x1p-25;
        for (size_t i = block; i < block + kKvBlock; ++i) {
          ASSERT_NEAR(static_cast<double>(stored[i]), static_cast<double>(x[i]),
                      bound);
        }
      }
    }
    EXPECT_EQ(StoredAsBytes(*kernels, std::vector<float>(32)),
              std::vector<float>(32));
    // Hand arithmetic: the scale is 127 / 127 = 1.
    std::vector<float> whole(32);
    for (size_t i = 0; i < 32; ++i) whole[i] = static_cast<float>(i) - 16;
    whole[5] = -127;
    EXPECT_EQ(StoredAsBytes(*kernels, whole), whole);
    // What is not finite is seen.
    for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF, 1e38f}) {
      std::vector<float> x(32, 1.0f);
      x[7] = bad;
      EXPECT_FALSE(std::isfinite(StoredAsBytes(*kernels, x)[7])) << bad;
    }
  }
}

struct Attended {
  std::vector<float> max;
  std::vector<float> sum;
  std::vector<float> out;
  friend bool operator==(const Attended&, const Attended&) = default;
};

struct KvRows {
  KvType type;
  size_t head_dim;
  size_t row_bytes;
  std::vector<std::byte> keys;
  std::vector<std::byte> values;
};

Attended RunAttend(const Kernels& kernels, const KvRows& rows,
                   std::span<const float> q, size_t count) {
  const size_t queries = q.size() / rows.head_dim;
  Attended result{std::vector<float>(queries), std::vector<float>(queries),
                  std::vector<float>(q.size())};
  std::vector<float> scores(queries * kAttentionBlockKeys);
  AttendArgs args;
  args.q = q.data();
  args.num_queries = queries;
  args.head_dim = rows.head_dim;
  args.type = rows.type;
  args.keys = rows.keys.data();
  args.values = rows.values.data();
  args.row_bytes = rows.row_bytes;
  args.count = count;
  args.scale =
      static_cast<float>(1 / std::sqrt(static_cast<double>(rows.head_dim)));
  args.max = result.max.data();
  args.sum = result.sum.data();
  args.out = result.out.data();
  args.scores = scores.data();
  kernels.attend(args);
  return result;
}

// One block of keys is a whole softmax: out / sum is the attention. Every query
// by itself gives the same bits.
void CheckAttend(const Kernels& kernels, KvType type, size_t queries,
                 size_t head_dim, size_t count, TestRandom& random) {
  KvRows rows{type, head_dim, KvBytes(type, head_dim) + 5, {}, {}};
  std::vector<float> decoded[2];
  for (const bool is_key : {true, false}) {
    std::vector<std::byte>& stored = is_key ? rows.keys : rows.values;
    stored.resize(rows.row_bytes * count);
    for (size_t j = 0; j < count; ++j) {
      const auto x = random.Floats(head_dim, is_key ? 3.0f : 1.0f);
      std::byte* const row = stored.data() + j * rows.row_bytes;
      kernels.store_kv(type, x.data(), head_dim, row);
      std::vector<float> back(head_dim);
      DecodeRow(
          type == KvType::kF16 ? verify::DType::kF16 : verify::DType::kQ8_0,
          {row, KvBytes(type, head_dim)}, back);
      auto& all = decoded[is_key ? 0 : 1];
      all.insert(all.end(), back.begin(), back.end());
    }
  }
  const std::vector<float> q = random.Floats(queries * head_dim, 3.0f);
  const Attended together = RunAttend(kernels, rows, q, count);
  for (size_t g = 0; g < queries; ++g) {
    const auto one = std::span(q).subspan(g * head_dim, head_dim);
    const Attended alone = RunAttend(kernels, rows, one, count);
    ASSERT_EQ(alone.max[0], together.max[g]);
    ASSERT_EQ(alone.sum[0], together.sum[g]);
    const auto expected = reference::Attend(one, decoded[0], decoded[1]);
    for (size_t i = 0; i < head_dim; ++i) {
      ASSERT_EQ(alone.out[i], together.out[g * head_dim + i]);
      // Scores of up to 9 * head_dim / sqrt(head_dim) round in head_dim steps;
      // their error multiplies values of at most 1.
      const double bound =
          kUnit * (9 * std::pow(static_cast<double>(head_dim), 1.5) +
                   2 * static_cast<double>(count) + 16);
      ASSERT_NEAR(static_cast<double>(alone.out[i] / alone.sum[0]),
                  static_cast<double>(expected[i]), bound)
          << kernels.target << " queries " << queries << " head_dim "
          << head_dim << " count " << count;
    }
  }
}

TEST(KernelsTest, AttendMatchesTheReference) {
  TestRandom random(8);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const size_t head_dim : {2u, 8u, 20u, 32u, 128u}) {
      for (const size_t queries : {1u, 2u, 4u, 6u, 19u}) {
        for (const size_t count : {1u, 3u, 16u, 37u, 256u}) {
          CheckAttend(*kernels, KvType::kF16, queries, head_dim, count, random);
          if (head_dim % kKvBlock != 0) continue;
          CheckAttend(*kernels, KvType::kQ8_0, queries, head_dim, count,
                      random);
        }
      }
    }
  }
}

// A key or a query that is not a number is not passed over.
TEST(KernelsTest, AttendShowsNaN) {
  TestRandom random(9);
  for (const Kernels* kernels : RunnableKernels()) {
    for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
      KvRows rows{type, 32, KvBytes(type, 32), {}, {}};
      constexpr size_t kKeys = 37;
      rows.keys.resize(rows.row_bytes * kKeys);
      rows.values.resize(rows.row_bytes * kKeys);
      for (size_t j = 0; j < kKeys; ++j) {
        auto x = random.Floats(32);
        kernels->store_kv(type, x.data(), 32,
                          rows.values.data() + j * rows.row_bytes);
        if (j == 35) x[3] = std::nanf("");
        kernels->store_kv(type, x.data(), 32,
                          rows.keys.data() + j * rows.row_bytes);
      }
      const auto q = random.Floats(5 * 32);
      for (const float out : RunAttend(*kernels, rows, q, kKeys).out) {
        ASSERT_TRUE(std::isnan(out)) << kernels->target;
      }
      for (const float out : RunAttend(*kernels, rows, q, 35).out) {
        ASSERT_TRUE(std::isfinite(out)) << kernels->target;
      }
    }
  }
}

}  // namespace
}  // namespace inference
