// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/architecture.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "verify/base/check.h"
#include "verify/base/text.h"

namespace verify {
namespace {

// The name of a role in each scheme. `{N}` stands for the layer and `{X}` for
// the expert; `expert_*` is the form with experts, where there is one.
struct RoleNames {
  TensorRole role;
  std::string_view mistral;
  std::string_view hugging_face;
  std::string_view gguf;
  std::string_view expert_mistral = {};
  std::string_view expert_hugging_face = {};
  std::string_view expert_gguf = {};
};

constexpr std::array<RoleNames, 13> kRoles = {{
    {.role = TensorRole::kTokenEmbedding,
     .mistral = "tok_embeddings.weight",
     .hugging_face = "model.embed_tokens.weight",
     .gguf = "token_embd.weight"},
    {.role = TensorRole::kOutputNorm,
     .mistral = "norm.weight",
     .hugging_face = "model.norm.weight",
     .gguf = "output_norm.weight"},
    {.role = TensorRole::kOutput,
     .mistral = "output.weight",
     .hugging_face = "lm_head.weight",
     .gguf = "output.weight"},
    {.role = TensorRole::kAttentionNorm,
     .mistral = "layers.{N}.attention_norm.weight",
     .hugging_face = "model.layers.{N}.input_layernorm.weight",
     .gguf = "blk.{N}.attn_norm.weight"},
    {.role = TensorRole::kAttentionQ,
     .mistral = "layers.{N}.attention.wq.weight",
     .hugging_face = "model.layers.{N}.self_attn.q_proj.weight",
     .gguf = "blk.{N}.attn_q.weight"},
    {.role = TensorRole::kAttentionK,
     .mistral = "layers.{N}.attention.wk.weight",
     .hugging_face = "model.layers.{N}.self_attn.k_proj.weight",
     .gguf = "blk.{N}.attn_k.weight"},
    {.role = TensorRole::kAttentionV,
     .mistral = "layers.{N}.attention.wv.weight",
     .hugging_face = "model.layers.{N}.self_attn.v_proj.weight",
     .gguf = "blk.{N}.attn_v.weight"},
    {.role = TensorRole::kAttentionOut,
     .mistral = "layers.{N}.attention.wo.weight",
     .hugging_face = "model.layers.{N}.self_attn.o_proj.weight",
     .gguf = "blk.{N}.attn_output.weight"},
    {.role = TensorRole::kFfnNorm,
     .mistral = "layers.{N}.ffn_norm.weight",
     .hugging_face = "model.layers.{N}.post_attention_layernorm.weight",
     .gguf = "blk.{N}.ffn_norm.weight"},
    {.role = TensorRole::kRouter,
     .mistral = "layers.{N}.feed_forward.gate.weight",
     .hugging_face = "model.layers.{N}.block_sparse_moe.gate.weight",
     .gguf = "blk.{N}.ffn_gate_inp.weight"},
    {.role = TensorRole::kFfnGate,
     .mistral = "layers.{N}.feed_forward.w1.weight",
     .hugging_face = "model.layers.{N}.mlp.gate_proj.weight",
     .gguf = "blk.{N}.ffn_gate.weight",
     .expert_mistral = "layers.{N}.feed_forward.experts.{X}.w1.weight",
     .expert_hugging_face =
         "model.layers.{N}.block_sparse_moe.experts.{X}.w1.weight",
     .expert_gguf = "blk.{N}.ffn_gate_exps.weight"},
    {.role = TensorRole::kFfnDown,
     .mistral = "layers.{N}.feed_forward.w2.weight",
     .hugging_face = "model.layers.{N}.mlp.down_proj.weight",
     .gguf = "blk.{N}.ffn_down.weight",
     .expert_mistral = "layers.{N}.feed_forward.experts.{X}.w2.weight",
     .expert_hugging_face =
         "model.layers.{N}.block_sparse_moe.experts.{X}.w2.weight",
     .expert_gguf = "blk.{N}.ffn_down_exps.weight"},
    {.role = TensorRole::kFfnUp,
     .mistral = "layers.{N}.feed_forward.w3.weight",
     .hugging_face = "model.layers.{N}.mlp.up_proj.weight",
     .gguf = "blk.{N}.ffn_up.weight",
     .expert_mistral = "layers.{N}.feed_forward.experts.{X}.w3.weight",
     .expert_hugging_face =
         "model.layers.{N}.block_sparse_moe.experts.{X}.w3.weight",
     .expert_gguf = "blk.{N}.ffn_up_exps.weight"},
}};

std::string_view Pattern(NameScheme scheme, TensorRole role, bool expert) {
  for (const RoleNames& names : kRoles) {
    if (names.role != role) continue;
    switch (scheme) {
      case NameScheme::kMistral:
        return expert ? names.expert_mistral : names.mistral;
      case NameScheme::kHuggingFace:
        return expert ? names.expert_hugging_face : names.hugging_face;
      case NameScheme::kGguf:
        return expert ? names.expert_gguf : names.gguf;
    }
  }
  return {};
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Collects specs in order, with the shapes that a configuration gives.
class SpecBuilder {
 public:
  SpecBuilder(const ModelConfig& config, NameScheme scheme)
      : config_(config), scheme_(scheme) {}

  void Add(TensorRole role, int64_t layer, std::vector<uint64_t> shape) {
    specs_.push_back({.role = role,
                      .layer = layer,
                      .expert = -1,
                      .name = TensorName(scheme_, role, layer, -1),
                      .shape = std::move(shape)});
  }

  void AddLayer(int64_t layer) {
    const uint64_t dim = config_.dim;
    const uint64_t q_rows = config_.num_heads * config_.head_dim;
    const uint64_t kv_rows = config_.num_kv_heads * config_.head_dim;
    Add(TensorRole::kAttentionNorm, layer, {dim});
    Add(TensorRole::kAttentionQ, layer, {q_rows, dim});
    Add(TensorRole::kAttentionK, layer, {kv_rows, dim});
    Add(TensorRole::kAttentionV, layer, {kv_rows, dim});
    Add(TensorRole::kAttentionOut, layer, {dim, q_rows});
    Add(TensorRole::kFfnNorm, layer, {dim});
    const uint64_t ff = config_.ff_dim;
    if (!config_.is_moe()) {
      Add(TensorRole::kFfnGate, layer, {ff, dim});
      Add(TensorRole::kFfnUp, layer, {ff, dim});
      Add(TensorRole::kFfnDown, layer, {dim, ff});
      return;
    }
    Add(TensorRole::kRouter, layer, {config_.num_experts, dim});
    if (scheme_ == NameScheme::kGguf) {
      const uint64_t experts = config_.num_experts;
      AddExperts(TensorRole::kFfnGate, layer, -1, {experts, ff, dim});
      AddExperts(TensorRole::kFfnUp, layer, -1, {experts, ff, dim});
      AddExperts(TensorRole::kFfnDown, layer, -1, {experts, dim, ff});
      return;
    }
    for (uint64_t i = 0; i < config_.num_experts; ++i) {
      const auto expert = static_cast<int64_t>(i);
      AddExperts(TensorRole::kFfnGate, layer, expert, {ff, dim});
      AddExperts(TensorRole::kFfnUp, layer, expert, {ff, dim});
      AddExperts(TensorRole::kFfnDown, layer, expert, {dim, ff});
    }
  }

  std::vector<TensorSpec> Take() { return std::move(specs_); }

 private:
  void AddExperts(TensorRole role, int64_t layer, int64_t expert,
                  std::vector<uint64_t> shape) {
    specs_.push_back(
        {.role = role,
         .layer = layer,
         .expert = expert,
         .name = TensorName(scheme_, role, layer, expert < 0 ? 0 : expert),
         .shape = std::move(shape)});
  }

  const ModelConfig& config_;
  NameScheme scheme_;
  std::vector<TensorSpec> specs_;
};

}  // namespace

std::string TensorName(NameScheme scheme, TensorRole role, int64_t layer,
                       int64_t expert) {
  const std::string_view pattern = Pattern(scheme, role, expert >= 0);
  CHECK(!pattern.empty());
  std::string name;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      name.push_back(pattern[i]);
      continue;
    }
    const bool is_layer = pattern[i + 1] == 'N';
    CHECK(!is_layer || layer >= 0);
    name += std::to_string(is_layer ? layer : expert);
    i += 2;  // past "N}" or "X}"
  }
  return name;
}

