// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/gguf_fields.h"

#include <string>
#include <vector>

#include "verify/base/text.h"
#include "verify/structure/config_check.h"

namespace verify {
namespace {

bool Has(const GgufFile& gguf, std::string_view key) {
  return gguf.metadata.count(std::string(key)) > 0;
}

}  // namespace

Unexpected NotImplemented(std::string_view key, std::string_view value) {
  return ConfigError(ErrorCode::kUnsupported,
                     StrCat("\"", key, "\" is ", value,
                            ", which changes the model in a way that is not "
                            "implemented"));
}

Result<std::optional<uint64_t>> OptionalUnsigned(const GgufFile& gguf,
                                                 std::string_view key) {
  if (!Has(gguf, key)) return std::optional<uint64_t>();
  if (const auto value = gguf.Unsigned(key)) return value;
  const auto list = gguf.Integers(key);
  if (!list.has_value() || list->empty() || list->front() < 0) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", key, "\" is not a whole number"));
  }
  const auto* const family = gguf.String("general.architecture");
  const auto num_layers = family == nullptr
                              ? std::nullopt
                              : gguf.Unsigned(StrCat(*family, ".block_count"));
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

Result<void> OnlyNeutral(const GgufFile& gguf, std::string_view key,
                         uint64_t neutral) {
  ASSIGN_OR_RETURN(const auto value, OptionalUnsigned(gguf, key));
  if (value.value_or(0) == 0 || *value == neutral) return {};
  return NotImplemented(key, std::to_string(*value));
}

Result<void> ReadGgufArithmetic(const GgufFile& gguf,
                                std::string_view architecture,
                                ModelConfig& config) {
  const auto name = [&](std::string_view key) {
    return StrCat(architecture, ".", key);
  };
  for (const std::string_view key :
       {"expert_shared_count", "expert_shared_feed_forward_length",
        "leading_dense_block_count", "attention.q_lora_rank",
        "attention.kv_lora_rank"}) {
    RETURN_IF_ERROR(OnlyNeutral(gguf, name(key), 0));
  }
  for (const std::string_view key :
       {"expert_group_count", "expert_group_used_count",
        "interleave_moe_layer_step"}) {
    RETURN_IF_ERROR(OnlyNeutral(gguf, name(key), 1));
  }
  // 1 is softmax over all experts, 3 over the chosen. They are the same once
  // the weights are made to add up.
  ASSIGN_OR_RETURN(const auto gating,
                   OptionalUnsigned(gguf, name("expert_gating_func")));
  if (gating == 2u || gating.value_or(0) > 3) {
    return NotImplemented(name("expert_gating_func"), std::to_string(*gating));
  }
  const auto adds_up = gguf.Bool(name("expert_weights_norm"));
  if (adds_up.has_value()) {
    config.expert_weights =
        *adds_up ? ExpertWeights::kOfChosen : ExpertWeights::kOfAll;
  }
  if (gating == 3u) config.expert_weights = ExpertWeights::kOfChosen;
  for (const std::string_view key :
       {"expert_weights_scale", "logit_scale", "residual_scale",
        "embedding_scale", "attention.scale", "router_logit_softcapping",
        "attn_logit_softcapping", "final_logit_softcapping",
        "attention.clamp_kqv"}) {
    ASSIGN_OR_RETURN(const double value, FloatOr(gguf, name(key), 0.0));
    const bool factor = key.ends_with("_scale");
    if (value == 0.0 || (factor && value == 1.0)) continue;
    return NotImplemented(name(key), StrCat(value));
  }
  if (const std::string* const type = gguf.String(name("rope.scaling.type"));
      type != nullptr && *type != "none") {
    return NotImplemented(name("rope.scaling.type"),
                          StrCat("\"", EscapeForTerminal(*type, 64), "\""));
  }
  for (const std::string_view key :
       {"rope.scale_linear", "rope.scaling.factor"}) {
    ASSIGN_OR_RETURN(const double factor, FloatOr(gguf, name(key), 1.0));
    if (factor != 1.0) return NotImplemented(name(key), StrCat(factor));
  }
  if (gguf.tensors.Find("rope_freqs.weight") != nullptr) {
    return ConfigError(ErrorCode::kUnsupported,
                       "tensor \"rope_freqs.weight\" scales the rotary "
                       "frequencies, which is not implemented");
  }
  return {};
}

Result<uint64_t> GgufHeadDim(const GgufFile& gguf,
                             std::string_view architecture,
                             const ModelConfig& config) {
  const auto name = [&](std::string_view key) {
    return StrCat(architecture, ".", key);
  };
  ASSIGN_OR_RETURN(const auto key_length,
                   OptionalUnsigned(gguf, name("attention.key_length")));
  ASSIGN_OR_RETURN(const auto value_length,
                   OptionalUnsigned(gguf, name("attention.value_length")));
  ASSIGN_OR_RETURN(const auto rope_dims,
                   OptionalUnsigned(gguf, name("rope.dimension_count")));
  uint64_t head_dim = 0;
  if (key_length.has_value()) {
    head_dim = *key_length;
  } else if (config.num_heads != 0 && config.dim % config.num_heads == 0) {
    head_dim = config.dim / config.num_heads;
  } else {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("\"", name("attention.key_length"), "\" is missing and \"",
               name("embedding_length"), "\" ", config.dim,
               " is no multiple of \"", name("attention.head_count"), "\" ",
               config.num_heads));
  }
  if (head_dim == 0) return head_dim;  // refused with the other ranges
  if (value_length.value_or(head_dim) != head_dim) {
    return NotImplemented(name("attention.value_length"),
                          StrCat(*value_length, " where keys have ", head_dim));
  }
  if (rope_dims.has_value() &&
      (*rope_dims == 0 || *rope_dims % 2 != 0 || *rope_dims > head_dim)) {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("\"", name("rope.dimension_count"), "\" is ", *rope_dims,
               ", expected an even number up to ", head_dim));
  }
  if (rope_dims.value_or(head_dim) != head_dim) {
    return NotImplemented(name("rope.dimension_count"),
                          StrCat(*rope_dims, " where heads have ", head_dim));
  }
  return head_dim;
}

Result<uint64_t> VocabularySize(const GgufFile& gguf, std::string_view key) {
  ASSIGN_OR_RETURN(const auto given, OptionalUnsigned(gguf, key));
  if (given.has_value()) return *given;
  if (const auto* const tokens = gguf.Strings("tokenizer.ggml.tokens")) {
    return uint64_t{tokens->size()};
  }
  const TensorInfo* const embedding = gguf.tensors.Find("token_embd.weight");
  if (embedding != nullptr && embedding->shape.size() == 2) {
    return uint64_t{embedding->shape[0]};
  }
  return ConfigError(ErrorCode::kCorrupt, StrCat("\"", key, "\" is missing"));
}

}  // namespace verify
