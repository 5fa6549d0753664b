// SPDX-License-Identifier: Apache-2.0
// Conversion of the families beside Mistral's: names and keys are those of
// llama.cpp (gguf-py/gguf/constants.py, convert_hf_to_gguf.py), rows of q and k
// stay where they are, and what comes out runs to the same bits.
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inference/convert/convert.h"
#include "inference/model/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "verify/checkpoint/checkpoint.h"

namespace inference {
namespace {

using tests::TempDir;
using tests::TinyModel;
using verify::DType;
using verify::ErrorCode;
using verify::ExpertWeights;
using verify::Family;
using verify::ModelConfig;
using verify::NameScheme;
using verify::TensorRole;

ModelConfig Qwen3Moe() {
  ModelConfig config = tests::TinyModelConfig();
  config.family = Family::kQwen3Moe;
  config.names = NameScheme::kHuggingFace;
  config.num_heads = 6;
  config.traits.dense_ff_dim = 160;
  config.norm_eps = 1e-6;
  return config;
}

ModelConfig Olmoe() {
  ModelConfig config = tests::TinyModelConfig();
  config.family = Family::kOlmoe;
  config.names = NameScheme::kHuggingFace;
  config.num_kv_heads = 4;
  config.expert_weights = ExpertWeights::kOfAll;
  return config;
}

verify::Result<ConvertOutcome> ConvertTo(const std::string& input,
                                         const std::string& output,
                                         ResultForm form, DType to) {
  return Convert({.input = input, .output = output, .to = to, .form = form},
                 verify::CancelToken(), nullptr);
}

std::vector<float> LogitsOf(const std::string& path) {
  const auto model = Model::Load(path, {.num_threads = 2});
  EXPECT_TRUE(model) << model.error().ToString();
  if (!model) return {};
  auto session = Session::Create(**model, 8);
  EXPECT_TRUE(session);
  EXPECT_TRUE(session->Append(std::vector<TokenId>{1, 40, 99, 7, 260}));
  return {session->logits().begin(), session->logits().end()};
}

class ConvertFamilyTest : public testing::TestWithParam<bool> {
 protected:
  ConvertFamilyTest() : config_(GetParam() ? Qwen3Moe() : Olmoe()) {}

