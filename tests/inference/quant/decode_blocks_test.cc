// SPDX-License-Identifier: Apache-2.0
// Blocks made by hand, byte by byte, against arithmetic by hand. Every layout
// was also compared with llama.cpp's decoder, bit for bit, on random bytes
// (docs/formats/gguf.md, section 3).
#include "inference/quant/decode_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "inference/quant/quantize.h"

namespace inference {
namespace {

using verify::DType;
using Bytes = std::vector<uint8_t>;

constexpr uint8_t kOne[2] = {0x00, 0x3c};   // half 1.0, little-endian
constexpr uint8_t kHalf[2] = {0x00, 0x38};  // 0.5
constexpr uint8_t kTwo[2] = {0x00, 0x40};   // 2.0

void Append(Bytes& bytes, const uint8_t (&half)[2]) {
  bytes.insert(bytes.end(), half, half + 2);
}

void Append(Bytes& bytes, size_t count, uint8_t value) {
  bytes.insert(bytes.end(), count, value);
}

std::vector<float> Decode(DType dtype, const Bytes& bytes, size_t count) {
  EXPECT_EQ(verify::DTypeBytes(dtype, count), bytes.size());
  // An odd address, as rows in a file may have.
  Bytes odd(bytes.size() + 1);
  std::memcpy(odd.data() + 1, bytes.data(), bytes.size());
  std::vector<float> out(count, -777.0f);
  DecodeRow(dtype, std::as_bytes(std::span(odd).subspan(1)), out);
  return out;
}

TEST(DecodeBlocksTest, SmallBlocksPutElementJBelowAndJPlus16Above) {
  Bytes bytes;
  Append(bytes, kHalf);
  for (uint8_t j = 0; j < 16; ++j) {
    bytes.push_back(static_cast<uint8_t>(j | (15 - j) << 4));
  }
  const auto q4_0 = Decode(DType::kQ4_0, bytes, 32);
  const auto iq4 = Decode(DType::kIQ4NL, bytes, 32);
  // From the table of the format.
  const int levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                          1,    13,   25,  38,  53,  69,  89,  113};
  for (int j = 0; j < 16; ++j) {
    const auto i = static_cast<size_t>(j);
    EXPECT_EQ(q4_0[i], 0.5f * static_cast<float>(j - 8));
    EXPECT_EQ(q4_0[i + 16], 0.5f * static_cast<float>(7 - j));
    EXPECT_EQ(iq4[i], 0.5f * static_cast<float>(levels[i]));
    EXPECT_EQ(iq4[i + 16], 0.5f * static_cast<float>(levels[15 - i]));
  }
  // The same with an offset of -2 after the scale.
  bytes.insert(bytes.begin() + 2, {0x00, 0xc0});
  const auto q4_1 = Decode(DType::kQ4_1, bytes, 32);
  for (int j = 0; j < 16; ++j) {
    const auto i = static_cast<size_t>(j);
    EXPECT_EQ(q4_1[i], 0.5f * static_cast<float>(j) - 2);
    EXPECT_EQ(q4_1[i + 16], 0.5f * static_cast<float>(15 - j) - 2);
  }
}

TEST(DecodeBlocksTest, FiveBitsTakeTheFifthFromAWord) {
  // Bits 0, 9, 16 and 31 of the word: elements 0, 9, 16 and 31 have 16 more.
  Bytes bytes;
  Append(bytes, kTwo);
  bytes.insert(bytes.end(), {0x01, 0x02, 0x01, 0x80});
  Append(bytes, 16, 0x53);
  auto out = Decode(DType::kQ5_0, bytes, 32);
  EXPECT_EQ(out[0], 2.0f * (19 - 16));
  EXPECT_EQ(out[1], 2.0f * (3 - 16));
  EXPECT_EQ(out[9], 2.0f * (19 - 16));
  EXPECT_EQ(out[15], 2.0f * (3 - 16));
  EXPECT_EQ(out[16], 2.0f * (21 - 16));
  EXPECT_EQ(out[17], 2.0f * (5 - 16));
  EXPECT_EQ(out[31], 2.0f * (21 - 16));
  bytes.insert(bytes.begin() + 2, {0x00, 0x3c});
  out = Decode(DType::kQ5_1, bytes, 32);
  EXPECT_EQ(out[0], 2.0f * 19 + 1);
  EXPECT_EQ(out[30], 2.0f * 5 + 1);
  EXPECT_EQ(out[31], 2.0f * 21 + 1);
}

TEST(DecodeBlocksTest, Q2KPairsLieInFourLayersOf32Bytes) {
  Bytes bytes;
  // Sub-block s: scale s & 15, min 15 - s.
  for (int s = 0; s < 16; ++s) {
    bytes.push_back(static_cast<uint8_t>(s | (15 - s) << 4));
  }
  // Layers 0..3 of every byte: 0, 1, 2, 3; the last byte: 3, 2, 1, 0.
  Append(bytes, 63, 0xe4);
  bytes.push_back(0x1b);
  Append(bytes, kHalf);
  Append(bytes, kTwo);
  const auto out = Decode(DType::kQ2K, bytes, 256);
  for (size_t i = 0; i < 256; ++i) {
    const size_t s = i / 16;
    size_t n = i / 32 % 4;
    if (i >= 128 && i % 32 == 31) n = 3 - n;  // byte 63
    const float expected =
        0.5f * static_cast<float>(s * n) - 2.0f * static_cast<float>(15 - s);
    ASSERT_EQ(out[i], expected) << i;
  }
}

TEST(DecodeBlocksTest, Q3KHasHighBitsAndPackedScales) {
  Bytes bytes;
  // High bits: bit 0 (elements 0..31) of all bytes, bit 7 of the last byte.
  Append(bytes, 31, 0x01);
  bytes.push_back(0x81);
  Append(bytes, 64, 0xe4);
  // Scales less 32: sub-block 0 has nibble 1, pair 2: 33; sub-block 8 nibble 5,
  // pair 0: 5; sub-block 15 nibble 15, pair 3: 63. The others are 0.
  Bytes scales(12);
  scales[0] = 0x51;
  scales[7] = 0xf0;
  scales[8] = 0x02;
  scales[11] = 0xc0;
  bytes.insert(bytes.end(), scales.begin(), scales.end());
  Append(bytes, kOne);
  const auto out = Decode(DType::kQ3K, bytes, 256);
  EXPECT_EQ(out[0], 1.0f * (0 + 4 - 4));
  EXPECT_EQ(out[16], -32.0f * (0 + 4 - 4));
  EXPECT_EQ(out[32], -32.0f * (1 - 4));
  EXPECT_EQ(out[64], -32.0f * (2 - 4));
  EXPECT_EQ(out[96], -32.0f * (3 - 4));
  EXPECT_EQ(out[128], -27.0f * (0 - 4));
  EXPECT_EQ(out[240], 31.0f * (3 - 4));
  EXPECT_EQ(out[255], 31.0f * (3 + 4 - 4));
}

// Scales 1, 2, 3, 4 | 17, 34, 51, 63 and mins 5, 6, 7, 8 | 16, 33, 50, 62, as
// section 3 of the page packs them.
constexpr uint8_t kPacked[12] = {
    1 | 1 << 6, 2 | 2 << 6, 3 | 3 << 6, 4 | 3 << 6, 5 | 1 << 6, 6 | 2 << 6,
    7 | 3 << 6, 8 | 3 << 6, 1 | 0 << 4, 2 | 1 << 4, 3 | 2 << 4, 15 | 14 << 4};
constexpr int kScales[8] = {1, 2, 3, 4, 17, 34, 51, 63};
constexpr int kMins[8] = {5, 6, 7, 8, 16, 33, 50, 62};

TEST(DecodeBlocksTest, Q4KSharesBytesBetweenNeighbouringSubBlocks) {
  Bytes bytes;
  Append(bytes, kHalf);
  Append(bytes, kTwo);
  bytes.insert(bytes.end(), kPacked, kPacked + 12);
  for (int pair = 0; pair < 4; ++pair) {
    for (int l = 0; l < 32; ++l) {
      bytes.push_back(static_cast<uint8_t>((l % 16) | (3 * pair) << 4));
    }
  }
  const auto out = Decode(DType::kQ4K, bytes, 256);
  for (size_t i = 0; i < 256; ++i) {
    const size_t s = i / 32;
    const int n = static_cast<int>(s % 2 == 0 ? i % 16 : s / 2 * 3);
    const float expected = 0.5f * static_cast<float>(kScales[s] * n) -
                           2.0f * static_cast<float>(kMins[s]);
    ASSERT_EQ(out[i], expected) << i;
  }
}

TEST(DecodeBlocksTest, Q5KTakesBitSOfTheSame32BytesForSubBlockS) {
  Bytes bytes;
  Append(bytes, kHalf);
  Append(bytes, kTwo);
  bytes.insert(bytes.end(), kPacked, kPacked + 12);
  // High bits: element l of sub-block s where l is s.
  for (int l = 0; l < 32; ++l) {
    bytes.push_back(static_cast<uint8_t>(l < 8 ? 1 << l : 0));
  }
  Append(bytes, 128, 0x92);
  const auto out = Decode(DType::kQ5K, bytes, 256);
  for (size_t i = 0; i < 256; ++i) {
    const size_t s = i / 32;
    const int n = (s % 2 == 0 ? 2 : 9) + (i % 32 == s ? 16 : 0);
    const float expected = 0.5f * static_cast<float>(kScales[s] * n) -
                           2.0f * static_cast<float>(kMins[s]);
    ASSERT_EQ(out[i], expected) << i;
  }
}

TEST(DecodeBlocksTest, Q6KQuartersShareNibblesAndPairs) {
  Bytes bytes;
  // Nibbles: quarters 0 and 2 have 1 and 2, quarters 1 and 3 have 3 and 4; in
  // the second half 5, 6, 7 and 8. Pairs: 0, 1, 2, 3.
  Append(bytes, 32, 0x21);
  Append(bytes, 32, 0x43);
  Append(bytes, 32, 0x65);
  Append(bytes, 32, 0x87);
  Append(bytes, 64, 0xe4);
  for (int s = 0; s < 16; ++s) {
    bytes.push_back(static_cast<uint8_t>(s % 2 == 0 ? s : -s));
  }
  Append(bytes, kHalf);
  const auto out = Decode(DType::kQ6K, bytes, 256);
  const int low[8] = {1, 3, 2, 4, 5, 7, 6, 8};
  for (size_t i = 0; i < 256; ++i) {
    const int s = static_cast<int>(i / 16);
    const int n = low[i / 32] + 16 * static_cast<int>(i / 32 % 4) - 32;
    const float expected = 0.5f * static_cast<float>((s % 2 == 0 ? s : -s) * n);
    ASSERT_EQ(out[i], expected) << i;
  }
}

TEST(DecodeBlocksTest, Q8KHasAFloatScaleAndIgnoresItsSums) {
  Bytes bytes = {0x00, 0x00, 0x80, 0x3e};  // 0.25
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<uint8_t>(i));
  Append(bytes, 32, 0x55);
  const auto out = Decode(DType::kQ8K, bytes, 256);
  EXPECT_EQ(out[1], 0.25f);
  EXPECT_EQ(out[127], 0.25f * 127);
  EXPECT_EQ(out[128], 0.25f * -128);
  EXPECT_EQ(out[255], -0.25f);
}

