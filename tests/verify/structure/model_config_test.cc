// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/model_config.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/json.h"

namespace verify {
namespace {

// The nine keys of Mistral 7B v0.1 (its torrent's params.json).
constexpr std::string_view kMistral7B =
    R"({"dim": 4096, "n_layers": 32, "head_dim": 128, "hidden_dim": 14336,
        "n_heads": 32, "n_kv_heads": 8, "norm_eps": 1e-05,
        "sliding_window": 4096, "vocab_size": 32000})";
// Mixtral 8x7B (its torrent's params.json).
constexpr std::string_view kMixtral8x7B =
    R"({"dim": 4096, "n_layers": 32, "head_dim": 128, "hidden_dim": 14336,
        "n_heads": 32, "n_kv_heads": 8, "norm_eps": 1e-05,
        "vocab_size": 32000,
        "moe": {"num_experts_per_tok": 2, "num_experts": 8}})";
constexpr std::string_view kMixtralHuggingFace =
    R"({"architectures": ["MixtralForCausalLM"], "attention_dropout": 0.0,
        "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
        "hidden_size": 4096, "initializer_range": 0.02,
        "intermediate_size": 14336, "max_position_embeddings": 32768,
        "model_type": "mixtral", "num_attention_heads": 32,
        "num_experts_per_tok": 2, "num_hidden_layers": 32,
        "num_key_value_heads": 8, "num_local_experts": 8,
        "output_router_logits": false, "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0, "router_aux_loss_coef": 0.02,
        "sliding_window": null, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 32000})";

Json Parsed(std::string_view text) {
  auto json = ParseJson(text);
  EXPECT_TRUE(json.has_value()) << text;
  return json ? *json : Json();
}

// `base` with `patch` laid over it; a null in the patch removes the key.
Json Patched(std::string_view base, std::string_view patch) {
  Json json = Parsed(base);
  json.merge_patch(Parsed(patch));
  return json;
}

void ExpectRefused(const Result<ModelConfig>& result, ErrorCode code,
                   std::string_view key, std::string_view value) {
  ASSERT_FALSE(result.has_value()) << "accepted: " << key << " " << value;
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_EQ(result.error().id, "E-CONFIG");
  EXPECT_NE(result.error().message.find(key), std::string::npos)
      << result.error().message;
  EXPECT_NE(result.error().message.find(value), std::string::npos)
      << result.error().message;
}

TEST(ModelConfigTest, ReadsMistral7B) {
  const auto config = ConfigFromParamsJson(Parsed(kMistral7B));
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->dim, 4096u);
  EXPECT_EQ(config->num_layers, 32u);
  EXPECT_EQ(config->head_dim, 128u);
  EXPECT_EQ(config->ff_dim, 14336u);
  EXPECT_EQ(config->num_heads, 32u);
  EXPECT_EQ(config->num_kv_heads, 8u);
  EXPECT_EQ(config->vocab_size, 32000u);
  EXPECT_EQ(config->norm_eps, 1e-5);
  EXPECT_EQ(config->rope_theta, 1e4);  // a window and no theta
  EXPECT_EQ(config->sliding_window, 4096u);
  EXPECT_FALSE(config->is_moe());
  EXPECT_FALSE(config->tied_embeddings);
  EXPECT_EQ(config->rope_style, RopeStyle::kInterleaved);
  EXPECT_EQ(config->names, NameScheme::kMistral);
  EXPECT_EQ(Describe(*config),
            "Mistral, 32 layers, dim 4096, vocabulary 32000");
}

TEST(ModelConfigTest, ReadsMixtral8x7B) {
  const auto config = ConfigFromParamsJson(Parsed(kMixtral8x7B));
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->num_experts, 8u);
  EXPECT_EQ(config->num_experts_per_token, 2u);
  EXPECT_EQ(config->rope_theta, 1e6);  // neither window nor theta
  EXPECT_EQ(config->sliding_window, std::nullopt);
  EXPECT_EQ(Describe(*config),
            "Mixtral, 32 layers, 8 experts (2 per token), dim 4096, "
            "vocabulary 32000");
}