  ModelConfig config_;
  TempDir dir_;
  TempDir out_;  // apart: weights beside weights are an error
};
INSTANTIATE_TEST_SUITE_P(Qwen3MoeAndOlmoe, ConvertFamilyTest, testing::Bool());

TEST_P(ConvertFamilyTest, GgufHasTheNamesOfLlamaCppAndRowsInPlace) {
  const TinyModel tiny(config_, DType::kBF16);
  tiny.Write(dir_.path());
  const std::string path = out_.File("out.gguf");
  const auto outcome =
      ConvertTo(dir_.path(), path, ResultForm::kGguf, DType::kBF16);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_TRUE(outcome->notes.empty());
  const auto written = verify::Checkpoint::Open(path);
  ASSERT_TRUE(written) << written.error().ToString();
  const verify::GgufFile& gguf = *written->gguf();
  const std::string arch = GetParam() ? "qwen3moe" : "olmoe";
  EXPECT_EQ(*gguf.String("general.architecture"), arch);
  EXPECT_EQ(gguf.Unsigned(arch + ".feed_forward_length"),
            GetParam() ? 160u : 96u);
  EXPECT_EQ(gguf.Unsigned(arch + ".expert_feed_forward_length"),
            GetParam() ? std::optional<uint64_t>(96) : std::nullopt);
  EXPECT_EQ(gguf.Unsigned(arch + ".attention.key_length"), 16u);
  EXPECT_EQ(gguf.Unsigned(arch + ".expert_used_count"), 2u);
  EXPECT_FALSE(gguf.Bool(arch + ".expert_weights_norm").has_value());
  for (const std::string_view name :
       {"blk.1.attn_q_norm.weight", "blk.1.attn_k_norm.weight",
        "blk.1.ffn_gate_inp.weight", "blk.1.ffn_gate_exps.weight"}) {
    EXPECT_NE(written->tensors().Find(name), nullptr) << name;
  }
  const auto* const norm = written->tensors().Find("blk.0.attn_q_norm.weight");
  ASSERT_NE(norm, nullptr);
  EXPECT_EQ(norm->dtype, DType::kF32);
  EXPECT_EQ(norm->shape, (std::vector<uint64_t>{GetParam() ? 16u : 64u}));
  // Byte for byte the rows of the source: bf16 to bf16, none moved.
  for (const auto& [name, role] :
       {std::pair("blk.1.attn_q.weight", TensorRole::kAttentionQ),
        std::pair("blk.1.attn_k.weight", TensorRole::kAttentionK)}) {
    const auto* const tensor = written->tensors().Find(name);
    ASSERT_NE(tensor, nullptr);
    const auto bytes = written->Bytes(*tensor);
    const std::vector<float> values = tiny.Values(role, 1);
    ASSERT_EQ(bytes.size(), values.size() * 2);
    for (size_t i = 0; i < values.size(); ++i) {
      uint16_t bits = 0;
      std::memcpy(&bits, bytes.data() + 2 * i, 2);
      ASSERT_EQ(std::bit_cast<float>(uint32_t{bits} << 16), values[i]) << name;
    }
  }
  EXPECT_EQ(LogitsOf(path), LogitsOf(dir_.path()));
}

TEST_P(ConvertFamilyTest, GoesToGgufAndBackWithTheSameBits) {
  TinyModel(config_, DType::kF32).Write(dir_.path());
  const std::string gguf = out_.File("out.gguf");
  const std::string back = out_.File("back");
  const auto there =
      ConvertTo(dir_.path(), gguf, ResultForm::kGguf, DType::kF32);
  ASSERT_TRUE(there) << there.error().ToString();
  const auto again =
      ConvertTo(gguf, back, ResultForm::kHuggingFace, DType::kF32);
  ASSERT_TRUE(again) << again.error().ToString();
  const std::vector<float> expected = LogitsOf(dir_.path());
  EXPECT_EQ(LogitsOf(gguf), expected);
  EXPECT_EQ(LogitsOf(back), expected);
}

// Weights that add up otherwise than the architecture's do: said by a key.
TEST_P(ConvertFamilyTest, TheOtherRuleOfWeightsIsWrittenAndNoted) {
  config_.expert_weights =
      GetParam() ? ExpertWeights::kOfAll : ExpertWeights::kOfChosen;
  TinyModel(config_, DType::kF32).Write(dir_.path());
  const std::string path = out_.File("out.gguf");
  const auto outcome =
      ConvertTo(dir_.path(), path, ResultForm::kGguf, DType::kF32);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  ASSERT_EQ(outcome->notes.size(), 1u);
  EXPECT_NE(outcome->notes[0].find("expert_weights_norm"), std::string::npos);
  EXPECT_EQ(LogitsOf(path), LogitsOf(dir_.path()));
}

TEST_P(ConvertFamilyTest, MistralsLayoutHasNoNamesForIt) {
  TinyModel(config_, DType::kF32).Write(dir_.path());
  const auto outcome = ConvertTo(dir_.path(), out_.File("out"),
                                 ResultForm::kConsolidated, DType::kF32);
  tests::ExpectError(outcome, ErrorCode::kUnsupported,
                     "Mistral's layout has no names for", "E-ARCHITECTURE");
}

TEST(ConvertFamiliesTest, GgufHasNoDenseLayersOfQwen3Moe) {
  ModelConfig config = Qwen3Moe();
  config.traits.dense_layers = {1};
  TempDir dir;
  TempDir out;
  TinyModel(config, DType::kF32).Write(dir.path());
  tests::ExpectError(ConvertTo(dir.path(), out.File("out.gguf"),
                               ResultForm::kGguf, DType::kF32),
                     ErrorCode::kUnsupported, "layers without experts",
                     "E-ARCHITECTURE");
  const std::string folder = out.File("hf");
  const auto kept =
      ConvertTo(dir.path(), folder, ResultForm::kHuggingFace, DType::kF32);
  ASSERT_TRUE(kept) << kept.error().ToString();
  EXPECT_EQ(LogitsOf(folder), LogitsOf(dir.path()));
}

}  // namespace
}  // namespace inference
