// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/model_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/structure/config_check.h"

namespace verify {
namespace {

Result<void> InRange(std::string_view key, uint64_t value, uint64_t min,
                     uint64_t max) {
  if (value >= min && value <= max) return {};
  return ConfigError(
      ErrorCode::kCorrupt,
      StrCat("\"", key, "\" is ", value, ", expected ", min, " to ", max));
}

Result<void> InRange(std::string_view key, double value, double min,
                     double max) {
  // Written so that NaN fails.
  if (value >= min && value <= max) return {};
  return ConfigError(
      ErrorCode::kCorrupt,
      StrCat("\"", key, "\" is ", value, ", expected ", min, " to ", max));
}

// Most tensors that a layer of a family has beside those of its experts.
constexpr uint64_t kMaxTensorsOfLayer = 32;

Result<void> CheckTotals(const ModelConfig& config, const ConfigKeys& keys) {
  // The bounds of the factors keep all of this far from overflow.
  const uint64_t experts = config.is_moe() ? config.num_experts : 1;
  const bool plain = config.family == Family::kLlama;
  // Weights in fp8 come with a tensor of scales each.
  const uint64_t of_expert = config.traits.fp8_block > 0 ? 6 : 3;
  const uint64_t tensors =
      3 + config.num_layers *
              ((plain ? 7 : kMaxTensorsOfLayer) + of_expert * experts);
  if (tensors > kMaxModelTensors) {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("\"", keys.num_layers, "\" ", config.num_layers, " and \"",
               keys.num_experts, "\" ", config.num_experts, " make ", tensors,
               " tensors, the limit is ", kMaxModelTensors));
  }
  const uint64_t attention = 2 * config.dim * config.head_dim *
                             (config.num_heads + config.num_kv_heads);
  const uint64_t ffn = 3 * experts * config.ff_dim * config.dim;
  const uint64_t parameters = 2 * config.vocab_size * config.dim +
                              config.num_layers * (attention + ffn);
  if (parameters > kMaxModelParameters) {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("the sizes make ", parameters, " parameters, the limit is ",
               kMaxModelParameters));
  }
  return {};
}

}  // namespace

bool ModelConfig::is_moe_layer(uint64_t layer) const {
  if (!is_moe() || layer < traits.num_dense_layers) return false;
  if ((layer + 1) % traits.moe_layer_step != 0) return false;
  return !std::binary_search(traits.dense_layers.begin(),
                             traits.dense_layers.end(), layer);
}

bool ModelConfig::runnable() const {
  return not_run.empty() && DescriptionOf(family).missing.empty();
}

Result<void> CheckRunnable(const ModelConfig& config) {
  if (config.runnable()) return {};
  const FamilyDescription& family = DescriptionOf(config.family);
  std::string text = StrCat(family.name,
                            " is known by the names and shapes of its tensors; "
                            "Lodestone does not run it");
  text = family.missing.empty() ? StrCat(family.name, ": ", config.not_run)
                                : StrCat(text, ", it lacks ", family.missing);
  return Fail(ErrorCode::kUnsupported, std::move(text))
      .Id("E-ARCHITECTURE")
      .Hint(
          "verify checks its structure and numbers; Mistral, Mixtral, Llama, "
          "Qwen3-MoE and OLMoE are run");
}

Unexpected ConfigError(ErrorCode code, std::string message) {
  return Fail(code, std::move(message)).Id("E-CONFIG");
}

Result<void> NoteNotRun(Result<void> checked, ModelConfig& config) {
  if (checked || checked.error().code != ErrorCode::kUnsupported) {
    return checked;
  }
  if (config.not_run.empty()) config.not_run = checked.error().message;
  return {};
}

