// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/structure/model_config.h"

namespace verify {
namespace {

// The metadata that llama.cpp writes for Mixtral 8x7B.
GgufFile Mixtral8x7B() {
  GgufFile gguf;
  auto& meta = gguf.metadata;
  meta["general.architecture"] = std::string("llama");
  meta["llama.vocab_size"] = uint64_t{32000};
  meta["llama.context_length"] = uint64_t{32768};
  meta["llama.embedding_length"] = uint64_t{4096};
  meta["llama.block_count"] = uint64_t{32};
  meta["llama.feed_forward_length"] = uint64_t{14336};
  meta["llama.rope.dimension_count"] = uint64_t{128};
  meta["llama.attention.head_count"] = uint64_t{32};
  meta["llama.attention.head_count_kv"] = uint64_t{8};
  meta["llama.attention.layer_norm_rms_epsilon"] = double{1e-5f};
  meta["llama.rope.freq_base"] = 1e6;
  meta["llama.expert_count"] = uint64_t{8};
  meta["llama.expert_used_count"] = uint64_t{2};
  return gguf;
}

void AddTensor(GgufFile& gguf, const std::string& name,
               std::vector<uint64_t> shape) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.shape = std::move(shape);
  tensor.size_bytes = 4 * NumElements(tensor.shape).value();
  ASSERT_TRUE(gguf.tensors.Add(tensor, tensor.size_bytes).has_value());
}

TEST(GgufConfigTest, ReadsMixtral) {
  GgufFile gguf = Mixtral8x7B();
  AddTensor(gguf, "output.weight", {1});
  const auto config = ConfigFromGguf(gguf);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->dim, 4096u);
  EXPECT_EQ(config->num_layers, 32u);
  EXPECT_EQ(config->head_dim, 128u);
  EXPECT_EQ(config->ff_dim, 14336u);
  EXPECT_EQ(config->num_heads, 32u);
  EXPECT_EQ(config->num_kv_heads, 8u);
  EXPECT_EQ(config->vocab_size, 32000u);
  EXPECT_FLOAT_EQ(static_cast<float>(config->norm_eps), 1e-5f);
  EXPECT_EQ(config->rope_theta, 1e6);
  EXPECT_EQ(config->sliding_window, std::nullopt);
  EXPECT_EQ(config->num_experts, 8u);
  EXPECT_EQ(config->num_experts_per_token, 2u);
  EXPECT_EQ(config->context_len, 32768u);
  EXPECT_FALSE(config->tied_embeddings);
  EXPECT_EQ(config->rope_style, RopeStyle::kInterleaved);
  EXPECT_EQ(config->names, NameScheme::kGguf);
}

TEST(GgufConfigTest, HasTheDefaultsOfTheFormat) {
  GgufFile gguf = Mixtral8x7B();
  gguf.metadata.erase("llama.rope.freq_base");
  gguf.metadata.erase("llama.rope.dimension_count");
  gguf.metadata.erase("llama.attention.head_count_kv");
  gguf.metadata.erase("llama.expert_count");
  gguf.metadata.erase("llama.vocab_size");
  gguf.metadata["tokenizer.ggml.tokens"] =
      std::vector<std::string>{"a", "b", "c"};
  gguf.metadata["llama.attention.sliding_window"] = uint64_t{4096};
  const auto config = ConfigFromGguf(gguf);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->rope_theta, 1e4);
  EXPECT_EQ(config->head_dim, 128u);
  EXPECT_EQ(config->num_kv_heads, 32u);
  EXPECT_EQ(config->vocab_size, 3u);
  EXPECT_EQ(config->sliding_window, 4096u);
  EXPECT_FALSE(config->is_moe());
  EXPECT_TRUE(config->tied_embeddings);  // there is no output.weight
}

TEST(GgufConfigTest, TakesVocabularyFromTheEmbedding) {
  GgufFile gguf = Mixtral8x7B();
  gguf.metadata.erase("llama.vocab_size");
  EXPECT_FALSE(ConfigFromGguf(gguf).has_value());
  AddTensor(gguf, "token_embd.weight", {77, 2});
  const auto config = ConfigFromGguf(gguf);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->vocab_size, 77u);
}

