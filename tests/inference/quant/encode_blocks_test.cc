// SPDX-License-Identifier: Apache-2.0
#include "inference/quant/encode_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "inference/quant/quantize.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using tests::TestRandom;
using verify::DType;
using Floats = std::vector<float>;
using Bytes = std::vector<std::byte>;

constexpr DType kPacked[] = {
    DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,  DType::kQ5_1,
    DType::kQ4K,  DType::kQ5K,  DType::kQ6K,  DType::kIQ4NL, DType::kMXFP4};

Bytes Encode(DType dtype, const Floats& values, const Floats& importance = {}) {
  Bytes out(static_cast<size_t>(*verify::DTypeBytes(dtype, values.size())));
  EXPECT_TRUE(EncodeRow(dtype, values, out, importance))
      << verify::DTypeName(dtype);
  return out;
}

bool Refuses(DType dtype, const Floats& values, const Floats& importance = {}) {
  Bytes out(static_cast<size_t>(*verify::DTypeBytes(dtype, values.size())));
  return !EncodeRow(dtype, values, out, importance);
}

Floats Decode(DType dtype, const Bytes& bytes, size_t count) {
  Floats out(count);
  DecodeRow(dtype, bytes, out);
  return out;
}

Floats ThereAndBack(DType dtype, const Floats& values,
                    const Floats& importance = {}) {
  return Decode(dtype, Encode(dtype, values, importance), values.size());
}

// Sum of squared errors, weighted if there are weights.
double Error(const Floats& values, const Floats& decoded,
             const Floats& weights = {}) {
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double off =
        static_cast<double>(decoded[i]) - static_cast<double>(values[i]);
    sum +=
        off * off * (weights.empty() ? 1.0 : static_cast<double>(weights[i]));
  }
  return sum;
}

// Box and Muller.
Floats Gauss(TestRandom& random, size_t count) {
  Floats out(count);
  for (float& v : out) {
    const double u = (random.NextU32() + 1.0) * 0x1p-32;
    const double angle = random.NextU32() * 0x1p-32 * 6.283185307179586;
    v = static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(angle));
  }
  return out;
}

TEST(EncodeBlocksTest, WhatATypeCanStandForComesBackAsItsBytes) {
  // Blocks by hand whose levels are all used, so that there is one way only to
  // write them.
  Bytes q4_0 = {std::byte{0x00}, std::byte{0x38}};  // 0.5
  for (unsigned j = 0; j < 16; ++j) {
    q4_0.push_back(static_cast<std::byte>(j | (15 - j) << 4));
  }
  EXPECT_EQ(Encode(DType::kQ4_0, Decode(DType::kQ4_0, q4_0, 32)), q4_0);
  EXPECT_EQ(Encode(DType::kIQ4NL, Decode(DType::kIQ4NL, q4_0, 32)), q4_0);
  Bytes q4_1 = q4_0;
  q4_1.insert(q4_1.begin() + 2, {std::byte{0x00}, std::byte{0xc0}});  // -2
  EXPECT_EQ(Encode(DType::kQ4_1, Decode(DType::kQ4_1, q4_1, 32)), q4_1);

  // 0..31: the nibbles count twice, the upper elements have the fifth bit.
  Bytes q5_0 = {std::byte{0x00}, std::byte{0x3c}, std::byte{0},
                std::byte{0},    std::byte{0xff}, std::byte{0xff}};
  for (unsigned j = 0; j < 16; ++j) {
    q5_0.push_back(static_cast<std::byte>(j | j << 4));
  }
  EXPECT_EQ(Encode(DType::kQ5_0, Decode(DType::kQ5_0, q5_0, 32)), q5_0);
  Bytes q5_1 = q5_0;
  q5_1.insert(q5_1.begin() + 2, {std::byte{0x00}, std::byte{0x42}});  // 3
  EXPECT_EQ(Encode(DType::kQ5_1, Decode(DType::kQ5_1, q5_1, 32)), q5_1);

  Bytes mxfp4 = {std::byte{120}};
  for (unsigned j = 0; j < 16; ++j) {
    // No code 8, which is -0: 0 is written as code 0.
    const unsigned high = 15 - j == 8 ? 9 : 15 - j;
    mxfp4.push_back(static_cast<std::byte>((j == 8 ? 0 : j) | high << 4));
  }
  EXPECT_EQ(Encode(DType::kMXFP4, Decode(DType::kMXFP4, mxfp4, 32)), mxfp4);
}

