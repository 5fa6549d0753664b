// SPDX-License-Identifier: Apache-2.0
#include "inference/quant/float_formats.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace inference {
namespace {

float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }

// IEEE 754-2019 3.3: value of a half from its fields, in double.
double HalfByDefinition(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST(FloatFormatsTest, HalfToFloatIsItsDefinitionForAllBits) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const double expected = HalfByDefinition(half);
    const auto actual = static_cast<double>(HalfToFloat(half));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(actual)) << bits;
    } else {
      ASSERT_EQ(actual, expected) << bits;
      ASSERT_EQ(std::signbit(actual), std::signbit(expected)) << bits;
    }
  }
}

TEST(FloatFormatsTest, FloatToHalfTakesTheNearestAndEvenAtTies) {
  // Between each two neighbours: a hair below the middle, the middle (to the
  // even one) and a hair above.
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const auto middle = static_cast<float>(
        (HalfByDefinition(low) + HalfByDefinition(high)) / 2);
    ASSERT_EQ(FloatToHalf(HalfToFloat(low)), low);
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), low) << bits;
    ASSERT_EQ(FloatToHalf(middle), (bits & 1) == 0 ? low : high) << bits;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 1e9f)), high) << bits;
    ASSERT_EQ(FloatToHalf(-middle), FloatToHalf(middle) | 0x8000) << bits;
  }
}

TEST(FloatFormatsTest, FloatToHalfOverflowsAndKeepsNan) {
  EXPECT_EQ(FloatToHalf(65504.0f), 0x7bff);
  EXPECT_EQ(FloatToHalf(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(-1e30f), 0xfc00);
  EXPECT_EQ(FloatToHalf(FromBits(0x7f800000)), 0x7c00);
  EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(FromBits(0x7f800001)))));
  EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(FromBits(0xffffffff)))));
}

TEST(FloatFormatsTest, Bf16RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto bf16 = static_cast<uint16_t>(bits);
    const float value = Bf16ToFloat(bf16);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(Bf16ToFloat(FloatToBf16(value)))) << bits;
      continue;
    }
    ASSERT_EQ(FloatToBf16(value), bf16);
    if (std::isinf(value)) continue;
    // The lower half of a float's bits is the fraction of the spacing.
    const uint32_t wide = bits << 16;
    ASSERT_EQ(FloatToBf16(FromBits(wide + 0x7fff)), bf16);
    ASSERT_EQ(FloatToBf16(FromBits(wide + 0x8000)), bf16 + (bits & 1));
    ASSERT_EQ(FloatToBf16(FromBits(wide + 0x8001)), bf16 + 1);
  }
  EXPECT_TRUE(std::isnan(Bf16ToFloat(FloatToBf16(FromBits(0x7f800001)))));
}

TEST(FloatFormatsTest, F8IsItsDefinitionForAllBits) {
  // OCP 8-bit floating point 1.0, e4m3: bias 7, S.1111.111 is NaN.
  for (int bits = 0; bits < 256; ++bits) {
    const float actual = F8E4M3ToFloat(static_cast<uint8_t>(bits));
    const int exponent = bits >> 3 & 15;
    const int fraction = bits & 7;
    if ((bits & 127) == 127) {
      EXPECT_TRUE(std::isnan(actual)) << bits;
      continue;
    }
    const float magnitude =
        exponent == 0
            ? std::ldexp(static_cast<float>(fraction), -9)
            : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    EXPECT_EQ(actual, (bits & 128) != 0 ? -magnitude : magnitude) << bits;
    EXPECT_EQ(std::signbit(actual), (bits & 128) != 0) << bits;
  }
  EXPECT_EQ(F8E4M3ToFloat(0x7e), 448.0f);  // the largest
}

TEST(FloatFormatsTest, E8M0IsAPowerOfTwoOrNan) {
  for (int bits = 0; bits < 255; ++bits) {
    EXPECT_EQ(E8M0ToFloat(static_cast<uint8_t>(bits)),
              std::ldexp(1.0f, bits - 127));
  }
  EXPECT_TRUE(std::isnan(E8M0ToFloat(255)));
}

}  // namespace
}  // namespace inference
