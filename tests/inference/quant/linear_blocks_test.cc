// SPDX-License-Identifier: Apache-2.0
// Scale, code and offset of every packed type against the decoder of the same
// block, on random bytes: the same float to the last bit.
#include "inference/quant/linear_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "inference/quant/quantize.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using verify::DType;

constexpr DType kLinear[] = {
    DType::kQ8_0, DType::kQ4_0,  DType::kQ4_1,  DType::kQ5_0, DType::kQ5_1,
    DType::kQ2K,  DType::kQ3K,   DType::kQ4K,   DType::kQ5K,  DType::kQ6K,
    DType::kQ8K,  DType::kIQ4NL, DType::kIQ4XS, DType::kMXFP4};

TEST(LinearBlocksTest, GiveTheFloatsOfTheDecoder) {
  tests::TestRandom random(11);
  for (const DType dtype : kLinear) {
    const LinearReader* const reader = FindLinearReader(dtype);
    ASSERT_NE(reader, nullptr) << verify::DTypeName(dtype);
    ASSERT_EQ(reader->block_bytes, verify::BlockBytes(dtype));
    const auto elements = static_cast<size_t>(verify::BlockElements(dtype));
    ASSERT_EQ(reader->num_linear * kBlockElements, elements);
    for (int round = 0; round < 200; ++round) {
      // At an odd address, as rows of a file may be.
      std::vector<std::byte> bytes(1 + reader->block_bytes);
      for (auto& byte : bytes) {
        byte = static_cast<std::byte>(random.NextU32() >> 24);
      }
      std::vector<float> expected(elements);
      DecodeRow(dtype, std::span(bytes).subspan(1), expected);
      std::vector<LinearBlock> blocks(reader->num_linear);
      reader->read(bytes.data() + 1, blocks.data());
      for (size_t i = 0; i < elements; ++i) {
        const LinearBlock& block = blocks[i / kBlockElements];
        const size_t at = i % kBlockElements;
        const float value =
            block.scale[at / 16] * static_cast<float>(block.q[at]) +
            block.offset[at / 16];
        if (std::isnan(expected[i])) {
          ASSERT_TRUE(std::isnan(value)) << verify::DTypeName(dtype);
        } else {
          ASSERT_EQ(value, expected[i]) << verify::DTypeName(dtype) << " " << i;
        }
      }
    }
  }
}

TEST(LinearBlocksTest, PlainTypesHaveNone) {
  EXPECT_EQ(FindLinearReader(DType::kF32), nullptr);
  EXPECT_EQ(FindLinearReader(DType::kBF16), nullptr);
  EXPECT_EQ(FindLinearReader(DType::kF8E4M3), nullptr);
}

}  // namespace
}  // namespace inference
