// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/fingerprint_tolerance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "inference/quant/quantize.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using verify::DType;

// Root mean square of what a type loses of normally distributed values.
double MeasuredLoss(DType type) {
  constexpr size_t kCount = 32 * 4096;
  tests::TestRandom random(5);
  std::vector<float> values(kCount);
  for (float& value : values) {
    for (int i = 0; i < 12; ++i) value += random.NextFloat();  // variance 4
    value *= 0.01f;
  }
  std::vector<std::byte> bytes(*verify::DTypeBytes(type, kCount));
  EXPECT_TRUE(EncodeRow(type, values, bytes));
  std::vector<float> decoded(kCount);
  DecodeRow(type, bytes, decoded);
  double lost = 0;
  double size = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const auto value = static_cast<double>(values[i]);
    lost += std::pow(static_cast<double>(decoded[i]) - value, 2);
    size += value * value;
  }
  return std::sqrt(lost / size);
}

TEST(FingerprintToleranceTest, LossesAreThoseOfTheConversionsThatExist) {
  for (const DType type : {DType::kBF16, DType::kF16, DType::kQ8_0}) {
    const double measured = MeasuredLoss(type);
    EXPECT_LT(measured, TypeLoss(type)) << DTypeName(type);
    EXPECT_GT(measured, 0.6 * TypeLoss(type)) << DTypeName(type);
  }
  EXPECT_EQ(TypeLoss(DType::kF32), 0);
}

// A uniform quantiser of b bits over +-a loses a / 2^(b-1) / sqrt(12); the
// largest of 32 normal values is 2.1 on average (of 16, 1.8).
TEST(FingerprintToleranceTest, LossesOfOtherTypesFollowTheirBits) {
  const auto uniform = [](double largest, int bits) {
    return largest / std::exp2(bits - 1) / std::sqrt(12.0);
  };
  EXPECT_NEAR(TypeLoss(DType::kQ4_0), uniform(2.1, 4), 0.02);
  EXPECT_NEAR(TypeLoss(DType::kQ5_0), uniform(2.1, 5), 0.01);
  EXPECT_NEAR(TypeLoss(DType::kQ6K), uniform(1.8, 6), 0.004);
  EXPECT_NEAR(TypeLoss(DType::kQ3K), uniform(1.8, 3), 0.05);
  EXPECT_NEAR(TypeLoss(DType::kQ2K), uniform(1.8, 2), 0.1);
  EXPECT_NEAR(TypeLoss(DType::kF8E4M3), 16 * TypeLoss(DType::kBF16) / 1.0,
              0.001);
}

TEST(FingerprintToleranceTest, NothingIsLostWhereTheTypesHoldIt) {
  const TypeSet bf16 = {DType::kBF16};
  const TypeSet f32 = {DType::kF32};
  const TypeSet f16 = {DType::kF16};
  const TypeSet q8 = {DType::kQ8_0};
  const TypeSet q4 = {DType::kQ4_0};
  EXPECT_EQ(ConversionLoss(bf16, bf16), 0);
  EXPECT_EQ(ConversionLoss(q8, q8), 0);
  EXPECT_EQ(ConversionLoss(bf16, f32), 0);
  EXPECT_EQ(ConversionLoss(f16, f32), 0);
  EXPECT_LT(ConversionLoss(bf16, f16), 1e-4);
  EXPECT_EQ(ConversionLoss(f32, bf16), TypeLoss(DType::kBF16));
  EXPECT_EQ(ConversionLoss(bf16, q8), TypeLoss(DType::kQ8_0));
  // Published in blocks: the other may be what they were made from.
  EXPECT_GE(ConversionLoss(q8, f32), TypeLoss(DType::kQ8_0));
  EXPECT_GE(ConversionLoss(q8, q4), TypeLoss(DType::kQ4_0));
  // The largest pair counts.
  EXPECT_EQ(ConversionLoss({DType::kF32, DType::kBF16}, f32), 0);
  EXPECT_EQ(ConversionLoss(bf16, {DType::kQ8_0, DType::kQ4_0}),
            TypeLoss(DType::kQ4_0));
}

// Zeros in place of a part are 1 away, and are found in any type.
TEST(FingerprintToleranceTest, NoTypeForgivesAPartThatIsMissing) {
  EXPECT_LT(CappedTolerance(kExpertFactor * TypeLoss(DType::kQ2K)), 1.0);
  EXPECT_LT(CappedTolerance(100), 1.0);
}

}  // namespace
}  // namespace inference
