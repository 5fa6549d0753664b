// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/model_config.h"

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

Result<void> CheckTotals(const ModelConfig& config, const ConfigKeys& keys) {
  // The bounds of the factors keep all of this far from overflow.
  const uint64_t experts = config.is_moe() ? config.num_experts : 1;
  const uint64_t tensors = 3 + config.num_layers * (7 + 3 * experts);
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

Unexpected ConfigError(ErrorCode code, std::string message) {
  return Fail(code, std::move(message)).Id("E-CONFIG");
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

std::string Describe(const ModelConfig& config) {
  std::string text = config.is_moe() ? "Mixtral" : "Mistral";
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
