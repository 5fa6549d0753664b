// SPDX-License-Identifier: Apache-2.0
// The families beside Mistral's: their tensors. That the table is right is
// shown by sums: the parameters of the published models, from their
// config.json, as computed from the modelling code and published beside them.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tests/verify/structure/family_configs.h"
#include "verify/base/json.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"
#include "verify/structure/structure_check.h"

namespace verify {
namespace {

using tests::FamilyConfig;
using tests::FamilyConfigs;

ModelConfig ConfigOf(std::string_view json, std::string_view patch = "{}") {
  auto parsed = ParseJson(json);
  EXPECT_TRUE(parsed.has_value()) << json;
  parsed->merge_patch(*ParseJson(patch));
  auto config = ConfigFromHuggingFaceJson(*parsed);
  EXPECT_TRUE(config.has_value()) << config.error().message;
  return config ? *config : ModelConfig();
}

uint64_t Parameters(const std::vector<TensorSpec>& specs) {
  uint64_t total = 0;
  for (const TensorSpec& spec : specs) {
    if (!spec.optional) total += spec.num_parameters();
  }
  return total;
}

const TensorSpec* Find(const std::vector<TensorSpec>& specs,
                       std::string_view name) {
  for (const TensorSpec& spec : specs) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

bool IsRun(Family family) {
  return family == Family::kLlama || family == Family::kQwen3Moe ||
         family == Family::kOlmoe;
}

TEST(FamiliesTest, ParametersOfPublishedModels) {
  for (const FamilyConfig& model : FamilyConfigs()) {
    const ModelConfig config = ConfigOf(model.json);
    EXPECT_EQ(config.family, model.family) << model.name;
    EXPECT_EQ(config.runnable(), IsRun(model.family)) << model.name;
    for (const NameScheme scheme :
         {NameScheme::kHuggingFace, NameScheme::kGguf}) {
      EXPECT_EQ(Parameters(ExpectedTensors(config, scheme)), model.parameters)
          << model.name << " " << static_cast<int>(scheme);
    }
  }
}

TEST(FamiliesTest, NamesAreUniqueAndFreeOfPlaceholders) {
  for (const FamilyConfig& model : FamilyConfigs()) {
    ModelConfig config = ConfigOf(model.json);
    config.num_layers = std::min<uint64_t>(config.num_layers, 5);
    for (const NameScheme scheme :
         {NameScheme::kHuggingFace, NameScheme::kGguf}) {
      std::unordered_set<std::string> names;
      for (const TensorSpec& spec : ExpectedTensors(config, scheme)) {
        EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
        EXPECT_EQ(spec.name.find_first_of("{}"), std::string::npos);
        for (const uint64_t dim : spec.shape) EXPECT_GT(dim, 0u) << spec.name;
      }
    }
  }
}

using Shape = std::vector<uint64_t>;

struct NamedShape {
  std::string_view model;
  NameScheme scheme;
  std::string_view name;
  Shape shape;
};

// One of each form that a family has of its own; shapes from the modelling
// files in transformers and the loader in llama.cpp.
TEST(FamiliesTest, NamesAndShapes) {
  constexpr NameScheme kHf = NameScheme::kHuggingFace;
  constexpr NameScheme kGg = NameScheme::kGguf;
  const NamedShape cases[] = {
      {"Qwen3-30B-A3B", kHf, "model.layers.47.self_attn.q_norm.weight", {128}},
      {"Qwen3-30B-A3B",
       kHf,
       "model.layers.0.self_attn.q_proj.weight",
       {4096, 2048}},
      {"Qwen3-30B-A3B",
       kHf,
       "model.layers.3.mlp.experts.127.down_proj.weight",
       {2048, 768}},
      {"Qwen3-30B-A3B", kGg, "blk.3.ffn_down_exps.weight", {128, 2048, 768}},
      {"OLMoE-1B-7B", kHf, "model.layers.0.self_attn.k_norm.weight", {2048}},
      {"OLMoE-1B-7B", kGg, "blk.15.attn_q_norm.weight", {2048}},
      {"DeepSeek-V2-Lite",
       kHf,
       "model.layers.0.mlp.gate_proj.weight",
       {10944, 2048}},
      {"DeepSeek-V2-Lite",
       kHf,
       "model.layers.1.self_attn.q_proj.weight",
       {3072, 2048}},
      {"DeepSeek-V2-Lite",
       kHf,
       "model.layers.1.self_attn.kv_a_proj_with_mqa.weight",
       {576, 2048}},
      {"DeepSeek-V2-Lite",
       kHf,
       "model.layers.1.self_attn.kv_b_proj.weight",
       {4096, 512}},
      {"DeepSeek-V2-Lite",
       kHf,
       "model.layers.26.mlp.shared_experts.down_proj.weight",
       {2048, 2816}},
      {"DeepSeek-V3",
       kHf,
       "model.layers.3.mlp.gate.e_score_correction_bias",
       {256}},
      {"DeepSeek-V3",
       kHf,
       "model.layers.3.self_attn.q_b_proj.weight",
       {24576, 1536}},
      {"DeepSeek-V3",
       kHf,
       "model.layers.3.self_attn.q_b_proj.weight_scale_inv",
       {192, 12}},
      {"DeepSeek-V3", kHf, "model.layers.61.eh_proj.weight", {7168, 14336}},
      {"DeepSeek-V3", kGg, "blk.60.exp_probs_b.bias", {256}},
      {"gpt-oss-20b", kHf, "model.layers.0.self_attn.sinks", {64}},
      {"gpt-oss-20b",
       kHf,
       "model.layers.0.mlp.experts.gate_up_proj_blocks",
       {32, 5760, 90, 16}},
      {"gpt-oss-20b",
       kHf,
       "model.layers.0.mlp.experts.down_proj_scales",
       {32, 2880, 90}},
      {"gpt-oss-20b", kGg, "blk.23.post_attention_norm.weight", {2880}},
      {"gpt-oss-20b", kGg, "blk.23.ffn_down_exps.bias", {32, 2880}},
      {"Grok-1",
       kHf,
       "model.layers.0.moe_block.experts.7.linear_1.weight",
       {6144, 32768}},
      {"Grok-1", kGg, "blk.63.layer_output_norm.weight", {6144}},
      {"Phi-3.5-MoE", kHf, "lm_head.bias", {32064}},
      {"Phi-3.5-MoE", kHf, "model.layers.31.self_attn.k_proj.bias", {1024}},
      {"Phi-3.5-MoE", kGg, "blk.31.ffn_norm.bias", {4096}},
      {"Granite-3.0-3B-A800M",
       kHf,
       "model.layers.0.block_sparse_moe.input_linear.weight",
       {40, 1024, 1536}},
      {"Llama-4-Scout",
       kHf,
       "language_model.model.layers.0.feed_forward.experts.gate_up_proj",
       {16, 5120, 16384}},
      {"Llama-4-Maverick",
       kHf,
       "language_model.model.layers.0.feed_forward.up_proj.weight",
       {16384, 5120}},
      {"Llama-4-Maverick",
       kHf,
       "language_model.model.layers.1.feed_forward.router.weight",
       {128, 5120}},
      {"Llama-4-Maverick", kGg, "blk.47.ffn_up_shexp.weight", {8192, 5120}},
  };
  for (const NamedShape& c : cases) {
    const auto models = FamilyConfigs();
    const auto model =
        std::find_if(models.begin(), models.end(),
                     [&](const FamilyConfig& m) { return m.name == c.model; });
    ASSERT_NE(model, models.end()) << c.model;
    const auto specs = ExpectedTensors(ConfigOf(model->json), c.scheme);
    const TensorSpec* const spec = Find(specs, c.name);
    ASSERT_NE(spec, nullptr) << c.name;
    EXPECT_EQ(spec->shape, c.shape) << c.name;
  }
}

// A small member of each family: three layers, sizes divided down.
std::string_view SmallPatch(Family family) {
  switch (family) {
    case Family::kDeepseek:
      return R"({"num_hidden_layers": 3, "n_routed_experts": 4,
                 "num_experts_per_tok": 2, "vocab_size": 64,
                 "num_nextn_predict_layers": 1})";
    case Family::kLlama4:
      return R"({"text_config": {"num_hidden_layers": 4, "vocab_size": 64,
                 "num_local_experts": 4}})";
    case Family::kQwen3Moe:
    case Family::kOlmoe:
    case Family::kGrok:
      return R"({"num_hidden_layers": 3, "num_experts": 8, "vocab_size": 64})";
    default:
      return R"({"num_hidden_layers": 3, "num_local_experts": 8,
                 "vocab_size": 64})";
  }
}