TEST(EncodeBlocksTest, WhatASuperBlockCanStandForComesBackAsItsBytes) {
  // Scales and mins as in decode_blocks_test, the largest 63 as the search
  // assumes it, and all levels in every sub-block.
  Bytes q4_k = {std::byte{0x00}, std::byte{0x38}, std::byte{0x00},
                std::byte{0x3c}};
  constexpr uint8_t kPackedScales[12] = {
      1 | 1 << 6, 2 | 2 << 6, 3 | 3 << 6, 4 | 3 << 6, 5 | 1 << 6, 6 | 2 << 6,
      7 | 3 << 6, 8 | 3 << 6, 1 | 0 << 4, 2 | 1 << 4, 3 | 2 << 4, 15 | 15 << 4};
  for (const uint8_t packed : kPackedScales) {
    q4_k.push_back(static_cast<std::byte>(packed));
  }
  Bytes q5_k = q4_k;
  for (unsigned i = 0; i < 128; ++i) {
    q4_k.push_back(static_cast<std::byte>(i % 16 | (i * 7 % 16) << 4));
  }
  EXPECT_EQ(Encode(DType::kQ4K, Decode(DType::kQ4K, q4_k, 256)), q4_k);
  for (unsigned l = 0; l < 32; ++l) {
    q5_k.push_back(l < 16 ? std::byte{0x5a} : std::byte{0xa5});
  }
  for (unsigned i = 0; i < 128; ++i) {
    q5_k.push_back(static_cast<std::byte>(i % 16 | (i * 3 % 16) << 4));
  }
  EXPECT_EQ(Encode(DType::kQ5K, Decode(DType::kQ5K, q5_k, 256)), q5_k);

  // q6_k: levels -32 and 31 in every sub-block.
  Bytes q6_k(210);
  for (unsigned l = 0; l < 64; ++l) {
    const bool low = l % 16 == 0;
    const bool high = l % 16 == 9;
    const unsigned nibble = low ? 0 : high ? 15 : l * 5 % 16;
    for (unsigned half = 0; half < 2; ++half) {
      q6_k[64 * half + l] = static_cast<std::byte>(nibble | nibble << 4);
    }
    q6_k[128 + l] = low    ? std::byte{0}
                    : high ? std::byte{0xff}
                           : std::byte{0x69};
  }
  for (unsigned s = 0; s < 16; ++s) {
    q6_k[192 + s] = static_cast<std::byte>(s == 3 ? 127 : s % 2 ? 20 + s : 200);
  }
  q6_k[208] = std::byte{0x00};
  q6_k[209] = std::byte{0x34};
  EXPECT_EQ(Encode(DType::kQ6K, Decode(DType::kQ6K, q6_k, 256)), q6_k);
}

TEST(EncodeBlocksTest, Mxfp4TakesTheExponentThatLosesLess) {
  // Magnitudes up to 7: in units of 1, 7 becomes 6 and the rest is exact
  // (error 1); in units of 2, 7 becomes 8 (1), but 0.5 ten times and 3 ten
  // times lose more.
  Floats values(32, 0.0f);
  values[0] = 7;
  for (size_t i = 1; i <= 10; ++i) values[i] = 0.5f;
  for (size_t i = 11; i <= 20; ++i) values[i] = -3;
  Bytes bytes = Encode(DType::kMXFP4, values);
  EXPECT_EQ(bytes[0], std::byte{127});
  EXPECT_EQ(bytes[1], std::byte{0x07 | 0xd0});
  // 7.9 alone: 6 would lose 3.61, 8 loses 0.01.
  values.assign(32, 0.0f);
  values[0] = 7.9f;
  bytes = Encode(DType::kMXFP4, values);
  EXPECT_EQ(bytes[0], std::byte{128});
  EXPECT_EQ(bytes[1], std::byte{0x06});
}

