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

}  // namespace

Result<ModelConfig> ConfigFromGguf(const GgufFile& gguf) {
  const std::string* const architecture = gguf.String("general.architecture");
  if (architecture == nullptr) {
    return ConfigError(ErrorCode::kCorrupt,
                       "\"general.architecture\" is missing");
  }
  if (*architecture != "llama") return FamilyFromGguf(gguf, *architecture);

  ModelConfig config;
  RETURN_IF_ERROR(ReadGgufArithmetic(gguf, *architecture, config));
  // llama.cpp does not look at the key and always makes them add up.
  if (gguf.Bool("llama.expert_weights_norm") == false) {
    return NotImplemented("llama.expert_weights_norm",
                          std::string_view("false"));
  }
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
  ASSIGN_OR_RETURN(config.head_dim, GgufHeadDim(gguf, *architecture, config));
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
