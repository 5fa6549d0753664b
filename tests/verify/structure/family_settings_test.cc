// SPDX-License-Identifier: Apache-2.0
// Settings that change the arithmetic of the families beside Mistral's that are
// run: the defaults of their classes, what GGUF's architectures stand for, and
// what is refused.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/verify/structure/family_configs.h"
#include "verify/base/json.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace verify {
namespace {

using tests::FamilyConfig;
using tests::FamilyConfigs;

ModelConfig PatchedConfig(std::string_view json, std::string_view patch) {
  auto parsed = ParseJson(json);
  EXPECT_TRUE(parsed.has_value()) << json;
  parsed->merge_patch(*ParseJson(patch));
  auto config = ConfigFromHuggingFaceJson(*parsed);
  EXPECT_TRUE(config.has_value()) << config.error().message;
  return config ? *config : ModelConfig();
}

std::string_view JsonOf(std::string_view name) {
  for (const FamilyConfig& model : FamilyConfigs()) {
    if (model.name == name) return model.json;
  }
  ADD_FAILURE() << name;
  return "{}";
}

// Defaults of Qwen3MoeConfig and OlmoeConfig in transformers.
TEST(FamilySettingsTest, WhatConfigJsonLeavesOutIsTheDefaultOfItsClass) {
  const ModelConfig qwen = PatchedConfig(
      JsonOf("Qwen3-30B-A3B"), R"({"rms_norm_eps": null, "rope_theta": null})");
  EXPECT_EQ(qwen.norm_eps, 1e-6);
  EXPECT_EQ(qwen.rope_theta, 1e4);
  EXPECT_EQ(qwen.context_len, 32768u);
  EXPECT_EQ(qwen.expert_weights, ExpertWeights::kOfAll);
  EXPECT_EQ(qwen.rope_style, RopeStyle::kHalf);
  EXPECT_FALSE(qwen.sliding_window.has_value());
  const ModelConfig olmoe =
      PatchedConfig(JsonOf("OLMoE-1B-7B"), R"({"rms_norm_eps": null})");
  EXPECT_EQ(olmoe.norm_eps, 1e-5);
  EXPECT_EQ(olmoe.rope_theta, 1e4);
  EXPECT_EQ(olmoe.context_len, 4096u);
  EXPECT_EQ(olmoe.expert_weights, ExpertWeights::kOfAll);
}

TEST(FamilySettingsTest, SettingsThatAreRun) {
  const ModelConfig qwen =
      PatchedConfig(JsonOf("Qwen3-30B-A3B"),
                    R"({"norm_topk_prob": true, "use_sliding_window": true,
          "sliding_window": 4096, "max_window_layers": 0,
          "rope_theta": null, "rope_parameters": {"rope_type": "default",
          "rope_theta": 5000000}, "hidden_act": "silu", "clip_qkv": null,
          "mlp_only_layers": [3, 1], "decoder_sparse_step": 2})");
  EXPECT_TRUE(qwen.runnable()) << qwen.not_run;
  EXPECT_EQ(qwen.expert_weights, ExpertWeights::kOfChosen);
  EXPECT_EQ(qwen.sliding_window, 4096u);
  EXPECT_EQ(qwen.rope_theta, 5e6);
  // By hand: of layers 0 to 5 every second has experts, but for 1 and 3.
  const bool moe[] = {false, false, false, false, false, true};
  for (uint64_t l = 0; l < 6; ++l) EXPECT_EQ(qwen.is_moe_layer(l), moe[l]);
  // The window counts only where it is switched on.
  const ModelConfig off =
      PatchedConfig(JsonOf("Qwen3-30B-A3B"),
                    R"({"use_sliding_window": false, "sliding_window": 4096})");
  EXPECT_FALSE(off.sliding_window.has_value());
  EXPECT_TRUE(off.runnable());
}

// The tensors of such a model can be checked; it cannot be run.
TEST(FamilySettingsTest, SettingsThatAreNotRunAreNamed) {
  const struct {
    std::string_view model;
    std::string_view patch;
    std::string_view key;
  } cases[] = {
      {"OLMoE-1B-7B", R"({"clip_qkv": 8})", "clip_qkv"},
      {"OLMoE-1B-7B", R"({"hidden_act": "gelu"})", "hidden_act"},
      {"Qwen3-30B-A3B", R"({"attention_bias": true})", "attention_bias"},
      {"Qwen3-30B-A3B",
       R"({"rope_scaling": {"rope_type": "yarn", "factor": 4}})",
       "rope_scaling"},
      {"Qwen3-30B-A3B", R"({"partial_rotary_factor": 0.5})",
       "partial_rotary_factor"},
      {"Qwen3-30B-A3B",
       R"({"use_sliding_window": true, "sliding_window": 64,
           "max_window_layers": 28})",
       "max_window_layers"},
  };
  for (const auto& c : cases) {
    const ModelConfig config = PatchedConfig(JsonOf(c.model), c.patch);
    EXPECT_FALSE(config.runnable()) << c.patch;
    const auto checked = CheckRunnable(config);
    ASSERT_FALSE(checked.has_value()) << c.patch;
    EXPECT_EQ(checked.error().id, "E-ARCHITECTURE");
    EXPECT_NE(checked.error().message.find(c.key), std::string::npos)
        << checked.error().message;
  }
}