// What rounding alone gives, by the rules in section 3 of docs/formats/gguf.md:
// the largest value, or smallest and largest, on the ends of the levels.
double PlainError(DType dtype, const Floats& values) {
  const bool five = dtype == DType::kQ5_0 || dtype == DType::kQ5_1;
  const float top = five ? 31.0f : 15.0f;
  const float zero = five ? 16.0f : 8.0f;
  const bool offset = dtype == DType::kQ4_1 || dtype == DType::kQ5_1;
  Floats decoded;
  for (size_t b = 0; b < values.size(); b += 32) {
    const float* const x = values.data() + b;
    const auto [low, high] = std::minmax_element(x, x + 32);
    const float extreme = std::abs(*low) > std::abs(*high) ? *low : *high;
    const float scale = offset ? (*high - *low) / top : -extreme / zero;
    const float stored = HalfToFloat(FloatToHalf(scale));
    const float from = offset ? HalfToFloat(FloatToHalf(*low)) : 0;
    for (size_t i = 0; i < 32; ++i) {
      const float n =
          offset ? std::round((x[i] - *low) / scale)
                 : std::min(std::floor(x[i] / scale + zero + 0.5f), top);
      decoded.push_back(stored * (offset ? n : n - zero) + from);
    }
  }
  return Error(values, decoded);
}

TEST(EncodeBlocksTest, SmallBlocksLoseLessThanRoundingAlone) {
  TestRandom random(3);
  for (const float power : {1.0f, 3.0f}) {  // the cube has heavy tails
    Floats values = Gauss(random, 16384);
    for (float& v : values) v = std::copysign(std::pow(std::abs(v), power), v);
    for (const DType dtype :
         {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1}) {
      const double error = Error(values, ThereAndBack(dtype, values));
      // q4_0 is searched least, for speed.
      const double bound = dtype == DType::kQ4_0 ? 0.96 : 0.95;
      EXPECT_LT(error, bound * PlainError(dtype, values))
          << verify::DTypeName(dtype) << " " << power;
    }
  }
}

TEST(EncodeBlocksTest, LosesLessThanLlamaCppOnNormalNumbers) {
  // Root of the mean squared error of a million normal numbers of deviation 1
  // in llama.cpp's types, without importance.
  struct Known {
    DType dtype;
    double error;
  };
  TestRandom random(4);
  const Floats values = Gauss(random, 65536);
  for (const Known& known :
       {Known{DType::kQ8_0, 0.00536}, Known{DType::kQ4_0, 0.08581},
        Known{DType::kQ4_1, 0.07813}, Known{DType::kQ5_0, 0.04265},
        Known{DType::kQ5_1, 0.03781}, Known{DType::kQ4K, 0.07127},
        Known{DType::kQ5K, 0.03608}, Known{DType::kQ6K, 0.01774},
        Known{DType::kIQ4NL, 0.07609}, Known{DType::kMXFP4, 0.11385}}) {
    const double mean =
        Error(values, ThereAndBack(known.dtype, values)) / 65536.0;
    EXPECT_LT(std::sqrt(mean), known.error) << verify::DTypeName(known.dtype);
    EXPECT_GT(std::sqrt(mean), 0.85 * known.error);
  }
}

TEST(EncodeBlocksTest, ImportanceMovesTheErrorToWhereItCountsLess) {
  TestRandom random(6);
  const Floats values = Gauss(random, 4096);
  Floats importance(values.size());
  for (float& w : importance) w = std::exp(3 * random.NextFloat());
  for (const DType dtype : kPacked) {
    const double without =
        Error(values, ThereAndBack(dtype, values), importance);
    const double with =
        Error(values, ThereAndBack(dtype, values, importance), importance);
    EXPECT_LT(with, without) << verify::DTypeName(dtype);
    // Only the proportions matter, and equal weights are none.
    Floats scaled = importance;
    for (float& w : scaled) w *= 0x1p-40f;
    EXPECT_EQ(Encode(dtype, values, scaled), Encode(dtype, values, importance));
    if (dtype == DType::kQ8_0) continue;  // not searched without weights
    EXPECT_EQ(Encode(dtype, values, Floats(values.size(), 3.0f)),
              Encode(dtype, values));
    EXPECT_EQ(Encode(dtype, values, Floats(values.size(), 0.0f)),
              Encode(dtype, values));
  }
}

TEST(EncodeBlocksTest, ZerosAndWhatIsFarBelowAHalfAreZero) {
  for (const float tiny : {0.0f, -0.0f, 1e-44f, -1e-38f, 1e-20f}) {
    const Floats values(512, tiny);
    for (const DType dtype : kPacked) {
      if (dtype == DType::kMXFP4) continue;  // reaches as far down as floats
      for (const float v : ThereAndBack(dtype, values)) {
        ASSERT_EQ(v, 0.0f) << verify::DTypeName(dtype) << " " << tiny;
      }
    }
  }
  for (const float v : ThereAndBack(DType::kMXFP4, Floats(32, 0.0f))) {
    EXPECT_EQ(v, 0.0f);
  }
  for (const float v : ThereAndBack(DType::kMXFP4, Floats(32, 0x1p-126f))) {
    EXPECT_EQ(v, 0x1p-126f);
  }
}

