// SPDX-License-Identifier: Apache-2.0
// GGUF metadata of the architecture "llama", which Mistral and Mixtral use; for
// the others see family_gguf.cc.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "verify/base/text.h"
#include "verify/structure/architecture.h"
#include "verify/structure/config_check.h"
#include "verify/structure/family_config.h"
#include "verify/structure/gguf_fields.h"
#include "verify/structure/model_config.h"

namespace verify {
namespace {

constexpr ConfigKeys kGgufKeys = {
    .dim = "llama.embedding_length",
    .num_layers = "llama.block_count",
    .head_dim = "llama.attention.key_length",
    .ff_dim = "llama.feed_forward_length",
    .num_heads = "llama.attention.head_count",
    .num_kv_heads = "llama.attention.head_count_kv",
    .vocab_size = "llama.vocab_size",
    .norm_eps = "llama.attention.layer_norm_rms_epsilon",
    .rope_theta = "llama.rope.freq_base",
    .sliding_window = "llama.attention.sliding_window",
    .num_experts = "llama.expert_count",
    .num_experts_per_token = "llama.expert_used_count",
    .context_len = "llama.context_length",
};

// kUnsupported unless the count is absent, 0 or `neutral`.
Result<void> OnlyNeutral(const GgufFile& gguf, std::string_view key,
                         uint64_t neutral) {
  ASSIGN_OR_RETURN(const auto value, OptionalUnsigned(gguf, key));
  if (value.value_or(0) == 0 || *value == neutral) return {};
  return NotImplemented(key, std::to_string(*value));
}

Result<void> RefuseOtherArithmetic(const GgufFile& gguf) {
  for (const std::string_view key :
       {"llama.expert_shared_count", "llama.expert_shared_feed_forward_length",
        "llama.leading_dense_block_count", "llama.attention.q_lora_rank",
        "llama.attention.kv_lora_rank"}) {
    RETURN_IF_ERROR(OnlyNeutral(gguf, key, 0));
  }
  for (const std::string_view key :
       {"llama.expert_group_count", "llama.expert_group_used_count",
        "llama.interleave_moe_layer_step"}) {
    RETURN_IF_ERROR(OnlyNeutral(gguf, key, 1));
  }
  // 3 is softmax over the selected experts. 1, softmax over all, is the same
  // once the weights are divided by their sum, which this family always does.
  ASSIGN_OR_RETURN(const auto gating,
                   OptionalUnsigned(gguf, "llama.expert_gating_func"));
  if (gating == 2u || gating.value_or(0) > 3) {
    return NotImplemented("llama.expert_gating_func", std::to_string(*gating));
  }
  if (gguf.Bool("llama.expert_weights_norm") == false) {
    return NotImplemented("llama.expert_weights_norm", "false");
  }
  for (const std::string_view key :
       {"llama.expert_weights_scale", "llama.logit_scale",
        "llama.residual_scale", "llama.embedding_scale",
        "llama.attention.scale", "llama.router_logit_softcapping",
        "llama.attn_logit_softcapping", "llama.final_logit_softcapping"}) {
    ASSIGN_OR_RETURN(const double value, FloatOr(gguf, key, 0.0));
    const bool factor = key.find("softcapping") == std::string_view::npos &&
                        key != "llama.attention.scale";
    if (value == 0.0 || (factor && value == 1.0)) continue;
    return NotImplemented(key, StrCat(value));
  }
  if (const std::string* const type = gguf.String("llama.rope.scaling.type");
      type != nullptr && *type != "none") {
    return NotImplemented("llama.rope.scaling.type",
                          StrCat("\"", EscapeForTerminal(*type, 64), "\""));
  }
  ASSIGN_OR_RETURN(const double scaling,
                   FloatOr(gguf, "llama.rope.scale_linear", 1.0));
  if (scaling != 1.0) {
    return NotImplemented("llama.rope.scale_linear", StrCat(scaling));
  }
  if (gguf.tensors.Find("rope_freqs.weight") != nullptr) {
    return ConfigError(ErrorCode::kUnsupported,
                       "tensor \"rope_freqs.weight\" scales the rotary "
                       "frequencies, which is not implemented");
  }
  return {};
}

Result<uint64_t> HeadDim(const GgufFile& gguf, const ModelConfig& config) {
  ASSIGN_OR_RETURN(const auto key_length,
                   OptionalUnsigned(gguf, "llama.attention.key_length"));
  ASSIGN_OR_RETURN(const auto value_length,
                   OptionalUnsigned(gguf, "llama.attention.value_length"));
  ASSIGN_OR_RETURN(const auto rope_dims,
                   OptionalUnsigned(gguf, "llama.rope.dimension_count"));
  uint64_t head_dim = 0;
  if (key_length.has_value()) {
    head_dim = *key_length;
  } else if (config.num_heads != 0 && config.dim % config.num_heads == 0) {
    head_dim = config.dim / config.num_heads;
  } else {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("\"llama.attention.key_length\" is missing and "
               "\"llama.embedding_length\" ",
               config.dim, " is no multiple of \"llama.attention.head_count\" ",
               config.num_heads));
  }
  if (head_dim == 0) return head_dim;  // refused with the other ranges
  if (value_length.value_or(head_dim) != head_dim) {
    return NotImplemented("llama.attention.value_length",
                          StrCat(*value_length, " where keys have ", head_dim));
  }
  if (rope_dims.has_value() &&
      (*rope_dims == 0 || *rope_dims % 2 != 0 || *rope_dims > head_dim)) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"llama.rope.dimension_count\" is ", *rope_dims,
                              ", expected an even number up to ", head_dim));
  }
  if (rope_dims.value_or(head_dim) != head_dim) {
    return NotImplemented("llama.rope.dimension_count",
                          StrCat(*rope_dims, " where heads have ", head_dim));
  }
  return head_dim;
}

}  // namespace