TEST(ModelConfigTest, ThetaFollowsWindowUnlessGiven) {
  const std::vector<std::pair<std::string_view, double>> cases = {
      {R"({"rope_theta": 500000, "sliding_window": 64})", 5e5},
      {R"({"rope_theta": 1e6})", 1e6},
      {R"({"rope_theta": null})", 1e6},
      {R"({"sliding_window": "4096"})", 1e4},
      {R"({"_sliding_window": 4096})", 1e4},
  };
  for (const auto& [patch, theta] : cases) {
    const auto config = ConfigFromParamsJson(Patched(kMixtral8x7B, patch));
    ASSERT_TRUE(config.has_value()) << patch << config.error().message;
    EXPECT_EQ(config->rope_theta, theta) << patch;
  }
}

TEST(ModelConfigTest, ReadsEveryFormOfWindow) {
  const std::vector<std::pair<std::string_view, std::optional<uint64_t>>>
      cases = {
          {R"({"sliding_window": 128})", 128u},
          {R"({"sliding_window": "128"})", 128u},
          {R"({"sliding_window": [128]})", 128u},
          {R"({"sliding_window": [128, "128"]})", 128u},
          {R"({"sliding_window": [null]})", std::nullopt},
          {R"({"_sliding_window": 7, "sliding_window": 7})", 7u},
      };
  for (const auto& [patch, window] : cases) {
    const auto config = ConfigFromParamsJson(Patched(kMixtral8x7B, patch));
    ASSERT_TRUE(config.has_value()) << patch << config.error().message;
    EXPECT_EQ(config->sliding_window, window) << patch;
  }
}

TEST(ModelConfigTest, TakesVocabularyFromEmbeddingWhereItIsMinusOne) {
  const Json json = Patched(kMistral7B, R"({"vocab_size": -1})");
  const auto config = ConfigFromParamsJson(json, 32000);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->vocab_size, 32000u);
  ExpectRefused(ConfigFromParamsJson(json), ErrorCode::kCorrupt, "vocab_size",
                "-1");
  ExpectRefused(
      ConfigFromParamsJson(Patched(kMistral7B, R"({"vocab_size": -2})"), 8),
      ErrorCode::kCorrupt, "vocab_size", "-2");
}

TEST(ModelConfigTest, DerivesWhatOlderFilesLeaveOut) {
  Json json = Parsed(kMistral7B);
  json.erase("head_dim");
  json.erase("n_kv_heads");
  const auto config = ConfigFromParamsJson(json);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->head_dim, 128u);  // 4096 / 32
  EXPECT_EQ(config->num_kv_heads, 32u);
}

// Llama's files say what the width was rounded to; the widths are those of the
// published models.
TEST(ModelConfigTest, DerivesTheWidthOfLlama) {
  const struct {
    std::string_view patch;
    uint64_t ff_dim;
  } cases[] = {
      {R"({"dim": 4096, "multiple_of": 256})", 11008},
      {R"({"dim": 5120, "n_heads": 40, "multiple_of": 256})", 13824},
      {R"({"dim": 8192, "n_heads": 64, "multiple_of": 4096,
           "ffn_dim_multiplier": 1.3})",
       28672},
      {R"({"dim": 4096, "multiple_of": 1024, "ffn_dim_multiplier": 1.3})",
       14336},
  };
  for (const auto& c : cases) {
    Json json = Parsed(kMistral7B);
    for (const char* const key : {"hidden_dim", "head_dim", "sliding_window"}) {
      json.erase(key);
    }
    json.merge_patch(Parsed(c.patch));
    const auto config = ConfigFromParamsJson(json);
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->ff_dim, c.ff_dim);
    EXPECT_EQ(config->rope_theta, 1e4);
    for (const char* const bad :
         {R"({"multiple_of": 0})", R"({"multiple_of": 65537})",
          R"({"ffn_dim_multiplier": 0})", R"({"ffn_dim_multiplier": 65})"}) {
      Json worse = json;
      worse.merge_patch(Parsed(bad));
      ExpectRefused(ConfigFromParamsJson(worse), ErrorCode::kCorrupt,
                    "multiple_of", "out of range");
    }
  }
}