TEST(GgufConfigTest, ReadsKeyLengthAndArraysOfOneValue) {
  GgufFile gguf = Mixtral8x7B();
  gguf.metadata["llama.attention.key_length"] = uint64_t{64};
  gguf.metadata["llama.attention.value_length"] = uint64_t{64};
  gguf.metadata["llama.rope.dimension_count"] = uint64_t{64};
  gguf.metadata["llama.attention.head_count_kv"] = std::vector<int64_t>(32, 4);
  const auto config = ConfigFromGguf(gguf);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->head_dim, 64u);
  EXPECT_EQ(config->num_kv_heads, 4u);
}

// Of 32 layers.
std::vector<int64_t> OneLayerDiffers() {
  std::vector<int64_t> heads(32, 8);
  heads[31] = 4;
  return heads;
}

TEST(GgufConfigTest, RefusesOtherArithmetic) {
  const std::vector<std::pair<std::string, GgufValue>> cases = {
      {"general.architecture", std::string("gpt2")},
      {"llama.attention.value_length", uint64_t{64}},
      {"llama.rope.dimension_count", uint64_t{64}},
      {"llama.rope.scaling.type", std::string("yarn")},
      {"llama.rope.scale_linear", 4.0},
      {"llama.expert_shared_count", uint64_t{1}},
      {"llama.leading_dense_block_count", uint64_t{3}},
      {"llama.interleave_moe_layer_step", uint64_t{2}},
      {"llama.expert_gating_func", uint64_t{2}},
      {"llama.expert_weights_norm", false},
      {"llama.expert_weights_scale", 2.5},
      {"llama.logit_scale", 0.5},
      {"llama.attention.scale", 0.1},
      {"llama.attn_logit_softcapping", 30.0},
      {"llama.expert_feed_forward_length", uint64_t{100}},
      {"llama.attention.head_count_kv", OneLayerDiffers()},
  };
  for (const auto& [key, value] : cases) {
    GgufFile gguf = Mixtral8x7B();
    gguf.metadata[key] = value;
    const auto config = ConfigFromGguf(gguf);
    ASSERT_FALSE(config.has_value()) << key;
    EXPECT_EQ(config.error().code, ErrorCode::kUnsupported) << key;
    EXPECT_EQ(config.error().id, "E-CONFIG") << key;
  }
  GgufFile gguf = Mixtral8x7B();
  AddTensor(gguf, "rope_freqs.weight", {64});
  const auto config = ConfigFromGguf(gguf);
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, ErrorCode::kUnsupported);
}

TEST(GgufConfigTest, C10RefusesWhatIsMissingOrWrong) {
  for (const std::string key :
       {"general.architecture", "llama.embedding_length", "llama.block_count",
        "llama.feed_forward_length", "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon", "llama.expert_used_count"}) {
    GgufFile gguf = Mixtral8x7B();
    gguf.metadata.erase(key);
    const auto config = ConfigFromGguf(gguf);
    ASSERT_FALSE(config.has_value()) << key;
    EXPECT_EQ(config.error().code, ErrorCode::kCorrupt) << key;
    EXPECT_NE(config.error().message.find(key), std::string::npos);
  }
  const std::vector<std::pair<std::string, GgufValue>> cases = {
      {"llama.attention.head_count", uint64_t{0}},
      {"llama.block_count", uint64_t{1'000'000}},
      {"llama.block_count", std::string("32")},
      {"llama.block_count", int64_t{-1}},
      {"llama.embedding_length", 4096.0},
      {"llama.embedding_length", uint64_t{0}},
      {"llama.rope.freq_base", uint64_t{10000}},
      {"llama.rope.freq_base", -1.0},
      {"llama.attention.head_count_kv", uint64_t{3}},
      {"llama.attention.head_count_kv", std::vector<int64_t>{}},
      {"llama.attention.head_count_kv", std::vector<int64_t>{-8, -8}},
      {"llama.attention.head_count_kv", std::vector<int64_t>{8, 8}},
      {"llama.rope.dimension_count", uint64_t{0}},
      {"llama.rope.dimension_count", uint64_t{15}},
      {"llama.rope.dimension_count", uint64_t{1} << 20},
      {"llama.expert_used_count", uint64_t{9}},
  };
  for (const auto& [key, value] : cases) {
    GgufFile gguf = Mixtral8x7B();
    gguf.metadata[key] = value;
    const auto config = ConfigFromGguf(gguf);
    ASSERT_FALSE(config.has_value()) << key;
    EXPECT_EQ(config.error().code, ErrorCode::kCorrupt) << key;
    EXPECT_EQ(config.error().id, "E-CONFIG") << key;
  }
}

}  // namespace
}  // namespace verify
