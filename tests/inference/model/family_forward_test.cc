// SPDX-License-Identifier: Apache-2.0
// Small random models of each family that is run, against the forward pass of
// its formulas in double: on every CPU target, from either layout, in the
// types that files have, for any number of threads and any split of tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "inference/model/model.h"
#include "inference/ops/kernels.h"
#include "tests/support/double_forward.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "verify/base/json.h"

namespace inference {
namespace {

using tests::RandomIds;
using tests::RelativeError;
using tests::TinyModel;
using tests::TinyModelConfig;
using verify::DType;
using verify::ExpertWeights;
using verify::Family;
using verify::Json;
using verify::ModelConfig;
using verify::NameScheme;

// Logits after each of the ids, fed in parts of `part`: [parts][vocab].
std::vector<std::vector<float>> RunParts(const Model& model,
                                         const std::vector<TokenId>& ids,
                                         size_t part) {
  std::vector<std::vector<float>> all;
  auto session = Session::Create(model, ids.size());
  EXPECT_TRUE(session) << session.error().ToString();
  if (!session) return all;
  for (size_t done = 0; done < ids.size(); done += part) {
    const auto some =
        std::span(ids).subspan(done, std::min(part, ids.size() - done));
    EXPECT_TRUE(session->Append(some));
    all.emplace_back(session->logits().begin(), session->logits().end());
  }
  return all;
}

void ExpectAgrees(const TinyModel& tiny, const std::string& what) {
  SCOPED_TRACE(what);
  tests::TempDir dir;
  tiny.Write(dir.path());
  const auto ids = RandomIds(24, 288, 3);
  const auto expected = tests::DoubleForward(tiny, ids);
  for (const Kernels* kernels : RunnableKernels()) {
    SCOPED_TRACE(kernels->target);
    for (const Activations activations :
         {Activations::kExact, Activations::kRounded}) {
      const bool exact = activations == Activations::kExact;
      std::vector<std::vector<float>> first;
      for (const size_t threads : {1u, 2u, 3u, 8u}) {
        const auto model =
            Model::Load(dir.path(), {.num_threads = threads,
                                     .kernels = kernels,
                                     .activations = activations});
        ASSERT_TRUE(model) << model.error().ToString();
        const auto one_by_one = RunParts(**model, ids, 1);
        ASSERT_EQ(one_by_one.size(), ids.size());
        if (first.empty()) first = one_by_one;
        // Equal bits for any number of threads, and for a batch.
        ASSERT_EQ(one_by_one, first) << threads << " threads";
        if (threads != 3) continue;
        ASSERT_EQ(RunParts(**model, ids, 24).back(), first.back());
        ASSERT_EQ(RunParts(**model, ids, 7)[1], first[13]);
      }
      for (size_t t = 0; t < ids.size(); ++t) {
        ASSERT_LE(RelativeError(first[t], expected[t]),
                  exact ? tests::kForwardBound : tests::kRoundedForwardBound)
            << "position " << t << (exact ? ", exact" : ", rounded");
      }
    }
  }
}

// Heads that do not add up to the width of the model, as in Qwen3-30B-A3B.
ModelConfig Qwen3Moe() {
  ModelConfig config = TinyModelConfig();
  config.family = Family::kQwen3Moe;
  config.names = NameScheme::kHuggingFace;
  config.num_layers = 3;
  config.num_heads = 6;
  config.head_dim = 32;
  config.norm_eps = 1e-6;
  config.num_experts = 8;
  config.num_experts_per_token = 3;
  config.ff_dim = 32;
  config.traits.dense_ff_dim = 96;
  return config;
}

ModelConfig Olmoe() {
  ModelConfig config = TinyModelConfig();
  config.family = Family::kOlmoe;
  config.names = NameScheme::kHuggingFace;
  config.num_layers = 3;
  config.num_kv_heads = 4;
  config.rope_theta = 1e4;
  config.num_experts = 8;
  config.num_experts_per_token = 3;
  config.ff_dim = 64;
  config.expert_weights = ExpertWeights::kOfAll;
  return config;
}

TEST(FamilyForwardTest, Qwen3MoeAgrees) {
  ModelConfig config = Qwen3Moe();
  ExpectAgrees(TinyModel(config, DType::kBF16), "bf16");
  ExpectAgrees(TinyModel(config, DType::kF32), "f32");
  config.expert_weights = ExpertWeights::kOfAll;
  config.sliding_window = 9;
  config.tied_embeddings = true;
  ExpectAgrees(TinyModel(config, DType::kF32), "f32, window, tied");
}

// Layers without experts between those that have some, by either key.
TEST(FamilyForwardTest, Qwen3MoeWithDenseLayersAgrees) {
  ModelConfig config = Qwen3Moe();
  config.num_layers = 4;
  config.traits.dense_layers = {1};
  ExpectAgrees(TinyModel(config, DType::kBF16), "mlp_only_layers");
  config.traits.dense_layers = {};
  config.traits.moe_layer_step = 2;
  ExpectAgrees(TinyModel(config, DType::kF32), "decoder_sparse_step");
}

TEST(FamilyForwardTest, Qwen3MoeFromGgufAgrees) {
  ModelConfig config = Qwen3Moe();
  config.names = NameScheme::kGguf;
  for (const DType dtype : {DType::kQ8_0, DType::kBF16, DType::kF32}) {
    ExpectAgrees(TinyModel(config, dtype),
                 std::string(verify::DTypeName(dtype)));
  }
}

TEST(FamilyForwardTest, OlmoeAgrees) {
  ModelConfig config = Olmoe();
  ExpectAgrees(TinyModel(config, DType::kBF16), "bf16");
  ExpectAgrees(TinyModel(config, DType::kF32), "f32");
  // Fewer heads of keys: the norm of k is that much shorter.
  config.num_kv_heads = 2;
  config.expert_weights = ExpertWeights::kOfChosen;
  // With the first seed one token of these stands at a tie of two experts.
  ExpectAgrees(TinyModel(config, DType::kF32, 3), "f32, two kv heads");
}

TEST(FamilyForwardTest, OlmoeFromGgufAgrees) {
  ModelConfig config = Olmoe();
  config.names = NameScheme::kGguf;
  for (const DType dtype : {DType::kQ8_0, DType::kBF16, DType::kF32}) {
    ExpectAgrees(TinyModel(config, dtype),
                 std::string(verify::DTypeName(dtype)));
  }
}

// Dense, untied, fewer heads of keys than of queries: DeepSeek 67B.
TEST(FamilyForwardTest, DenseLlamaAgrees) {
  ModelConfig config = TinyModelConfig();
  config.names = NameScheme::kHuggingFace;
  config.num_layers = 3;
  config.num_heads = 8;
  config.num_kv_heads = 1;
  config.head_dim = 8;
  config.rope_theta = 1e4;
  config.num_experts = 0;
  const TinyModel tiny(config, DType::kBF16);
  ExpectAgrees(tiny, "MistralForCausalLM");
  // The same files under the name of the other class give the same bits.
  tests::TempDir dir;
  tiny.Write(dir.path());
  const auto ids = RandomIds(24, 288, 3);
  std::vector<std::vector<float>> logits[2];
  for (int i = 0; i < 2; ++i) {
    if (i == 1) {
      auto json = *verify::ParseJson(tests::ReadFile(dir.File("config.json")));
      json["architectures"] = {"LlamaForCausalLM"};
      json["model_type"] = "llama";
      dir.Write("config.json", json.dump());
    }
    const auto model = Model::Load(dir.path(), {.num_threads = 2});
    ASSERT_TRUE(model) << model.error().ToString();
    logits[i] = RunParts(**model, ids, 24);
  }
  EXPECT_EQ(logits[0], logits[1]);
}

// Mistral 7B: a window that keys drop out of, under either layout's names.
TEST(FamilyForwardTest, DenseMistralWithAWindowAgrees) {
  ModelConfig config = TinyModelConfig();
  config.num_experts = 0;
  config.sliding_window = 6;
  for (const NameScheme names :
       {NameScheme::kMistral, NameScheme::kHuggingFace, NameScheme::kGguf}) {
    config.names = names;
    ExpectAgrees(TinyModel(config, DType::kBF16), "bf16");
  }
  ExpectAgrees(TinyModel(config, DType::kQ8_0), "q8_0");
}

// Keys and values of eight bits, off by at most 1/254 of the largest of 32.
constexpr double kBytesOfKvBound = 2e-2;

TEST(KeysAndValuesTest, AsBytesAgree) {
  ModelConfig windowed = Qwen3Moe();
  windowed.sliding_window = 9;
  for (const ModelConfig& config : {Qwen3Moe(), windowed}) {
    const TinyModel tiny(config, DType::kF32);
    tests::TempDir dir;
    tiny.Write(dir.path());
    const auto ids = RandomIds(24, 288, 3);
    const auto expected = tests::DoubleForward(tiny, ids);
    for (const Kernels* kernels : RunnableKernels()) {
      SCOPED_TRACE(kernels->target);
      const auto model =
          Model::Load(dir.path(), {.kernels = kernels,
                                   .activations = Activations::kExact,
                                   .kv = KvType::kQ8_0});
      ASSERT_TRUE(model) << model.error().ToString();
      const auto logits = RunParts(**model, ids, 1);
      for (size_t t = 0; t < ids.size(); ++t) {
        ASSERT_LE(RelativeError(logits[t], expected[t]), kBytesOfKvBound) << t;
      }
    }
  }
}

// Over borders of blocks, tiles and batches; with and without a window, which
// is the first parameter.
class LongTextTest : public testing::TestWithParam<std::tuple<bool, KvType>> {};

TEST_P(LongTextTest, SameBitsForAnyThreadsAndSplit) {
  const auto [windowed, kv] = GetParam();
  ModelConfig config = TinyModelConfig();
  config.dim = 32;
  config.ff_dim = 32;
  config.head_dim = 32;
  config.num_experts = 0;
  if (windowed) config.sliding_window = 300;
  tests::TempDir dir;
  TinyModel(config, DType::kF32).Write(dir.path());
  const auto ids = RandomIds(790, 288, 3);
  const Kernels* const plain = RunnableKernels().back();
  for (const Kernels* kernels : {&BestKernels(), plain}) {
    std::vector<float> expected;
    for (const size_t threads : {1u, 3u}) {
      const auto model = Model::Load(
          dir.path(), {.num_threads = threads, .kernels = kernels, .kv = kv});
      ASSERT_TRUE(model) << model.error().ToString();
      for (const size_t part : {790u, 97u, 256u, 1u}) {
        // Plain loops are slow, and know nothing of vectors.
        if (kernels == plain && part == 1 && threads > 1) continue;
        const auto logits = RunParts(**model, ids, part).back();
        if (expected.empty()) expected = logits;
        ASSERT_EQ(logits, expected) << kernels->target << ", " << threads
                                    << " threads, parts of " << part;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    KeysAndValues, LongTextTest,
    testing::Combine(testing::Bool(),
                     testing::Values(KvType::kF16, KvType::kQ8_0)),
    [](const auto& param) {
      return std::string(std::get<0>(param.param) ? "Window" : "Whole") +
             (std::get<1>(param.param) == KvType::kF16 ? "F16" : "Q8_0");
    });

TEST(KeysAndValuesTest, HeadsThatAreNoWholeBlocksAreRefused) {
  tests::TempDir dir;
  TinyModel(TinyModelConfig(), DType::kBF16).Write(dir.path());
  const auto model = Model::Load(dir.path(), {.kv = KvType::kQ8_0});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, verify::ErrorCode::kUnsupported);
  EXPECT_EQ(model.error().id, "E-KV");
  EXPECT_NE(model.error().message.find("have 16"), std::string::npos)
      << model.error().message;
}

TEST(FamilyForwardTest, ASettingThatIsNotRunIsRefused) {
  tests::TempDir dir;
  TinyModel(Olmoe(), DType::kBF16).Write(dir.path());
  auto json = *verify::ParseJson(tests::ReadFile(dir.File("config.json")));
  json["clip_qkv"] = 8.0;
  dir.Write("config.json", json.dump());
  const auto model = Model::Load(dir.path(), {});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, verify::ErrorCode::kUnsupported);
  EXPECT_EQ(model.error().id, "E-ARCHITECTURE");
  EXPECT_NE(model.error().message.find("clip_qkv"), std::string::npos);
}

}  // namespace
}  // namespace inference