TEST(ModelConfigTest, RefusesWhatIsMissing) {
  for (const std::string_view key :
       {"dim", "n_layers", "hidden_dim", "n_heads", "norm_eps", "vocab_size"}) {
    Json json = Parsed(kMistral7B);
    json.erase(std::string(key));
    ExpectRefused(ConfigFromParamsJson(json), ErrorCode::kCorrupt, key,
                  "missing");
  }
}

TEST(ModelConfigTest, RefusesWrongTypesAndRanges) {
  struct Case {
    std::string_view patch;
    std::string_view key;
    std::string_view value;
  };
  const std::vector<Case> cases = {
      {R"({"dim": 0})", "dim", "0"},
      {R"({"dim": 65537})", "dim", "65537"},
      {R"({"dim": -4096})", "dim", "-4096"},
      {R"({"dim": 4096.0})", "dim", "4096.0"},
      {R"({"dim": "4096"})", "dim", "4096"},
      {R"({"dim": [4096]})", "dim", "4096"},
      {R"({"n_layers": 0})", "n_layers", "0"},
      {R"({"n_layers": 1025})", "n_layers", "1025"},
      {R"({"n_layers": 18446744073709551615})", "n_layers", "18446744"},
      {R"({"n_heads": 0})", "n_heads", "0"},
      {R"({"n_heads": 30})", "n_heads", "30"},
      {R"({"n_kv_heads": 0})", "n_kv_heads", "0"},
      {R"({"n_kv_heads": 64})", "n_kv_heads", "64"},
      {R"({"n_kv_heads": 5})", "n_kv_heads", "5"},
      {R"({"head_dim": 127})", "head_dim", "127"},
      {R"({"head_dim": 0})", "head_dim", "0"},
      {R"({"head_dim": 2048})", "head_dim", "2048"},
      {R"({"hidden_dim": 0})", "hidden_dim", "0"},
      {R"({"hidden_dim": 1048577})", "hidden_dim", "1048577"},
      {R"({"vocab_size": 0})", "vocab_size", "0"},
      {R"({"vocab_size": 4194305})", "vocab_size", "4194305"},
      {R"({"norm_eps": 0})", "norm_eps", "0"},
      {R"({"norm_eps": -1e-5})", "norm_eps", "-1e-05"},
      {R"({"norm_eps": 1})", "norm_eps", "1"},
      {R"({"norm_eps": "1e-5"})", "norm_eps", "1e-5"},
      {R"({"rope_theta": 0})", "rope_theta", "0"},
      {R"({"rope_theta": 1e13})", "rope_theta", "1e+13"},
      {R"({"max_seq_len": 0})", "max_seq_len", "0"},
      {R"({"sliding_window": 0})", "sliding_window", "0"},
      {R"({"sliding_window": -1})", "sliding_window", "-1"},
      {R"({"sliding_window": "12x"})", "sliding_window", "12x"},
      {R"({"sliding_window": ""})", "sliding_window", "\"\""},
      {R"({"sliding_window": []})", "sliding_window", "0"},
      {R"({"sliding_window": [1, 1, 1, 1, 1]})", "sliding_window", "5"},
      {R"({"_sliding_window": 8})", "_sliding_window", "8"},
      {R"({"tied_embeddings": 1})", "tied_embeddings", "1"},
      {R"({"moe": 8})", "moe", "8"},
      {R"({"moe": {"num_experts": 8}})", "num_experts_per_tok", "missing"},
      {R"({"moe": {"num_experts": 0, "num_experts_per_tok": 0}})",
       "num_experts", "0"},
      {R"({"moe": {"num_experts": 8, "num_experts_per_tok": 9}})",
       "num_experts_per_tok", "9"},
      {R"({"moe": {"num_experts": 8, "num_experts_per_tok": 0}})",
       "num_experts_per_tok", "0"},
      {R"({"moe": {"num_experts": 1025, "num_experts_per_tok": 1}})",
       "num_experts", "1025"},
  };
  for (const Case& c : cases) {
    ExpectRefused(ConfigFromParamsJson(Patched(kMistral7B, c.patch)),
                  ErrorCode::kCorrupt, c.key, c.value);
  }
}