TEST(DecodeBlocksTest, Iq4XsScalesAreSplitInNibblesAndPairs) {
  Bytes bytes;
  Append(bytes, kOne);
  // Pairs, from sub-block 0 on: 2, 0, 0, 0, 0, 0, 1, 3.
  bytes.insert(bytes.end(), {0x02, 0xd0});
  bytes.insert(bytes.end(), {0x31, 0x00, 0x00, 0xf7});
  for (int s = 0; s < 8; ++s) Append(bytes, 16, 0xf0);
  const auto out = Decode(DType::kIQ4XS, bytes, 256);
  EXPECT_EQ(out[0], (1 + 32 - 32) * -127.0f);
  EXPECT_EQ(out[16], (1 + 32 - 32) * 113.0f);
  EXPECT_EQ(out[32], (3 - 32) * -127.0f);
  EXPECT_EQ(out[192], (7 + 16 - 32) * -127.0f);
  EXPECT_EQ(out[224], (15 + 48 - 32) * -127.0f);
  EXPECT_EQ(out[240], (15 + 48 - 32) * 113.0f);
}

TEST(DecodeBlocksTest, Mxfp4ScalesByPowersOfTwoAndKnowsNan) {
  // OCP Microscaling Formats 1.0: e2m1 values.
  const float values[16] = {0,     0.5f,  1,  1.5f,  2,  3,  4,  6,
                            -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  Bytes bytes = {129};  // 4
  for (uint8_t j = 0; j < 16; ++j) {
    bytes.push_back(static_cast<uint8_t>(j | (15 - j) << 4));
  }
  auto out = Decode(DType::kMXFP4, bytes, 32);
  for (size_t j = 0; j < 16; ++j) {
    EXPECT_EQ(out[j], 4 * values[j]);
    EXPECT_EQ(out[j + 16], 4 * values[15 - j]);
  }
  bytes[0] = 0;  // 2^-127, a subnormal float
  out = Decode(DType::kMXFP4, bytes, 32);
  EXPECT_EQ(out[7], std::ldexp(6.0f, -127));
  EXPECT_EQ(out[1], std::ldexp(0.5f, -127));
  bytes[0] = 255;
  for (const float v : Decode(DType::kMXFP4, bytes, 32)) {
    EXPECT_TRUE(std::isnan(v));
  }
}

TEST(DecodeBlocksTest, ScalesThatAreNanGiveNan) {
  for (const DType dtype : {DType::kQ4_0, DType::kQ5_1, DType::kQ4K}) {
    Bytes bytes(verify::BlockBytes(dtype), 0xff);
    bytes[0] = 0x01;
    bytes[1] = 0x7e;
    const auto out =
        Decode(dtype, bytes, static_cast<size_t>(verify::BlockElements(dtype)));
    for (const float v : out) EXPECT_TRUE(std::isnan(v));
  }
}

}  // namespace
}  // namespace inference