DType TypeFor(const TensorSpec& spec, const ModelConfig& config) {
  switch (spec.stored) {
    case StoredAs::kBytes:
    case StoredAs::kScale:
      return DType::kU8;
    case StoredAs::kFp8Scale:
      return DType::kF32;
    case StoredAs::kLinear:
      return config.traits.fp8_block > 0 ? DType::kF8E4M3 : DType::kBF16;
    case StoredAs::kWeight:
      break;
  }
  return DType::kBF16;
}

std::vector<TensorInfo> AllTensors(const ModelConfig& config) {
  std::vector<TensorInfo> tensors;
  for (const TensorSpec& spec : ExpectedTensors(config, config.names)) {
    TensorInfo tensor;
    tensor.name = spec.name;
    tensor.shape = spec.shape;
    tensor.dtype = TypeFor(spec, config);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

TensorTable Table(const std::vector<TensorInfo>& tensors) {
  TensorTable table;
  for (TensorInfo tensor : tensors) {
    tensor.size_bytes =
        DTypeBytes(tensor.dtype, NumElements(tensor.shape).value()).value();
    EXPECT_TRUE(table.Add(tensor, tensor.size_bytes).has_value());
  }
  return table;
}

// C6: a shard of another model is a wrong shape, a missing or an extra tensor,
// whatever the family.
TEST(FamiliesTest, C6FindsWhatDoesNotBelong) {
  for (const FamilyConfig& model : FamilyConfigs()) {
    const ModelConfig config = ConfigOf(model.json, SmallPatch(model.family));
    const auto tensors = AllTensors(config);
    EXPECT_TRUE(CheckStructure(Table(tensors), config).findings.empty())
        << model.name;

    for (size_t i = 0; i < tensors.size(); ++i) {
      auto changed = tensors;
      changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
      const auto missing = CheckStructure(Table(changed), config);
      ASSERT_EQ(missing.findings.size(), 1u) << tensors[i].name;
      EXPECT_EQ(missing.findings[0].kind, FindingKind::kMissing);
      EXPECT_EQ(missing.findings[0].tensor, tensors[i].name);

      changed = tensors;
      changed[i].shape.back() += 32;
      const auto misshapen = CheckStructure(Table(changed), config);
      ASSERT_EQ(misshapen.findings.size(), 1u) << tensors[i].name;
      EXPECT_EQ(misshapen.findings[0].kind, FindingKind::kMisshapen);

      changed = tensors;
      changed[i].dtype = DType::kI16;
      const auto wrong = CheckStructure(Table(changed), config);
      ASSERT_EQ(wrong.findings.size(), 1u) << tensors[i].name;
      EXPECT_EQ(wrong.findings[0].kind, FindingKind::kWrongDType);
      EXPECT_FALSE(wrong.ok());
    }
    auto more = tensors;
    more.push_back(tensors.back());
    more.back().name = "model.layers.0.stranger.weight";
    const auto extra = CheckStructure(Table(more), config);
    ASSERT_EQ(extra.findings.size(), 1u);
    EXPECT_EQ(extra.findings[0].kind, FindingKind::kExtra);
  }
}

TEST(FamiliesTest, NextTokenLayersMayBeLeftOutTogether) {
  const auto models = FamilyConfigs();
  const auto v3 = std::find_if(
      models.begin(), models.end(),
      [](const FamilyConfig& m) { return m.name == "DeepSeek-V3"; });
  ASSERT_NE(v3, models.end());
  const ModelConfig config = ConfigOf(v3->json, SmallPatch(Family::kDeepseek));
  std::vector<TensorInfo> tensors;
  for (const TensorInfo& tensor : AllTensors(config)) {
    if (tensor.name.find("layers.3.") == std::string::npos) {
      tensors.push_back(tensor);
    }
  }
  EXPECT_LT(tensors.size(), AllTensors(config).size());
  EXPECT_TRUE(CheckStructure(Table(tensors), config).findings.empty());
}

// C6: the same names and shapes in another type.
TEST(FamiliesTest, C6TypesThatDifferByLayerAreAWarning) {
  const ModelConfig config =
      ConfigOf(FamilyConfigs().front().json, SmallPatch(Family::kQwen3Moe));
  auto tensors = AllTensors(config);
  for (TensorInfo& tensor : tensors) {
    if (tensor.name == "model.layers.2.self_attn.k_proj.weight") {
      tensor.dtype = DType::kF16;
    }
  }
  const auto report = CheckStructure(Table(tensors), config);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].kind, FindingKind::kMixed);
  EXPECT_EQ(report.findings[0].severity, Severity::kWarning);
  EXPECT_EQ(report.findings[0].detail,
            "dtype f16 where \"model.layers.0.self_attn.k_proj.weight\" has "
            "bf16: parts of two models may have been mixed");
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.num_warnings(), 1u);
}

