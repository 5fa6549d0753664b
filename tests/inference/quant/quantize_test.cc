// SPDX-License-Identifier: Apache-2.0
#include "inference/quant/quantize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace inference {
namespace {

using verify::DType;

float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }

// Bytes of `count` elements, by hand.
size_t SizeOf(DType dtype, size_t count) {
  switch (dtype) {
    case DType::kF32:
      return count * 4;
    case DType::kQ8_0:
      return count / 32 * 34;
    default:
      return count * 2;
  }
}

TEST(QuantizeTest, Q8RoundsHalvesAwayFromZeroAgainstAPowerOfTwoScale) {
  // Largest 127: scale 1, so q is the value rounded. Hand arithmetic.
  std::vector<float> values(32, 0.0f);
  values[0] = 127.0f;
  values[1] = -127.0f;
  values[2] = 0.5f;
  values[3] = -0.5f;
  values[4] = 1.5f;
  values[5] = 2.5f;
  values[6] = -2.5f;
  values[7] = std::nextafter(0.5f, 0.0f);
  values[8] = std::nextafter(-0.5f, 0.0f);
  values[9] = 126.49f;
  values[10] = -126.5f;
  BlockQ8_0 block;
  ASSERT_TRUE(EncodeQ8_0(values, {&block, 1}));
  EXPECT_EQ(block.scale, 0x3c00);  // 1.0
  const std::vector<int> expected = {127, -127, 1, -1,  2,    3,
                                     -3,  0,    0, 126, -127, 0};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(block.q[i], expected[i]) << i;
  }
}

TEST(QuantizeTest, Q8RoundingAgreesWithTheLibraryAtEveryHalf) {
  for (int n = -126; n <= 126; ++n) {
    const float half = static_cast<float>(n) + 0.5f;
    std::vector<float> values(32, half);
    values[0] = 127.0f;
    values[1] = std::nextafter(half, -1e9f);
    values[2] = std::nextafter(half, 1e9f);
    BlockQ8_0 block;
    ASSERT_TRUE(EncodeQ8_0(values, {&block, 1}));
    for (size_t i = 0; i < 32; ++i) {
      ASSERT_EQ(block.q[i], static_cast<int>(std::round(values[i])))
          << values[i];
    }
  }
}

TEST(QuantizeTest, Q8QuantisesBeforeTheScaleIsRoundedToHalf) {
  // max 1: d = 1/127, so 0.751953 is 95.498 steps: 95. The half nearest to d
  // is 0.00787353515625 (0x2008); in its steps it would be 95.5038: 96.
  std::vector<float> values(32, 0.0f);
  values[0] = -1.0f;
  values[1] = 0.751953f;
  BlockQ8_0 block;
  ASSERT_TRUE(EncodeQ8_0(values, {&block, 1}));
  EXPECT_EQ(block.scale, 0x2008);
  EXPECT_EQ(block.q[0], -127);
  EXPECT_EQ(block.q[1], 95);
  std::vector<float> decoded(32);
  DecodeQ8_0({&block, 1}, decoded);
  EXPECT_EQ(decoded[0], -127 * 0.00787353515625f);
  EXPECT_EQ(decoded[1], 95 * 0.00787353515625f);
  EXPECT_EQ(decoded[2], 0.0f);
}

TEST(QuantizeTest, Q8OfZerosAndOfTinyValuesIsZero) {
  for (const float tiny : {0.0f, -0.0f, 1e-44f, 1e-38f, 1e-9f}) {
    const std::vector<float> values(32, tiny);
    BlockQ8_0 block;
    ASSERT_TRUE(EncodeQ8_0(values, {&block, 1}));
    std::vector<float> decoded(32, 1.0f);
    DecodeQ8_0({&block, 1}, decoded);
    for (const float v : decoded) EXPECT_EQ(v, 0.0f) << tiny;
  }
}

TEST(QuantizeTest, EncodeRefusesWhatIsNotFinite) {
  std::vector<std::byte> out(32 * 4);
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    const size_t size = SizeOf(dtype, 32);
    for (const uint32_t bad :
         {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xff800001u}) {
      for (const size_t at : {size_t{0}, size_t{31}}) {
        std::vector<float> values(32, 1.0f);
        values[at] = FromBits(bad);
        EXPECT_FALSE(EncodeRow(dtype, values, std::span(out).first(size)));
      }
    }
    std::vector<float> values(32, 1.0f);
    EXPECT_TRUE(EncodeRow(dtype, values, std::span(out).first(size)));
  }
  // Beyond the type: half ends at 65504, a q8_0 scale too; bf16 rounds up to
  // infinity from 0x7f7f8000.
  std::vector<float> large(32, 70000.0f);
  EXPECT_FALSE(EncodeRow(DType::kF16, large, std::span(out).first(64)));
  EXPECT_TRUE(EncodeRow(DType::kQ8_0, large, std::span(out).first(34)));
  large.assign(32, 65520.0f * 127.0f);
  EXPECT_FALSE(EncodeRow(DType::kQ8_0, large, std::span(out).first(34)));
  large.assign(32, FromBits(0x7f7f8000));
  EXPECT_FALSE(EncodeRow(DType::kBF16, large, std::span(out).first(64)));
  large.assign(32, FromBits(0x7f7f7fff));
  EXPECT_TRUE(EncodeRow(DType::kBF16, large, std::span(out).first(64)));
}

TEST(QuantizeTest, RowsOfEveryTypeGoThereAndBackAtAnyAlignment) {
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    for (const size_t count : {0u, 32u, 256u, 288u, 1056u}) {
      std::vector<float> values(count);
      for (size_t i = 0; i < count; ++i) {
        // Multiples of 1/8 up to 15.875 with 15.875 in every block: exact in
        // each type but q8_0, whose step is then exactly 1/8.
        values[i] =
            static_cast<float>(static_cast<int>(i * 37 % 255) - 127) / 8.0f;
        if (i % 32 == 5) values[i] = 15.875f;
      }
      const size_t size = SizeOf(dtype, count);
      std::vector<std::byte> bytes(size + 1);
      const auto odd = std::span(bytes).subspan(1);
      ASSERT_TRUE(EncodeRow(dtype, values, odd));
      std::vector<float> back(count, -1.0f);
      DecodeRow(dtype, odd, back);
      EXPECT_EQ(back, values) << static_cast<int>(dtype) << " " << count;
    }
  }
}

TEST(QuantizeTest, DecodesDoubles) {
  const std::vector<double> values = {1.5, -0.1, 1e300, 3.0};
  std::vector<float> out(4);
  DecodeRow(DType::kF64, std::as_bytes(std::span(values)), out);
  EXPECT_EQ(out[0], 1.5f);
  EXPECT_EQ(out[1], -0.1f);
  EXPECT_TRUE(std::isinf(out[2]));
  EXPECT_EQ(out[3], 3.0f);
  EXPECT_TRUE(CanDecode(DType::kF64));
  EXPECT_FALSE(CanEncode(DType::kF64));
  EXPECT_FALSE(CanDecode(DType::kI32));
  EXPECT_FALSE(CanDecode(DType::kF8E5M2));
  EXPECT_TRUE(CanDecode(DType::kQ2K));
  EXPECT_FALSE(CanEncode(DType::kQ2K));
}

}  // namespace
}  // namespace inference
