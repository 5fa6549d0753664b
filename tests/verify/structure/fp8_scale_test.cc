// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/fp8_scale.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"
#include "verify/structure/architecture.h"
#include "verify/structure/structure_check.h"

namespace verify {
namespace {

using tests::ExpectError;

void Add(TensorTable& table, const std::string& name, DType dtype,
         std::vector<uint64_t> shape) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.size_bytes = *DTypeBytes(dtype, *NumElements(tensor.shape));
  EXPECT_TRUE(table.Add(tensor, 1u << 30));
}

// Names as DeepSeek, as AutoFP8 and vLLM, and as Mistral write them.
TEST(Fp8ScaleTest, FindsTheScaleOfAWeight) {
  const struct {
    const char* weight;
    const char* scale;
  } cases[] = {
      {"a.q_proj.weight", "a.q_proj.weight_scale_inv"},
      {"a.q_proj.weight", "a.q_proj.weight_scale"},
      {"layers.0.attention.wq.weight", "layers.0.attention.wq.qscale_weight"},
  };
  for (const auto& c : cases) {
    TensorTable table;
    Add(table, c.weight, DType::kF8E4M3, {4, 4});
    EXPECT_EQ(Fp8ScaleName(table, *table.Find(c.weight)), "");
    Add(table, c.scale, DType::kF32, {});
    EXPECT_EQ(Fp8ScaleName(table, *table.Find(c.weight)), c.scale);
    TensorTable plain;
    Add(plain, c.weight, DType::kBF16, {4, 4});
    Add(plain, c.scale, DType::kF32, {});
    EXPECT_EQ(Fp8ScaleName(plain, *plain.Find(c.weight)), "");
  }
}

TEST(Fp8ScaleTest, KnowsScalesOfActivations) {
  TensorTable table;
  Add(table, "a.weight", DType::kF8E4M3, {4, 4});
  Add(table, "b.weight", DType::kBF16, {4, 4});
  for (const char* const end :
       {".input_scale", ".activation_scale", ".qscale_act"}) {
    EXPECT_TRUE(IsActivationScale(table, std::string("a") + end));
    EXPECT_FALSE(IsActivationScale(table, std::string("b") + end));
    EXPECT_FALSE(IsActivationScale(table, std::string("c") + end));
  }
  EXPECT_FALSE(IsActivationScale(table, "a.scale"));
}

TEST(Fp8ScaleTest, ReadsTheConfigurationOfFp8) {
  const auto read = [](const char* text) {
    ModelConfig config;
    const auto result = ReadFp8Config(*ParseJson(text), config);
    EXPECT_TRUE(result) << text << ": " << result.error().ToString();
    return config.traits.fp8_block;
  };
  EXPECT_EQ(read(R"({"quant_method": "fp8"})"), 0u);
  EXPECT_EQ(read(R"({"quant_method": "fp8", "weight_block_size": null,
                     "activation_scheme": "static"})"),
            0u);
  EXPECT_EQ(read(R"({"quant_method": "fp8", "fmt": "e4m3",
                     "weight_block_size": [128, 128]})"),
            128u);
  ModelConfig config;
  for (const char* const text :
       {R"({"quant_method": "gptq"})", R"({})",
        R"({"quant_method": "fp8", "fmt": "e5m2"})",
        R"({"quant_method": "fp8", "weight_block_size": [128, 64]})",
        R"({"quant_method": "fp8", "weight_block_size": 128})"}) {
    ExpectError(ReadFp8Config(*ParseJson(text), config),
                ErrorCode::kUnsupported, "quantization_config");
  }
  ExpectError(ReadFp8Config(Json("fp8"), config), ErrorCode::kCorrupt,
              "quantization_config");
  ExpectError(ReadFp8Config(*ParseJson(R"({"quant_method": "fp8",
                                           "weight_block_size": [0, 0]})"),
                            config),
              ErrorCode::kCorrupt, "weight_block_size");
  EXPECT_TRUE(IsFp8Params(*ParseJson(R"({"qformat_weight": "fp8_e4m3"})")));
  EXPECT_FALSE(IsFp8Params(*ParseJson(R"({"qformat_weight": "fp8"})")));
}

ModelConfig OneLayer() {
  ModelConfig config;
  config.dim = 256;
  config.num_layers = 1;
  config.head_dim = 64;
  config.ff_dim = 192;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.vocab_size = 10;
  config.num_experts = 2;
  config.num_experts_per_token = 1;
  config.rope_style = RopeStyle::kHalf;
  config.names = NameScheme::kHuggingFace;
  return config;
}

// Mixtral with all that is multiplied in fp8, as its configuration expects it.
TEST(Fp8ScaleTest, ExpertsHaveScalesByBlock) {
  ModelConfig config = OneLayer();
  config.traits.fp8_block = 128;
  TensorTable table;
  for (const TensorSpec& spec : ExpectedTensors(config, config.names)) {
    const bool linear = spec.stored == StoredAs::kLinear;
    Add(table, spec.name,
        linear                               ? DType::kF8E4M3
        : spec.stored == StoredAs::kFp8Scale ? DType::kF32
                                             : DType::kBF16,
        spec.shape);
  }
  const std::string w2 =
      "model.layers.0.block_sparse_moe.experts.1.w2.weight_scale_inv";
  ASSERT_NE(table.Find(w2), nullptr);
  // [256, 192] in blocks of 128.
  EXPECT_EQ(table.Find(w2)->shape, (std::vector<uint64_t>{2, 2}));
  EXPECT_EQ(table.Find("lm_head.weight")->dtype, DType::kBF16);
  EXPECT_TRUE(CheckStructure(table, config).ok());
}

TEST(Fp8ScaleTest, OneScaleOfATensorIsNoExtraTensor) {
  const ModelConfig config = OneLayer();
  const auto check = [&](std::vector<uint64_t> shape, DType dtype) {
    TensorTable table;
    for (const TensorSpec& spec : ExpectedTensors(config, config.names)) {
      const bool linear = spec.stored == StoredAs::kLinear;
      Add(table, spec.name, linear ? DType::kF8E4M3 : DType::kBF16, spec.shape);
      if (!linear) continue;
      Add(table, spec.name + "_scale", dtype, shape);
      Add(table, spec.name.substr(0, spec.name.size() - 6) + "input_scale",
          DType::kF32, {});
    }
    return CheckStructure(table, config);
  };
  EXPECT_TRUE(check({}, DType::kF32).ok());
  EXPECT_TRUE(check({1}, DType::kBF16).ok());
  const auto rows = check({7}, DType::kF32);
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.findings[0].kind, FindingKind::kMisshapen);
  const auto integers = check({1}, DType::kI32);
  ASSERT_FALSE(integers.ok());
  EXPECT_EQ(integers.findings[0].kind, FindingKind::kWrongDType);
}

}  // namespace
}  // namespace verify