TEST(ModelConfigTest, RefusesTotalsBeyondTheLimits) {
  ExpectRefused(ConfigFromParamsJson(Patched(kMixtral8x7B,
                                             R"({"n_layers": 1024,
              "moe": {"num_experts": 1024, "num_experts_per_tok": 1}})")),
                ErrorCode::kCorrupt, "n_layers", "tensors");
  ExpectRefused(ConfigFromParamsJson(Patched(
                    kMixtral8x7B,
                    R"({"n_layers": 64, "dim": 65536, "hidden_dim": 1048576,
              "moe": {"num_experts": 1024, "num_experts_per_tok": 1}})")),
                ErrorCode::kCorrupt, "parameters", "limit");
}

TEST(ModelConfigTest, RefusesOtherArithmetic) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases = {
      {R"({"model_type": "mamba"})", "model_type"},
      {R"({"lora": {"rank": 64}})", "lora"},
      {R"({"vision_encoder": {"hidden_size": 1024}})", "vision_encoder"},
      {R"({"yarn": {"factor": 16}})", "yarn"},
      {R"({"llama_4_scaling": {"beta": 0.1}})", "llama_4_scaling"},
      {R"({"q_lora_rank": 1536})", "q_lora_rank"},
      {R"({"quantization": {"qformat_weight": "fp8"}})", "quantization"},
      {R"({"activation": "gelu"})", "activation"},
      {R"({"use_biases": true})", "use_biases"},
      {R"({"use_scaled_rope": true})", "use_scaled_rope"},
      {R"({"attention_sinks": 4})", "attention_sinks"},
      {R"({"something_new": {"a": 1}})", "something_new"},
      {R"({"sliding_window": [4096, null]})", "sliding_window"},
      {R"({"moe": {"num_experts": 8, "num_experts_per_tok": 2,
                   "num_shared_experts": 1}})",
       "num_shared_experts"},
      {R"({"moe": {"num_experts": 8, "num_experts_per_tok": 2,
                   "first_k_dense_replace": 3}})",
       "first_k_dense_replace"},
      {R"({"moe": {"num_experts": 8, "num_experts_per_tok": 2,
                   "router_rule": "sigmoid"}})",
       "router_rule"},
  };
  for (const auto& [patch, key] : cases) {
    ExpectRefused(ConfigFromParamsJson(Patched(kMistral7B, patch)),
                  ErrorCode::kUnsupported, key, "not implemented");
  }
}

TEST(ModelConfigTest, ToleratesKeysThatChangeNothing) {
  const auto config = ConfigFromParamsJson(
      Patched(kMixtral8x7B,
              R"({"max_batch_size": 1, "model_type": "transformer",
          "activation": "silu", "note": "text", "use_scaled_rope": false,
          "max_seq_len": 65536,
          "moe": {"num_experts": 8, "num_experts_per_tok": 2,
                  "num_shared_experts": 0, "routed_scale": 1.0,
                  "expert_hidden_dim": 14336}})"));
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->context_len, 65536u);
}

TEST(ModelConfigTest, RefusesWhatIsNoObject) {
  ExpectRefused(ConfigFromParamsJson(Parsed("[1]")), ErrorCode::kCorrupt,
                "params", "[1]");
  ExpectRefused(ConfigFromHuggingFaceJson(Parsed("7")), ErrorCode::kCorrupt,
                "config", "7");
}

TEST(ModelConfigTest, EscapesValuesOfTheFile) {
  const auto config = ConfigFromParamsJson(
      Patched(kMistral7B, R"({"lora\u001b[2J": {"a": "\u202e"}})"));
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().message.find('\x1b'), std::string::npos);
  EXPECT_EQ(config.error().message.find("\u202e"), std::string::npos);
}