std::vector<TensorSpec> ExpectedTensors(const ModelConfig& config,
                                        NameScheme scheme) {
  SpecBuilder builder(config, scheme);
  builder.Add(TensorRole::kTokenEmbedding, -1, {config.vocab_size, config.dim});
  for (uint64_t layer = 0; layer < config.num_layers; ++layer) {
    builder.AddLayer(static_cast<int64_t>(layer));
  }
  builder.Add(TensorRole::kOutputNorm, -1, {config.dim});
  if (!config.tied_embeddings) {
    builder.Add(TensorRole::kOutput, -1, {config.vocab_size, config.dim});
  }
  return builder.Take();
}

std::optional<NameScheme> DetectNameScheme(const TensorTable& tensors) {
  bool mistral = false;
  bool hugging_face = false;
  bool gguf = false;
  for (const TensorInfo& tensor : tensors.tensors()) {
    const std::string_view name = tensor.name;
    if (StartsWith(name, "layers.")) {
      // Stacked experts with a transposed w2 (the first upload of Mixtral to
      // Hugging Face) look like Mistral's names but are not.
      if (name.find(".block_sparse_moe.") != std::string_view::npos) {
        return std::nullopt;
      }
      mistral = true;
    } else if (name == "tok_embeddings.weight" || name == "norm.weight") {
      mistral = true;
    } else if (StartsWith(name, "model.") || name == "lm_head.weight") {
      hugging_face = true;
    } else if (StartsWith(name, "blk.") || name == "token_embd.weight" ||
               name == "output_norm.weight") {
      gguf = true;
    }
  }
  if (mistral && !hugging_face && !gguf) return NameScheme::kMistral;
  if (hugging_face && !mistral && !gguf) return NameScheme::kHuggingFace;
  if (gguf && !mistral && !hugging_face) return NameScheme::kGguf;
  return std::nullopt;
}

}  // namespace verify