Result<ModelConfig> ConfigFromGguf(const GgufFile& gguf) {
  const std::string* const architecture = gguf.String("general.architecture");
  if (architecture == nullptr) {
    return ConfigError(ErrorCode::kCorrupt,
                       "\"general.architecture\" is missing");
  }
  if (*architecture != "llama") return FamilyFromGguf(gguf, *architecture);
  RETURN_IF_ERROR(RefuseOtherArithmetic(gguf));

  ModelConfig config;
  config.rope_style = RopeStyle::kInterleaved;
  config.names = NameScheme::kGguf;
  if (DetectNameScheme(gguf.tensors) == NameScheme::kGgufByExpert) {
    config.names = NameScheme::kGgufByExpert;
  }
  ASSIGN_OR_RETURN(config.dim, RequiredUnsigned(gguf, kGgufKeys.dim));
  ASSIGN_OR_RETURN(config.num_layers,
                   RequiredUnsigned(gguf, kGgufKeys.num_layers));
  ASSIGN_OR_RETURN(config.num_heads,
                   RequiredUnsigned(gguf, kGgufKeys.num_heads));
  ASSIGN_OR_RETURN(const auto kv_heads,
                   OptionalUnsigned(gguf, kGgufKeys.num_kv_heads));
  config.num_kv_heads = kv_heads.value_or(config.num_heads);
  ASSIGN_OR_RETURN(config.head_dim, HeadDim(gguf, config));
  ASSIGN_OR_RETURN(config.ff_dim, RequiredUnsigned(gguf, kGgufKeys.ff_dim));
  ASSIGN_OR_RETURN(config.norm_eps,
                   FloatOr(gguf, kGgufKeys.norm_eps, std::nullopt));
  ASSIGN_OR_RETURN(config.rope_theta, FloatOr(gguf, kGgufKeys.rope_theta, 1e4));
  ASSIGN_OR_RETURN(config.vocab_size,
                   VocabularySize(gguf, kGgufKeys.vocab_size));
  ASSIGN_OR_RETURN(const auto context,
                   OptionalUnsigned(gguf, kGgufKeys.context_len));
  if (context.has_value()) config.context_len = *context;
  ASSIGN_OR_RETURN(config.sliding_window,
                   OptionalUnsigned(gguf, kGgufKeys.sliding_window));
  // llama.cpp writes and reads 0 for "none".
  if (config.sliding_window == 0u) config.sliding_window.reset();
  ASSIGN_OR_RETURN(const auto experts,
                   OptionalUnsigned(gguf, kGgufKeys.num_experts));
  config.num_experts = experts.value_or(0);
  if (config.is_moe()) {
    ASSIGN_OR_RETURN(config.num_experts_per_token,
                     RequiredUnsigned(gguf, kGgufKeys.num_experts_per_token));
    RETURN_IF_ERROR(
        OnlyNeutral(gguf, "llama.expert_feed_forward_length", config.ff_dim));
  }
  config.tied_embeddings = gguf.tensors.Find("output.weight") == nullptr;
  RETURN_IF_ERROR(CheckConfig(config, kGgufKeys));
  return config;
}

}  // namespace verify
