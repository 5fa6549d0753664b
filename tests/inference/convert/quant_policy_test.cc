// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/quant_policy.h"

#include <gtest/gtest.h>

#include <string>

namespace inference {
namespace {

using verify::DType;
using verify::ModelConfig;
using verify::TensorRole;
using verify::TensorSpec;

const ModelConfig kDense = [] {
  ModelConfig config;
  config.num_layers = 32;
  return config;
}();
const ModelConfig kMixture = [] {
  ModelConfig config = kDense;
  config.num_experts = 8;
  return config;
}();

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
    EXPECT_EQ(ChooseType(norm, kDense, {to}), DType::kF32);
    EXPECT_EQ(ChooseType(router, kDense, {to}), DType::kF32);
    EXPECT_EQ(ChooseType(weight, kDense, {to}), to);
    EXPECT_EQ(ChooseType(embedding, kDense, {to}), to);
  }
}

TEST(QuantPolicyTest, KeepsRowsThatAreNoWholeBlocksInBf16) {
  const TensorSpec odd{
      .role = TensorRole::kFfnDown, .name = "t", .shape = {64, 172}};
  EXPECT_EQ(ChooseType(odd, kDense, {DType::kQ8_0}), DType::kBF16);
  EXPECT_EQ(ChooseType(odd, kDense, {DType::kF16}), DType::kF16);
  EXPECT_EQ(ChooseType(odd, kDense, {DType::kQ4K}), DType::kBF16);
}

TEST(QuantPolicyTest, RowsThatAreNoSuperBlocksBecomeQ8) {
  // gpt-oss has rows of 2880 = 90 * 32.
  const TensorSpec short_rows{
      .role = TensorRole::kFfnDown, .name = "t", .shape = {64, 2880}};
  const TensorSpec whole{
      .role = TensorRole::kFfnDown, .name = "t", .shape = {64, 14336}};
  for (const DType to : {DType::kQ4K, DType::kQ5K, DType::kQ6K}) {
    EXPECT_EQ(ChooseType(short_rows, kDense, {to}), DType::kQ8_0);
    EXPECT_EQ(ChooseType(whole, kDense, {to}), to);
  }
  EXPECT_EQ(ChooseType(short_rows, kDense, {DType::kQ4_0}), DType::kQ4_0);
}

TensorSpec Weight(TensorRole role, int64_t layer = -1) {
  return {.role = role, .layer = layer, .name = "t", .shape = {512, 512}};
}

TEST(QuantPolicyTest, NamesTypesAsUsersWriteThem) {
  EXPECT_EQ(ParseWeightType("q8_0"), (WeightType{DType::kQ8_0}));
  EXPECT_EQ(ParseWeightType("q4_k_m"),
            (WeightType{DType::kQ4K, TypeMix::kMedium}));
  EXPECT_FALSE(ParseWeightType("q8_0_m").has_value());
  EXPECT_FALSE(ParseWeightType("q2_k").has_value());
  for (const std::string& name : WeightTypeNames()) {
    EXPECT_EQ(WeightTypeName(*ParseWeightType(name)), name);
  }
  // llama.cpp's LLAMA_FTYPE_MOSTLY_Q4_K_M and _Q5_K_M.
  EXPECT_EQ(GgufFileType(*ParseWeightType("q4_k_m")), 15u);
  EXPECT_EQ(GgufFileType(*ParseWeightType("q5_k_m")), 17u);
}

// docs/formats/gguf.md, section 4.
TEST(QuantPolicyTest, MixesOfADenseModel) {
  for (const DType base : {DType::kQ4K, DType::kQ5K}) {
    const WeightType type{base, TypeMix::kMedium};
    const auto choose = [&](TensorRole role, int64_t layer = -1) {
      return ChooseType(Weight(role, layer), kDense, type);
    };
    EXPECT_EQ(choose(TensorRole::kOutput), DType::kQ6K);
    EXPECT_EQ(choose(TensorRole::kTokenEmbedding), base);
    EXPECT_EQ(choose(TensorRole::kAttentionQ, 0), base);
    EXPECT_EQ(choose(TensorRole::kAttentionK, 0), base);
    EXPECT_EQ(choose(TensorRole::kAttentionOut, 0), base);
    EXPECT_EQ(choose(TensorRole::kFfnGate, 0), base);
    // Of 32 layers: 0 to 3, 28 to 31, and 6, 9, ... 27.
    for (int64_t layer = 0; layer < 32; ++layer) {
      const bool more = layer < 4 || layer >= 28 || layer % 3 == 0;
      const DType expected = more ? DType::kQ6K : base;
      EXPECT_EQ(choose(TensorRole::kFfnDown, layer), expected) << layer;
      EXPECT_EQ(choose(TensorRole::kAttentionV, layer), expected) << layer;
    }
    ModelConfig tied = kDense;
    tied.tied_embeddings = true;
    EXPECT_EQ(ChooseType(Weight(TensorRole::kTokenEmbedding), tied, type),
              DType::kQ6K);
  }
}

TEST(QuantPolicyTest, MixesOfAMixtureOfExperts) {
  const WeightType type{DType::kQ4K, TypeMix::kMedium};
  const auto choose = [&](TensorRole role) {
    return ChooseType(Weight(role, 5), kMixture, type);
  };
  EXPECT_EQ(choose(TensorRole::kAttentionK), DType::kQ8_0);
  EXPECT_EQ(choose(TensorRole::kAttentionV), DType::kQ8_0);
  EXPECT_EQ(choose(TensorRole::kAttentionOut), DType::kQ5K);
  EXPECT_EQ(choose(TensorRole::kAttentionQ), DType::kQ4K);
  EXPECT_EQ(choose(TensorRole::kRouter), DType::kF32);
  EXPECT_EQ(choose(TensorRole::kFfnDown), DType::kQ4K);
  // Rows that are no super-blocks fall back as without a mix.
  EXPECT_EQ(ChooseType({.role = TensorRole::kFfnDown,
                        .layer = 0,
                        .name = "t",
                        .shape = {8, 64, 96}},
                       kMixture, type),
            DType::kQ8_0);
}

}  // namespace
}  // namespace inference