TEST(FamiliesTest, TheImagePartIsANote) {
  const auto models = FamilyConfigs();
  const auto scout = std::find_if(
      models.begin(), models.end(),
      [](const FamilyConfig& m) { return m.name == "Llama-4-Scout"; });
  ASSERT_NE(scout, models.end());
  const ModelConfig config = ConfigOf(scout->json, SmallPatch(Family::kLlama4));
  auto tensors = AllTensors(config);
  TensorInfo image;
  image.name = "vision_model.patch_embedding.linear.weight";
  image.shape = {4, 4};
  tensors.push_back(image);
  const auto report = CheckStructure(Table(tensors), config);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].severity, Severity::kNote);
}

TEST(FamiliesTest, TheEngineRefusesWhatItLacks) {
  for (const FamilyConfig& model : FamilyConfigs()) {
    const auto runnable = CheckRunnable(ConfigOf(model.json));
    if (IsRun(model.family)) {
      EXPECT_TRUE(runnable.has_value()) << model.name;
      continue;
    }
    ASSERT_FALSE(runnable.has_value()) << model.name;
    EXPECT_EQ(runnable.error().code, ErrorCode::kUnsupported);
    EXPECT_EQ(runnable.error().id, "E-ARCHITECTURE");
    EXPECT_NE(
        runnable.error().message.find(DescriptionOf(model.family).missing),
        std::string::npos);
  }
}