GgufFile Qwen3MoeGguf(std::string_view architecture = "qwen3moe") {
  GgufFile gguf;
  auto& meta = gguf.metadata;
  const std::string name(architecture);
  meta["general.architecture"] = name;
  meta[name + ".vocab_size"] = uint64_t{151936};
  meta[name + ".embedding_length"] = uint64_t{2048};
  meta[name + ".block_count"] = uint64_t{48};
  meta[name + ".feed_forward_length"] = uint64_t{6144};
  meta[name + ".expert_feed_forward_length"] = uint64_t{768};
  meta[name + ".attention.head_count"] = uint64_t{32};
  meta[name + ".attention.head_count_kv"] = uint64_t{4};
  meta[name + ".attention.key_length"] = uint64_t{128};
  meta[name + ".attention.value_length"] = uint64_t{128};
  meta[name + ".expert_count"] = uint64_t{128};
  meta[name + ".expert_used_count"] = uint64_t{8};
  TensorInfo output;
  output.name = "output.weight";
  output.shape = {1};
  output.size_bytes = 4;
  EXPECT_TRUE(gguf.tensors.Add(output, 4).has_value());
  return gguf;
}

// What llama.cpp's graphs of the two architectures do: src/models/qwen3moe.cpp
// makes the weights add up, olmoe.cpp does not; both rotate halves.
TEST(FamilySettingsTest, GgufArchitecturesHaveRulesOfTheirOwn) {
  const auto qwen = ConfigFromGguf(Qwen3MoeGguf());
  ASSERT_TRUE(qwen.has_value()) << qwen.error().message;
  EXPECT_TRUE(qwen->runnable());
  EXPECT_EQ(qwen->rope_style, RopeStyle::kHalf);
  EXPECT_EQ(qwen->expert_weights, ExpertWeights::kOfChosen);
  uint64_t parameters = 0;
  for (const TensorSpec& spec : ExpectedTensors(*qwen, NameScheme::kGguf)) {
    parameters += spec.num_parameters();
  }
  EXPECT_EQ(parameters, 30'532'122'624u);
  const auto olmoe = ConfigFromGguf(Qwen3MoeGguf("olmoe"));
  ASSERT_TRUE(olmoe.has_value()) << olmoe.error().message;
  EXPECT_TRUE(olmoe->runnable());
  EXPECT_EQ(olmoe->rope_style, RopeStyle::kHalf);
  EXPECT_EQ(olmoe->expert_weights, ExpertWeights::kOfAll);

  GgufFile given = Qwen3MoeGguf("olmoe");
  given.metadata["olmoe.expert_weights_norm"] = true;
  const auto adds_up = ConfigFromGguf(given);
  ASSERT_TRUE(adds_up.has_value());
  EXPECT_EQ(adds_up->expert_weights, ExpertWeights::kOfChosen);
}

TEST(FamilySettingsTest, GgufSettingsThatAreNotRunAreNamed) {
  const std::pair<std::string, GgufValue> cases[] = {
      {"qwen3moe.rope.scaling.type", std::string("yarn")},
      {"qwen3moe.rope.scaling.factor", 4.0},
      {"qwen3moe.rope.dimension_count", uint64_t{64}},
      {"qwen3moe.attention.value_length", uint64_t{64}},
      {"qwen3moe.expert_gating_func", uint64_t{2}},
      {"qwen3moe.expert_weights_scale", 2.5},
      {"qwen3moe.expert_shared_count", uint64_t{1}},
      {"qwen3moe.attention.clamp_kqv", 8.0},
  };
  for (const auto& [key, value] : cases) {
    GgufFile gguf = Qwen3MoeGguf();
    gguf.metadata[key] = value;
    const auto config = ConfigFromGguf(gguf);
    ASSERT_TRUE(config.has_value()) << key;
    EXPECT_FALSE(config->runnable()) << key;
    EXPECT_NE(config->not_run.find(key), std::string::npos) << config->not_run;
  }
}

}  // namespace
}  // namespace verify