TEST(ModelConfigTest, ReadsHuggingFaceMixtral) {
  const auto config = ConfigFromHuggingFaceJson(Parsed(kMixtralHuggingFace));
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->dim, 4096u);
  EXPECT_EQ(config->num_layers, 32u);
  EXPECT_EQ(config->head_dim, 128u);  // 4096 / 32
  EXPECT_EQ(config->ff_dim, 14336u);
  EXPECT_EQ(config->num_heads, 32u);
  EXPECT_EQ(config->num_kv_heads, 8u);
  EXPECT_EQ(config->vocab_size, 32000u);
  EXPECT_EQ(config->norm_eps, 1e-5);
  EXPECT_EQ(config->rope_theta, 1e6);
  EXPECT_EQ(config->sliding_window, std::nullopt);
  EXPECT_EQ(config->num_experts, 8u);
  EXPECT_EQ(config->num_experts_per_token, 2u);
  EXPECT_EQ(config->context_len, 32768u);
  EXPECT_EQ(config->rope_style, RopeStyle::kHalf);
  EXPECT_EQ(config->names, NameScheme::kHuggingFace);
}

TEST(ModelConfigTest, ReadsNestedTheta) {
  Json json = Parsed(kMixtralHuggingFace);
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 5e5}};
  const auto config = ConfigFromHuggingFaceJson(json);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->rope_theta, 5e5);
  json["rope_theta"] = 1e4;
  ExpectRefused(ConfigFromHuggingFaceJson(json), ErrorCode::kCorrupt,
                "rope_theta", "10000");
}

// MistralConfig, MixtralConfig and LlamaConfig of transformers 4.46.
TEST(ModelConfigTest, HasTheDefaultsOfEachClass) {
  Json json = Parsed(kMixtralHuggingFace);
  json.erase("rope_theta");
  json.erase("sliding_window");
  const auto mixtral = ConfigFromHuggingFaceJson(json);
  ASSERT_TRUE(mixtral.has_value()) << mixtral.error().message;
  EXPECT_EQ(mixtral->rope_theta, 1e6);
  EXPECT_EQ(mixtral->sliding_window, std::nullopt);
  json.erase("num_local_experts");
  json["architectures"] = {"MistralForCausalLM"};
  const auto mistral = ConfigFromHuggingFaceJson(json);
  ASSERT_TRUE(mistral.has_value()) << mistral.error().message;
  EXPECT_EQ(mistral->rope_theta, 1e4);
  EXPECT_EQ(mistral->sliding_window, 4096u);
  json["architectures"] = {"LlamaForCausalLM"};
  const auto llama = ConfigFromHuggingFaceJson(json);
  ASSERT_TRUE(llama.has_value()) << llama.error().message;
  EXPECT_EQ(llama->rope_theta, 1e4);
  EXPECT_EQ(llama->sliding_window, std::nullopt);
}

TEST(ModelConfigTest, RefusesOtherHuggingFaceModels) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases = {
      {R"({"architectures": ["GPT2LMHeadModel"]})", "GPT2LMHeadModel"},
      {R"({"hidden_act": "gelu"})", "hidden_act"},
      {R"({"attention_bias": true})", "attention_bias"},
      {R"({"mlp_bias": true})", "mlp_bias"},
      {R"({"partial_rotary_factor": 0.5})", "partial_rotary_factor"},
      {R"({"quantization_config": {"quant_method": "gptq"}})",
       "quantization_config"},
      {R"({"rope_scaling": {"type": "yarn", "factor": 4.0}})", "rope_scaling"},
      {R"({"rope_parameters": {"rope_type": "llama3"}})", "rope_parameters"},
  };
  for (const auto& [patch, key] : cases) {
    ExpectRefused(
        ConfigFromHuggingFaceJson(Patched(kMixtralHuggingFace, patch)),
        ErrorCode::kUnsupported, key, "not implemented");
  }
  for (const std::string_view patch :
       {R"({"architectures": []})", R"({"architectures": "x"})",
        R"({"architectures": [1]})", R"({"hidden_size": 0})",
        R"({"num_local_experts": 0})", R"({"num_attention_heads": 0})",
        R"({"num_attention_heads": 24})", R"({"rms_norm_eps": null})"}) {
    const auto config =
        ConfigFromHuggingFaceJson(Patched(kMixtralHuggingFace, patch));
    ASSERT_FALSE(config.has_value()) << patch;
    EXPECT_EQ(config.error().code, ErrorCode::kCorrupt) << patch;
    EXPECT_EQ(config.error().id, "E-CONFIG") << patch;
  }
}

}  // namespace
}  // namespace verify