Result<void> CheckConfig(const ModelConfig& config, const ConfigKeys& keys) {
  RETURN_IF_ERROR(InRange(keys.dim, config.dim, 1, kMaxModelDim));
  RETURN_IF_ERROR(
      InRange(keys.num_layers, config.num_layers, 1, kMaxModelLayers));
  RETURN_IF_ERROR(InRange(keys.num_heads, config.num_heads, 1, kMaxModelHeads));
  RETURN_IF_ERROR(
      InRange(keys.num_kv_heads, config.num_kv_heads, 1, config.num_heads));
  RETURN_IF_ERROR(InRange(keys.head_dim, config.head_dim, 2, kMaxModelHeadDim));
  RETURN_IF_ERROR(InRange(keys.ff_dim, config.ff_dim, 1, kMaxModelFfDim));
  RETURN_IF_ERROR(
      InRange(keys.vocab_size, config.vocab_size, 1, kMaxModelVocabulary));
  RETURN_IF_ERROR(
      InRange(keys.context_len, config.context_len, 1, kMaxModelContext));
  RETURN_IF_ERROR(InRange(keys.norm_eps, config.norm_eps, 1e-12, 0.1));
  RETURN_IF_ERROR(InRange(keys.rope_theta, config.rope_theta, 1.0, 1e12));
  if (config.sliding_window.has_value()) {
    RETURN_IF_ERROR(InRange(keys.sliding_window, *config.sliding_window, 1,
                            kMaxModelContext));
  }
  if (config.num_heads % config.num_kv_heads != 0) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", keys.num_heads, "\" ", config.num_heads,
                              " is no multiple of \"", keys.num_kv_heads, "\" ",
                              config.num_kv_heads));
  }
  if (config.head_dim % 2 != 0) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", keys.head_dim, "\" is ", config.head_dim,
                              ", expected an even number"));
  }
  if (config.is_moe()) {
    RETURN_IF_ERROR(
        InRange(keys.num_experts, config.num_experts, 1, kMaxModelExperts));
    RETURN_IF_ERROR(InRange(keys.num_experts_per_token,
                            config.num_experts_per_token, 1,
                            config.num_experts));
  }
  return CheckTotals(config, keys);
}

Result<void> CheckTraits(const ModelConfig& config) {
  const FamilyTraits& traits = config.traits;
  const struct {
    std::string_view what;
    uint64_t value;
    uint64_t max;
  } bounds[] = {
      {"width of dense layers", traits.dense_ff_dim, kMaxModelFfDim},
      {"width of shared experts", traits.shared_ff_dim, kMaxModelFfDim},
      {"number of dense layers", traits.num_dense_layers, config.num_layers},
      {"rank of queries", traits.q_lora_rank, kMaxModelDim},
      {"rank of keys and values", traits.kv_lora_rank, kMaxModelDim},
      {"unrotated part of a head", traits.nope_dim, kMaxModelHeadDim},
      {"rotated part of a head", traits.rope_dim, kMaxModelHeadDim},
      {"width of a value head", traits.value_dim, kMaxModelHeadDim},
      {"layers that predict further tokens", traits.num_next_token_layers, 8},
  };
  for (const auto& bound : bounds) {
    RETURN_IF_ERROR(InRange(bound.what, bound.value, 0, bound.max));
  }
  RETURN_IF_ERROR(InRange("every how many layers have experts",
                          traits.moe_layer_step, 1, kMaxModelLayers));
  if (config.family == Family::kDeepseek) {
    RETURN_IF_ERROR(InRange("rank of keys and values", traits.kv_lora_rank, 1,
                            kMaxModelDim));
    RETURN_IF_ERROR(InRange("unrotated part of a head", traits.nope_dim, 1,
                            kMaxModelHeadDim));
    RETURN_IF_ERROR(InRange("rotated part of a head", traits.rope_dim, 1,
                            kMaxModelHeadDim));
    RETURN_IF_ERROR(InRange("width of a value head", traits.value_dim, 1,
                            kMaxModelHeadDim));
  }
  bool dense = !config.is_moe();
  for (uint64_t layer = 0; layer < config.num_layers; ++layer) {
    dense |= !config.is_moe_layer(layer);
  }
  if (dense && traits.dense_ff_dim == 0 && config.family != Family::kLlama) {
    return ConfigError(ErrorCode::kCorrupt,
                       "some layers have no experts, and nothing says how wide "
                       "they are");
  }
  if (traits.mxfp4_experts &&
      (config.dim % 32 != 0 || config.ff_dim % 32 != 0)) {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("four-bit experts of ", config.ff_dim, " x ", config.dim,
               " are no whole number of blocks of "
               "32"));
  }
  return {};
}

std::string Describe(const ModelConfig& config) {
  std::string text(config.family != Family::kLlama ? FamilyName(config.family)
                   : config.is_moe()               ? "Mixtral"
                                                   : "Mistral");
  text += StrCat(", ", config.num_layers,
                 config.num_layers == 1 ? " layer" : " layers");
  if (config.is_moe()) {
    text += StrCat(", ", config.num_experts,
                   config.num_experts == 1 ? " expert (" : " experts (",
                   config.num_experts_per_token, " per token)");
  }
  return text +
         StrCat(", dim ", config.dim, ", vocabulary ", config.vocab_size);
}

}  // namespace verify
