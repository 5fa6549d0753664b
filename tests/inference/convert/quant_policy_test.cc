// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/quant_policy.h"

#include <gtest/gtest.h>

namespace inference {
namespace {

using verify::DType;
using verify::TensorRole;
using verify::TensorSpec;

TEST(QuantPolicyTest, KeepsNormsAndRouterInFloat) {
  for (const DType to : {DType::kBF16, DType::kQ8_0, DType::kF16}) {
    const TensorSpec norm{
        .role = TensorRole::kFfnNorm, .name = "t", .shape = {64}};
    const TensorSpec router{
        .role = TensorRole::kRouter, .name = "t", .shape = {8, 64}};
    const TensorSpec weight{
        .role = TensorRole::kFfnUp, .name = "t", .shape = {8, 96, 64}};
    const TensorSpec embedding{
        .role = TensorRole::kTokenEmbedding, .name = "t", .shape = {40, 64}};
    EXPECT_EQ(ChooseType(norm, to), DType::kF32);
    EXPECT_EQ(ChooseType(router, to), DType::kF32);
    EXPECT_EQ(ChooseType(weight, to), to);
    EXPECT_EQ(ChooseType(embedding, to), to);
  }
}

TEST(QuantPolicyTest, KeepsRowsThatAreNoWholeBlocksInBf16) {
  const TensorSpec odd{
      .role = TensorRole::kFfnDown, .name = "t", .shape = {64, 172}};
  EXPECT_EQ(ChooseType(odd, DType::kQ8_0), DType::kBF16);
  EXPECT_EQ(ChooseType(odd, DType::kF16), DType::kF16);
  EXPECT_EQ(ChooseType(odd, DType::kQ4K), DType::kBF16);
}

TEST(QuantPolicyTest, RowsThatAreNoSuperBlocksBecomeQ8) {
  // gpt-oss has rows of 2880 = 90 * 32.
  const TensorSpec short_rows{
      .role = TensorRole::kFfnDown, .name = "t", .shape = {64, 2880}};
  const TensorSpec whole{
      .role = TensorRole::kFfnDown, .name = "t", .shape = {64, 14336}};
  for (const DType to : {DType::kQ4K, DType::kQ5K, DType::kQ6K}) {
    EXPECT_EQ(ChooseType(short_rows, to), DType::kQ8_0);
    EXPECT_EQ(ChooseType(whole, to), to);
  }
  EXPECT_EQ(ChooseType(short_rows, DType::kQ4_0), DType::kQ4_0);
}

}  // namespace
}  // namespace inference