TEST(FamiliesTest, RefusesHostileSizes) {
  for (const FamilyConfig& model : FamilyConfigs()) {
    if (model.family == Family::kLlama) continue;
    auto json = ParseJson(model.json);
    ASSERT_TRUE(json.has_value());
    Json& sizes =
        json->contains("text_config") ? (*json)["text_config"] : *json;
    const Json original = sizes;
    for (const auto& [key, value] : original.items()) {
      if (!value.is_number_unsigned()) continue;
      for (const Json& hostile : {Json(UINT64_MAX), Json(-1), Json("8"),
                                  Json(1e300), Json(uint64_t{1} << 40)}) {
        sizes = original;
        sizes[key] = hostile;
        const auto config = ConfigFromHuggingFaceJson(*json);
        ASSERT_FALSE(config.has_value()) << model.name << " " << key;
        EXPECT_EQ(config.error().id, "E-CONFIG");
      }
    }
    for (const std::string_view key : {"hidden_size", "num_hidden_layers",
                                       "num_attention_heads", "vocab_size"}) {
      sizes = original;
      sizes[std::string(key)] = 0;
      EXPECT_FALSE(ConfigFromHuggingFaceJson(*json).has_value()) << key;
      sizes.erase(std::string(key));
      EXPECT_FALSE(ConfigFromHuggingFaceJson(*json).has_value()) << key;
    }
  }
}

