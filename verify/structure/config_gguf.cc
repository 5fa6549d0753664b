// SPDX-License-Identifier: Apache-2.0
// GGUF metadata of the architecture "llama", which Mistral and Mixtral use.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "verify/base/text.h"
#include "verify/structure/config_check.h"
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

bool Has(const GgufFile& gguf, std::string_view key) {
  return gguf.metadata.count(std::string(key)) > 0;
}

Unexpected NotImplemented(std::string_view key, std::string_view value) {
  return ConfigError(ErrorCode::kUnsupported,
                     StrCat("\"", key, "\" is ", value,
                            ", which changes the model in a way that is not "
                            "implemented"));
}

// A count, or an array of one count per layer that are all the same.
Result<std::optional<uint64_t>> OptionalUnsigned(const GgufFile& gguf,
                                                 std::string_view key) {
  if (!Has(gguf, key)) return std::optional<uint64_t>();
  if (const auto value = gguf.Unsigned(key)) return value;
  const auto list = gguf.Integers(key);
  if (!list.has_value() || list->empty() || list->front() < 0) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", key, "\" is not a whole number"));
  }
  const auto num_layers = gguf.Unsigned(kGgufKeys.num_layers);
  if (num_layers.has_value() && list->size() != *num_layers) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", key, "\" lists ", list->size(),
                              " numbers for ", *num_layers, " layers"));
  }
  for (const int64_t value : *list) {
    if (value != list->front()) {
      return NotImplemented(key, "different in each layer");
    }
  }
  return std::optional<uint64_t>(static_cast<uint64_t>(list->front()));
}

Result<uint64_t> RequiredUnsigned(const GgufFile& gguf, std::string_view key) {
  ASSIGN_OR_RETURN(const auto value, OptionalUnsigned(gguf, key));
  if (!value.has_value()) {
    return ConfigError(ErrorCode::kCorrupt, StrCat("\"", key, "\" is missing"));
  }
  return *value;
}

Result<double> FloatOr(const GgufFile& gguf, std::string_view key,
                       std::optional<double> absent) {
  if (!Has(gguf, key)) {
    if (absent.has_value()) return *absent;
    return ConfigError(ErrorCode::kCorrupt, StrCat("\"", key, "\" is missing"));
  }
  const auto value = gguf.Float(key);
  if (!value.has_value()) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", key, "\" is not a number"));
  }
  return *value;
}

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

// llama.vocab_size, or where it is absent (older writers) the number of
// tokens of the vocabulary, or the rows of the embedding.
Result<uint64_t> VocabularySize(const GgufFile& gguf) {
  ASSIGN_OR_RETURN(const auto given,
                   OptionalUnsigned(gguf, "llama.vocab_size"));
  if (given.has_value()) return *given;
  if (const auto* const tokens = gguf.Strings("tokenizer.ggml.tokens")) {
    return uint64_t{tokens->size()};
  }
  const TensorInfo* const embedding = gguf.tensors.Find("token_embd.weight");
  if (embedding != nullptr && embedding->shape.size() == 2) {
    return uint64_t{embedding->shape[0]};
  }
  return ConfigError(ErrorCode::kCorrupt, "\"llama.vocab_size\" is missing");
}

}  // namespace

Result<ModelConfig> ConfigFromGguf(const GgufFile& gguf) {
  const std::string* const architecture = gguf.String("general.architecture");
  if (architecture == nullptr) {
    return ConfigError(ErrorCode::kCorrupt,
                       "\"general.architecture\" is missing");
  }
  if (*architecture != "llama") {
    return ConfigError(
        ErrorCode::kUnsupported,
        StrCat("architecture \"", EscapeForTerminal(*architecture, 64),
               "\" is not implemented; \"llama\" (Mistral, Mixtral) is"));
  }
  RETURN_IF_ERROR(RefuseOtherArithmetic(gguf));

  ModelConfig config;
  config.rope_style = RopeStyle::kInterleaved;
  config.names = NameScheme::kGguf;
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
  ASSIGN_OR_RETURN(config.vocab_size, VocabularySize(gguf));
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
