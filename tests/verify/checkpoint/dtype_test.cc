// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/dtype.h"

#include <gtest/gtest.h>

#include <limits>

#include "verify/checkpoint/gguf_format.h"

namespace verify {
namespace {

TEST(DTypeTest, SizesPlainTypes) {
  EXPECT_EQ(DTypeBytes(DType::kBF16, 3), 6u);
  EXPECT_EQ(DTypeBytes(DType::kF32, 0), 0u);
  EXPECT_EQ(DTypeBytes(DType::kF64, 2), 16u);
  EXPECT_EQ(DTypeBytes(DType::kBool, 5), 5u);
  EXPECT_EQ(BlockElements(DType::kF16), 1u);
}

// Block sizes from ggml's ggml-common.h.
TEST(DTypeTest, SizesBlocks) {
  EXPECT_EQ(DTypeBytes(DType::kQ8_0, 64), 68u);
  EXPECT_EQ(DTypeBytes(DType::kQ4K, 256), 144u);
  EXPECT_EQ(DTypeBytes(DType::kQ6K, 512), 420u);
  EXPECT_EQ(DTypeBytes(DType::kMXFP4, 32), 17u);
  EXPECT_EQ(DTypeBytes(DType::kIQ1S, 256), 50u);
  EXPECT_EQ(DTypeBytes(DType::kIQ1M, 256), 56u);
  EXPECT_EQ(DTypeBytes(DType::kIQ2XXS, 256), 66u);
  EXPECT_EQ(DTypeBytes(DType::kIQ2XS, 256), 74u);
  EXPECT_EQ(DTypeBytes(DType::kIQ2S, 256), 82u);
  EXPECT_EQ(DTypeBytes(DType::kIQ3XXS, 256), 98u);
  EXPECT_EQ(DTypeBytes(DType::kIQ3S, 256), 110u);
  EXPECT_EQ(DTypeBytes(DType::kTQ1_0, 256), 54u);
  EXPECT_EQ(DTypeBytes(DType::kTQ2_0, 256), 66u);
}

TEST(DTypeTest, HasNoSizeForPartialBlocksAndOverflow) {
  EXPECT_EQ(DTypeBytes(DType::kQ8_0, 33), std::nullopt);
  EXPECT_EQ(DTypeBytes(DType::kF32, std::numeric_limits<uint64_t>::max() / 2),
            std::nullopt);
}

TEST(DTypeTest, NamesTypes) {
  EXPECT_EQ(DTypeName(DType::kBF16), "bf16");
  EXPECT_EQ(DTypeName(DType::kQ8_0), "q8_0");
}

// Ids from ggml.h.
TEST(DTypeTest, MapsGgufIdsBothWays) {
  EXPECT_EQ(GgufTensorType(DType::kF32), 0u);
  EXPECT_EQ(GgufTensorType(DType::kQ8_0), 8u);
  EXPECT_EQ(GgufTensorType(DType::kBF16), 30u);
  EXPECT_EQ(GgufDType(19), DType::kIQ1S);
  EXPECT_EQ(GgufDType(29), DType::kIQ1M);
  EXPECT_EQ(GgufDType(16), DType::kIQ2XXS);
  EXPECT_EQ(GgufDType(17), DType::kIQ2XS);
  EXPECT_EQ(GgufDType(22), DType::kIQ2S);
  EXPECT_EQ(GgufDType(18), DType::kIQ3XXS);
  EXPECT_EQ(GgufDType(21), DType::kIQ3S);
  EXPECT_EQ(GgufDType(34), DType::kTQ1_0);
  EXPECT_EQ(GgufDType(35), DType::kTQ2_0);
  EXPECT_EQ(GgufTensorType(DType::kU8), std::nullopt);
  EXPECT_EQ(GgufDType(4), std::nullopt);  // Q4_2, removed from ggml
  EXPECT_EQ(GgufDType(1000), std::nullopt);
  for (uint32_t id = 0; id < 64; ++id) {
    const auto dtype = GgufDType(id);
    if (dtype.has_value()) {
      EXPECT_EQ(GgufTensorType(*dtype), id);
    }
  }
}

}  // namespace
}  // namespace verify
