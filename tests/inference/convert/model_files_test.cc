// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/model_files.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/tiny_checkpoint.h"
#include "verify/base/json.h"
#include "verify/structure/model_config.h"

namespace inference {
namespace {

using verify::DType;
using verify::Json;
using verify::ModelConfig;

// The keys of the 8x7B release (docs/formats/layouts.md), and no other.
TEST(ModelFilesTest, WritesParamsAsReleasesHaveThem) {
  const ModelConfig config = tests::TinyConfig();
  EXPECT_EQ(ParamsJsonText(config), R"({
  "dim": 64,
  "n_layers": 2,
  "head_dim": 16,
  "hidden_dim": 96,
  "n_heads": 4,
  "n_kv_heads": 2,
  "norm_eps": 1e-05,
  "vocab_size": 40,
  "rope_theta": 1000000.0,
  "moe": {
    "num_experts_per_tok": 2,
    "num_experts": 3
  }
}
)");
}

TEST(ModelFilesTest, ConfigurationsAreReadBack) {
  ModelConfig config = tests::TinyConfig();
  config.context_len = 4096;
  for (const bool moe : {true, false}) {
    if (!moe) {
      config.num_experts = config.num_experts_per_token = 0;
      config.sliding_window = 128;
      config.tied_embeddings = true;
    }
    // As it comes from the metadata of a GGUF file.
    config.norm_eps = static_cast<double>(1e-5f);
    const auto params =
        verify::ConfigFromParamsJson(Json::parse(ParamsJsonText(config)));
    const auto hub = verify::ConfigFromHuggingFaceJson(Json::parse(
        HuggingFaceConfigText(config, DType::kF16, {.begin = 1, .end = 2})));
    for (const auto& read : {params, hub}) {
      ASSERT_TRUE(read) << read.error().ToString();
      EXPECT_EQ(read->norm_eps, 1e-5);
      EXPECT_EQ(read->rope_theta, 1e6);
      EXPECT_EQ(read->context_len, 4096u);
      EXPECT_EQ(read->num_experts, config.num_experts);
      EXPECT_EQ(read->sliding_window, config.sliding_window);
      EXPECT_EQ(read->tied_embeddings, config.tied_embeddings);
      EXPECT_EQ(read->head_dim, 16u);
    }
    EXPECT_EQ(hub->rope_style, verify::RopeStyle::kHalf);
  }
}

TEST(ModelFilesTest, NamesTheClassTheTypeAndTheEnds) {
  ModelConfig config = tests::TinyConfig();
  Json json = Json::parse(
      HuggingFaceConfigText(config, DType::kF32, {.begin = 1, .end = 7}));
  EXPECT_EQ(json["architectures"][0], "MixtralForCausalLM");
  EXPECT_EQ(json["torch_dtype"], "float32");
  EXPECT_EQ(json["eos_token_id"], 7);
  config.num_experts = 0;
  json = Json::parse(HuggingFaceConfigText(config, DType::kBF16, {}));
  EXPECT_EQ(json["model_type"], "mistral");
  EXPECT_TRUE(json.contains("sliding_window"));
  EXPECT_FALSE(json.contains("eos_token_id"));
}

}  // namespace
}  // namespace inference
