// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/number_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "hwy/targets.h"
#include "tests/support/test_random.h"

namespace verify {
namespace {

// IEEE 754 binary16, bfloat16 (the upper half of binary32), binary32.
double Decode(DType dtype, uint32_t bits) {
  if (dtype == DType::kF32) return double{std::bit_cast<float>(bits)};
  if (dtype == DType::kBF16) return double{std::bit_cast<float>(bits << 16)};
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = static_cast<int>((bits >> 10) & 0x1F);
  const double mantissa = static_cast<double>(bits & 0x3FF) / 1024;
  return exponent == 0 ? sign * std::ldexp(mantissa, -14)
                       : sign * std::ldexp(1 + mantissa, exponent - 15);
}

size_t ElementBytes(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

// Numbers between 2^-20 and 2^8, zeros of both signs, and denormals.
uint32_t SomeBits(DType dtype, tests::TestRandom& random) {
  const uint32_t sign = (random.NextU32() % (2)) == 0 ? 0 : 1;
  const uint32_t kind = static_cast<uint32_t>((random.NextU32() % (16)));
  const uint32_t fraction =
      static_cast<uint32_t>((random.NextU32() % (1u << 23)));
  const uint32_t exponent =
      107 + static_cast<uint32_t>((random.NextU32() % (28)));
  uint32_t wide = (exponent << 23) | fraction;
  if (kind == 0) wide = 0;
  if (kind == 1) wide = 1 + fraction / 2;  // denormal in bf16 and f32
  if (dtype == DType::kF32) return sign << 31 | wide;
  if (dtype == DType::kBF16) return sign << 15 | wide >> 16;
  if (kind == 0) return sign << 15;
  if (kind == 1) return sign << 15 | (1 + fraction % 0x3FF);
  const uint32_t half = 1 + static_cast<uint32_t>((random.NextU32() % (23)));
  return sign << 15 | half << 10 | (fraction & 0x3FF);
}

void Check(DType dtype, const std::vector<uint32_t>& values, size_t shift) {
  const size_t size = ElementBytes(dtype);
  std::vector<std::byte> bytes(shift + values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    std::memcpy(bytes.data() + shift + i * size, &values[i], size);
  }
  const RunStats run = ScanRun(dtype, bytes.data() + shift, values.size());
  const MagnitudeBits limits = MagnitudeBitsOf(dtype);
  const uint32_t mask = dtype == DType::kF32 ? 0x7FFF'FFFF : 0x7FFF;
  uint32_t most = 0;
  uint32_t zeros = 0;
  uint32_t denormals = 0;
  bool same = true;
  double min = Decode(dtype, values[0]);
  double max = min;
  double sum = 0;
  double magnitudes = 0;
  double squares = 0;
  for (const uint32_t bits : values) {
    const uint32_t magnitude = bits & mask;
    const double number = Decode(dtype, bits);
    most = std::max(most, magnitude);
    zeros += magnitude == 0 ? 1 : 0;
    denormals += magnitude != 0 && magnitude < limits.first_normal ? 1 : 0;
    same &= bits == values[0];
    min = std::min(min, number);
    max = std::max(max, number);
    sum += number;
    magnitudes += std::abs(number);
    squares += number * number;
  }
  EXPECT_EQ(run.max_bits, most);
  EXPECT_EQ(run.num_zero, zeros);
  EXPECT_EQ(run.num_denormal, denormals);
  EXPECT_EQ(run.same, same);
  EXPECT_EQ(double{run.min}, min);
  EXPECT_EQ(double{run.max}, max);
  // At most 1024 additions in single precision (2^-24 each).
  EXPECT_NEAR(double{run.sum}, sum, 1024 * std::ldexp(magnitudes, -24));
  // A square below the range of single precision counts as nothing.
  EXPECT_NEAR(double{run.sum_squares}, squares,
              1026 * std::ldexp(squares, -24) +
                  1024 * double{std::numeric_limits<float>::min()});
}

TEST(NumberKernelsTest, MatchesPlainLoopsOnEveryTarget) {
  const int64_t supported = hwy::SupportedTargets();
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    tests::TestRandom random(7);
    for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
      for (size_t count = 1; count <= kMaxRun;
           count += count < 40 ? 1 : count / 3 + 7) {
        std::vector<uint32_t> values(count);
        for (uint32_t& value : values) value = SomeBits(dtype, random);
        Check(dtype, values, count % 3);
        std::fill(values.begin(), values.end(), values[0]);
        Check(dtype, values, 1);
      }
    }
    // Infinity or NaN anywhere is seen by the magnitude alone.
    for (const size_t place : {0u, 31u, 1000u, 1023u}) {
      std::vector<uint16_t> halves(kMaxRun, 0x3C00);
      halves[place] = 0xFC00;
      std::vector<std::byte> bytes(2 * kMaxRun);
      std::memcpy(bytes.data(), halves.data(), bytes.size());
      EXPECT_GE(ScanRun(DType::kF16, bytes.data(), kMaxRun).max_bits,
                MagnitudeBitsOf(DType::kF16).first_bad);
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(supported);
}

}  // namespace
}  // namespace verify