TEST(EncodeBlocksTest, ConstantsAndScalesBelowTheNormalHalvesStayNear) {
  for (const DType dtype : kPacked) {
    for (const float constant : {1.0f, -3.3f, 1234.5f}) {
      for (const float v : ThereAndBack(dtype, Floats(256, constant))) {
        // Half precision, times the six bits of a sub-block.
        const float bound = dtype == DType::kMXFP4 ? 0.2f : 0.01f;
        ASSERT_NEAR(v, constant, std::abs(constant) * bound)
            << verify::DTypeName(dtype);
      }
    }
  }
  // Scales here are a few steps of 2^-24.
  TestRandom random(8);
  const Floats small = random.Floats(256, 1e-5f);
  for (const DType dtype : kPacked) {
    const double error = Error(small, ThereAndBack(dtype, small));
    EXPECT_LT(error, 0.06 * Error(small, Floats(256, 0.0f)))
        << verify::DTypeName(dtype);
  }
}

TEST(EncodeBlocksTest, OneOutlierIsKept) {
  TestRandom random(9);
  Floats values = random.Floats(256, 0.01f);
  values[77] = -25.0f;
  for (const DType dtype : kPacked) {
    const Floats decoded = ThereAndBack(dtype, values);
    const float bound = dtype == DType::kMXFP4 ? 1.5f : 0.9f;
    EXPECT_NEAR(decoded[77], -25.0f, bound) << verify::DTypeName(dtype);
  }
}

TEST(EncodeBlocksTest, RefusesWhatIsNotFiniteAndWeightsThatAreNone) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const DType dtype : kPacked) {
    for (const size_t at : {size_t{0}, size_t{100}, size_t{511}}) {
      for (const float bad : {infinity, -infinity, nan}) {
        Floats values(512, 1.0f);
        values[at] = bad;
        EXPECT_TRUE(Refuses(dtype, values)) << verify::DTypeName(dtype);
      }
      for (const float bad : {infinity, nan, -1e-3f}) {
        Floats weights(512, 1.0f);
        weights[at] = bad;
        EXPECT_TRUE(Refuses(dtype, Floats(512, 1.0f), weights));
      }
    }
    EXPECT_FALSE(Refuses(dtype, Floats(512, 1.0f), Floats(512, 0.0f)));
  }
}

TEST(EncodeBlocksTest, RefusesWhatIsBeyondItsScales) {
  struct Limit {
    DType dtype;
    float largest;  // 65504, the largest half, times a level and a sub-scale
  };
  for (const Limit& limit :
       {Limit{DType::kQ4_0, 65504.0f * 7}, Limit{DType::kQ4_1, 65504.0f},
        Limit{DType::kQ5_0, 65504.0f * 15}, Limit{DType::kQ5_1, 65504.0f},
        Limit{DType::kQ4K, 65504.0f * 63}, Limit{DType::kQ5K, 65504.0f * 63},
        Limit{DType::kQ6K, 65504.0f * 127 * 31},
        Limit{DType::kIQ4NL, 65504.0f * 89}}) {
    Floats values(256, 0.0f);
    values[3] = -limit.largest;
    const Floats decoded = ThereAndBack(limit.dtype, values);
    for (const float v : decoded) ASSERT_TRUE(std::isfinite(v));
    EXPECT_NEAR(decoded[3], values[3], 0.01f * limit.largest)
        << verify::DTypeName(limit.dtype);
    values[3] = -std::nextafter(limit.largest, 1e30f);
    EXPECT_TRUE(Refuses(limit.dtype, values)) << verify::DTypeName(limit.dtype);
  }
  // A power of two is always found; the largest number of all is 6 * 2^125.
  const float most = std::numeric_limits<float>::max();
  const Floats decoded = ThereAndBack(DType::kMXFP4, Floats(32, -most));
  EXPECT_EQ(decoded[0], -6 * 0x1p125f);
}

}  // namespace
}  // namespace inference
