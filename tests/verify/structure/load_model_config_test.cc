// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/verify/structure/tiny_safetensors.h"
#include "verify/base/text.h"
#include "verify/structure/model_config.h"

namespace verify {
namespace {

using tests::TinySafetensors;

Result<ModelConfig> Load(const std::string& folder) {
  auto checkpoint = Checkpoint::Open(folder);
  EXPECT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  return LoadModelConfig(*checkpoint);
}

TEST(LoadModelConfigTest, ReadsTheDemoModel) {
  const auto config = Load(StrCat(LODESTONE_SOURCE_DIR, "/magnets/demo"));
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(Describe(*config),
            "Mixtral, 4 layers, 8 experts (2 per token), dim 256, "
            "vocabulary 2048");
  EXPECT_EQ(config->rope_theta, 1e6);
  EXPECT_EQ(config->names, NameScheme::kMistral);
}

TEST(LoadModelConfigTest, TakesVocabularyFromTheEmbedding) {
  tests::TempDir dir;
  TinySafetensors weights;
  weights.Add("tok_embeddings.weight", "BF16", {10, 4}, std::string(80, 'a'));
  dir.Write("consolidated.safetensors", weights.Bytes());
  dir.Write("params.json",
            R"({"dim": 4, "n_layers": 1, "head_dim": 2, "hidden_dim": 6,
                "n_heads": 2, "n_kv_heads": 1, "norm_eps": 1e-5,
                "vocab_size": -1})");
  const auto config = Load(dir.path());
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->vocab_size, 10u);
}

TEST(LoadModelConfigTest, ChoosesTheFileByTheNames) {
  tests::TempDir dir;
  TinySafetensors weights;
  weights.Add("model.norm.weight", "BF16", {4}, std::string(8, 'a'));
  dir.Write("model.safetensors", weights.Bytes());
  dir.Write("params.json", "not read");
  dir.Write("config.json",
            R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4,
                "num_hidden_layers": 1, "num_attention_heads": 2,
                "intermediate_size": 6, "rms_norm_eps": 1e-5,
                "vocab_size": 10})");
  const auto config = Load(dir.path());
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->names, NameScheme::kHuggingFace);
}

TEST(LoadModelConfigTest, NamesTheMissingFile) {
  tests::TempDir dir;
  TinySafetensors weights;
  weights.Add("norm.weight", "BF16", {4}, std::string(8, 'a'));
  dir.Write("consolidated.safetensors", weights.Bytes());
  const auto config = Load(dir.path());
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(config.error().id, "E-CONFIG");
  EXPECT_NE(config.error().message.find("params.json"), std::string::npos);
}

TEST(LoadModelConfigTest, NamesTheFileInErrors) {
  tests::TempDir dir;
  TinySafetensors weights;
  weights.Add("norm.weight", "BF16", {4}, std::string(8, 'a'));
  dir.Write("consolidated.safetensors", weights.Bytes());
  for (const std::string_view text :
       {"", "{", "[]", "{\"dim\": 4}", "{\"dim\": 4, \"dim\": 4}"}) {
    dir.Write("params.json", text);
    const auto config = Load(dir.path());
    ASSERT_FALSE(config.has_value()) << text;
    EXPECT_EQ(config.error().code, ErrorCode::kCorrupt) << text;
    EXPECT_NE(config.error().message.find("params.json"), std::string::npos);
  }
}

TEST(LoadModelConfigTest, RefusesUnknownNames) {
  tests::TempDir dir;
  TinySafetensors weights;
  weights.Add("transformer.h.0.weight", "BF16", {4}, std::string(8, 'a'));
  dir.Write("model.safetensors", weights.Bytes());
  const auto config = Load(dir.path());
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace verify