GgufFile DeepseekV2Lite() {
  GgufFile gguf;
  auto& meta = gguf.metadata;
  meta["general.architecture"] = std::string("deepseek2");
  meta["deepseek2.vocab_size"] = uint64_t{102400};
  meta["deepseek2.embedding_length"] = uint64_t{2048};
  meta["deepseek2.block_count"] = uint64_t{27};
  meta["deepseek2.feed_forward_length"] = uint64_t{10944};
  meta["deepseek2.expert_feed_forward_length"] = uint64_t{1408};
  meta["deepseek2.attention.head_count"] = uint64_t{16};
  meta["deepseek2.attention.head_count_kv"] = uint64_t{16};
  meta["deepseek2.attention.key_length"] = uint64_t{192};
  meta["deepseek2.attention.value_length"] = uint64_t{128};
  meta["deepseek2.attention.kv_lora_rank"] = uint64_t{512};
  meta["deepseek2.rope.dimension_count"] = uint64_t{64};
  meta["deepseek2.expert_count"] = uint64_t{64};
  meta["deepseek2.expert_used_count"] = uint64_t{6};
  meta["deepseek2.expert_shared_count"] = uint64_t{2};
  meta["deepseek2.leading_dense_block_count"] = uint64_t{1};
  TensorInfo output;
  output.name = "output.weight";
  output.shape = {1};
  output.size_bytes = 4;
  EXPECT_TRUE(gguf.tensors.Add(output, 4).has_value());
  return gguf;
}

TEST(FamiliesTest, ReadsGgufMetadata) {
  const auto config = ConfigFromGguf(DeepseekV2Lite());
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->family, Family::kDeepseek);
  EXPECT_EQ(Parameters(ExpectedTensors(*config, NameScheme::kGguf)),
            15'706'484'224u);
}

// Newer files give the sizes of the compressed cache as key_length and keep k
// and v of kv_b apart: 16 heads of [512, 128] each, the same numbers.
TEST(FamiliesTest, ReadsGgufWithKAndVApart) {
  GgufFile gguf = DeepseekV2Lite();
  auto& meta = gguf.metadata;
  meta["deepseek2.attention.head_count_kv"] = uint64_t{1};
  meta["deepseek2.attention.key_length"] = uint64_t{576};
  meta["deepseek2.attention.value_length"] = uint64_t{512};
  meta["deepseek2.attention.key_length_mla"] = uint64_t{192};
  meta["deepseek2.attention.value_length_mla"] = uint64_t{128};
  TensorInfo part;
  part.name = "blk.0.attn_k_b.weight";
  part.shape = {1};
  part.size_bytes = 4;
  ASSERT_TRUE(gguf.tensors.Add(part, 4).has_value());
  const auto config = ConfigFromGguf(gguf);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  const auto specs = ExpectedTensors(*config, NameScheme::kGguf);
  EXPECT_EQ(Parameters(specs), 15'706'484'224u);
  const TensorSpec* const k = Find(specs, "blk.0.attn_k_b.weight");
  ASSERT_NE(k, nullptr);
  EXPECT_EQ(k->shape, (Shape{16, 512, 128}));
}

// C10: sizes that no model has are refused before anything is computed.
TEST(FamiliesTest, C10RefusesGgufMetadata) {
  const std::vector<std::pair<std::string, GgufValue>> cases = {
      {"deepseek2.attention.head_count", uint64_t{0}},
      {"deepseek2.block_count", uint64_t{1'000'000}},
      {"deepseek2.expert_count", uint64_t{0}},
      {"deepseek2.expert_used_count", uint64_t{65}},
      {"deepseek2.rope.dimension_count", uint64_t{193}},
      {"deepseek2.attention.kv_lora_rank", uint64_t{0}},
      {"deepseek2.expert_shared_count", UINT64_MAX},
      {"deepseek2.leading_dense_block_count", uint64_t{28}},
      {"deepseek2.feed_forward_length", uint64_t{0}},
      {"tokenizer.ggml.tokens", std::vector<std::string>(102401, "a")},
  };
  for (const auto& [key, value] : cases) {
    GgufFile gguf = DeepseekV2Lite();
    gguf.metadata[key] = value;
    const auto config = ConfigFromGguf(gguf);
    ASSERT_FALSE(config.has_value()) << key;
    EXPECT_EQ(config.error().code, ErrorCode::kCorrupt) << key;
    EXPECT_EQ(config.error().id, "E-CONFIG") << key;
  }
}

}  // namespace
}  // namespace verify
