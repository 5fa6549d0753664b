// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/architecture.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace verify {
namespace {

ModelConfig Mixtral8x7B() {
  ModelConfig config;
  config.dim = 4096;
  config.num_layers = 32;
  config.head_dim = 128;
  config.ff_dim = 14336;
  config.num_heads = 32;
  config.num_kv_heads = 8;
  config.vocab_size = 32000;
  config.num_experts = 8;
  config.num_experts_per_token = 2;
  return config;
}

uint64_t Parameters(const std::vector<TensorSpec>& specs) {
  uint64_t total = 0;
  for (const TensorSpec& spec : specs) {
    uint64_t product = 1;
    for (const uint64_t dim : spec.shape) product *= dim;
    total += product;
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

// Counts and parameters as published for the models: Mixtral 8x7B has 995
// tensors (323 in GGUF) and 46,702,792,704 parameters, Mixtral 8x22B v0.1 1739
// (563) and 140,620,634,112, Mistral 7B 291 and 7,241,732,096.
TEST(ArchitectureTest, CountsWhatThePublishedModelsHold) {
  ModelConfig config = Mixtral8x7B();
  auto specs = ExpectedTensors(config, NameScheme::kMistral);
  EXPECT_EQ(specs.size(), 995u);
  EXPECT_EQ(Parameters(specs), 46'702'792'704u);
  specs = ExpectedTensors(config, NameScheme::kHuggingFace);
  EXPECT_EQ(specs.size(), 995u);
  EXPECT_EQ(Parameters(specs), 46'702'792'704u);
  specs = ExpectedTensors(config, NameScheme::kGguf);
  EXPECT_EQ(specs.size(), 323u);
  EXPECT_EQ(Parameters(specs), 46'702'792'704u);

  config.num_experts = 0;
  specs = ExpectedTensors(config, NameScheme::kMistral);
  EXPECT_EQ(specs.size(), 291u);
  EXPECT_EQ(Parameters(specs), 7'241'732'096u);

  config = Mixtral8x7B();
  config.dim = 6144;
  config.num_layers = 56;
  config.ff_dim = 16384;
  config.num_heads = 48;
  specs = ExpectedTensors(config, NameScheme::kMistral);
  EXPECT_EQ(specs.size(), 1739u);
  EXPECT_EQ(Parameters(specs), 140'620'634'112u);
  EXPECT_EQ(ExpectedTensors(config, NameScheme::kGguf).size(), 563u);
}

TEST(ArchitectureTest, NamesAndShapesOfMixtral) {
  const ModelConfig config = Mixtral8x7B();
  using Shape = std::vector<uint64_t>;
  const struct {
    NameScheme scheme;
    std::string_view name;
    Shape shape;
  } cases[] = {
      {NameScheme::kMistral, "tok_embeddings.weight", {32000, 4096}},
      {NameScheme::kMistral, "layers.0.attention_norm.weight", {4096}},
      {NameScheme::kMistral, "layers.31.attention.wq.weight", {4096, 4096}},
      {NameScheme::kMistral, "layers.31.attention.wk.weight", {1024, 4096}},
      {NameScheme::kMistral, "layers.31.attention.wv.weight", {1024, 4096}},
      {NameScheme::kMistral, "layers.31.attention.wo.weight", {4096, 4096}},
      {NameScheme::kMistral, "layers.9.ffn_norm.weight", {4096}},
      {NameScheme::kMistral, "layers.9.feed_forward.gate.weight", {8, 4096}},
      {NameScheme::kMistral,
       "layers.9.feed_forward.experts.7.w1.weight",
       {14336, 4096}},
      {NameScheme::kMistral,
       "layers.9.feed_forward.experts.7.w2.weight",
       {4096, 14336}},
      {NameScheme::kMistral,
       "layers.9.feed_forward.experts.7.w3.weight",
       {14336, 4096}},
      {NameScheme::kMistral, "norm.weight", {4096}},
      {NameScheme::kMistral, "output.weight", {32000, 4096}},
      {NameScheme::kHuggingFace, "model.embed_tokens.weight", {32000, 4096}},
      {NameScheme::kHuggingFace,
       "model.layers.2.input_layernorm.weight",
       {4096}},
      {NameScheme::kHuggingFace,
       "model.layers.2.post_attention_layernorm.weight",
       {4096}},
      {NameScheme::kHuggingFace,
       "model.layers.2.self_attn.k_proj.weight",
       {1024, 4096}},
      {NameScheme::kHuggingFace,
       "model.layers.2.block_sparse_moe.gate.weight",
       {8, 4096}},
      {NameScheme::kHuggingFace,
       "model.layers.2.block_sparse_moe.experts.0.w2.weight",
       {4096, 14336}},
      {NameScheme::kHuggingFace, "model.norm.weight", {4096}},
      {NameScheme::kHuggingFace, "lm_head.weight", {32000, 4096}},
      {NameScheme::kGguf, "token_embd.weight", {32000, 4096}},
      {NameScheme::kGguf, "blk.5.attn_q.weight", {4096, 4096}},
      {NameScheme::kGguf, "blk.5.attn_output.weight", {4096, 4096}},
      {NameScheme::kGguf, "blk.5.ffn_gate_inp.weight", {8, 4096}},
      {NameScheme::kGguf, "blk.5.ffn_gate_exps.weight", {8, 14336, 4096}},
      {NameScheme::kGguf, "blk.5.ffn_down_exps.weight", {8, 4096, 14336}},
      {NameScheme::kGguf, "blk.5.ffn_up_exps.weight", {8, 14336, 4096}},
      {NameScheme::kGguf, "output_norm.weight", {4096}},
      {NameScheme::kGguf, "output.weight", {32000, 4096}},
  };
  for (const auto& c : cases) {
    const auto specs = ExpectedTensors(config, c.scheme);
    const TensorSpec* const spec = Find(specs, c.name);
    ASSERT_NE(spec, nullptr) << c.name;
    EXPECT_EQ(spec->shape, c.shape) << c.name;
  }
}

TEST(ArchitectureTest, NamesOfDenseLayers) {
  ModelConfig config = Mixtral8x7B();
  config.num_experts = 0;
  auto specs = ExpectedTensors(config, NameScheme::kMistral);
  EXPECT_NE(Find(specs, "layers.3.feed_forward.w2.weight"), nullptr);
  specs = ExpectedTensors(config, NameScheme::kHuggingFace);
  EXPECT_NE(Find(specs, "model.layers.3.mlp.gate_proj.weight"), nullptr);
  EXPECT_NE(Find(specs, "model.layers.3.mlp.up_proj.weight"), nullptr);
  EXPECT_NE(Find(specs, "model.layers.3.mlp.down_proj.weight"), nullptr);
  specs = ExpectedTensors(config, NameScheme::kGguf);
  EXPECT_NE(Find(specs, "blk.3.ffn_gate.weight"), nullptr);
  EXPECT_NE(Find(specs, "blk.3.ffn_up.weight"), nullptr);
  EXPECT_NE(Find(specs, "blk.3.ffn_down.weight"), nullptr);
}

TEST(ArchitectureTest, NamesAreUniqueAndAgreeWithTensorName) {
  for (const NameScheme scheme :
       {NameScheme::kMistral, NameScheme::kHuggingFace, NameScheme::kGguf}) {
    std::set<std::string> names;
    for (const TensorSpec& spec : ExpectedTensors(Mixtral8x7B(), scheme)) {
      EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
      if (scheme == NameScheme::kGguf) continue;
      EXPECT_EQ(spec.name, TensorName(Family::kLlama, scheme, spec.role,
                                      spec.layer, spec.expert));
    }
  }
  EXPECT_EQ(
      TensorName(Family::kLlama, NameScheme::kGguf, TensorRole::kFfnUp, 12, 5),
      "blk.12.ffn_up_exps.weight");
}

TEST(ArchitectureTest, TiedEmbeddingsHaveNoOutput) {
  ModelConfig config = Mixtral8x7B();
  config.tied_embeddings = true;
  const auto specs = ExpectedTensors(config, NameScheme::kGguf);
  EXPECT_EQ(specs.size(), 322u);
  EXPECT_EQ(Find(specs, "output.weight"), nullptr);
}

TensorTable Table(const std::vector<std::string>& names) {
  TensorTable table;
  for (const std::string& name : names) {
    TensorInfo tensor;
    tensor.name = name;
    tensor.shape = {1};
    tensor.size_bytes = 4;
    EXPECT_TRUE(table.Add(tensor, 4).has_value()) << name;
  }
  return table;
}

TEST(ArchitectureTest, DetectsTheSchemeOfNames) {
  EXPECT_EQ(DetectNameScheme(Table({"layers.0.attention.wq.weight",
                                    "output.weight", "norm.weight"})),
            NameScheme::kMistral);
  EXPECT_EQ(DetectNameScheme(Table({"model.norm.weight", "lm_head.weight"})),
            NameScheme::kHuggingFace);
  EXPECT_EQ(DetectNameScheme(Table({"blk.0.attn_q.weight", "output.weight"})),
            NameScheme::kGguf);
  // output.weight alone is in two schemes.
  EXPECT_EQ(DetectNameScheme(Table({"output.weight"})), std::nullopt);
  EXPECT_EQ(DetectNameScheme(Table({})), std::nullopt);
  EXPECT_EQ(DetectNameScheme(
                Table({"layers.0.attention.wq.weight", "lm_head.weight"})),
            std::nullopt);
  // The stacked form: names like Mistral's, w2 transposed.
  EXPECT_EQ(DetectNameScheme(Table({"layers.0.attention.wq.weight",
                                    "layers.0.block_sparse_moe.w1"})),
            NameScheme::kMistralStacked);
  EXPECT_EQ(
      DetectNameScheme(Table({"blk.0.attn_q.weight", "blk.0.ffn_up.7.weight"})),
      NameScheme::kGgufByExpert);
  EXPECT_EQ(
      DetectNameScheme(Table({"blk.0.attn_q.weight", "blk.0.ffn_up.weight"})),
      NameScheme::kGguf);
}

}  // namespace
}  // namespace verify
