// SPDX-License-Identifier: Apache-2.0
// params.json of Mistral's own releases and config.json of Hugging Face.
// Fuzzed by tests/fuzz/model_config_fuzz.cc.
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "verify/base/json.h"
#include "verify/base/text.h"
#include "verify/structure/config_check.h"
#include "verify/structure/family_config.h"
#include "verify/structure/fp8_scale.h"
#include "verify/structure/json_fields.h"
#include "verify/structure/model_config.h"

namespace verify {
namespace {

// A window as a number or, in some params.json, as a number in a string.
Result<std::optional<uint64_t>> WindowValue(std::string_view key,
                                            const Json& value) {
  if (value.is_null()) return std::optional<uint64_t>();
  if (const auto number = AsUnsigned(value)) {
    return std::optional<uint64_t>(*number);
  }
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    uint64_t number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) {
      return std::optional<uint64_t>(number);
    }
  }
  return WrongType(key, value, "a number of tokens");
}

// The window of params.json: a value, or a list of values that repeats over
// the layers. Layers that differ are not implemented.
Result<std::optional<uint64_t>> MistralWindow(const Json& json,
                                              uint64_t num_layers) {
  std::string_view key = "sliding_window";
  const Json* value = Given(json, key);
  const Json* const alias = Given(json, "_sliding_window");
  if (value != nullptr && alias != nullptr && *value != *alias) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"sliding_window\" is ", ValueText(*value),
                              ", \"_sliding_window\" is ", ValueText(*alias)));
  }
  if (value == nullptr && alias != nullptr) {
    key = "_sliding_window";
    value = alias;
  }
  if (value == nullptr) return std::optional<uint64_t>();
  if (!value->is_array()) return WindowValue(key, *value);
  if (value->empty() || num_layers % value->size() != 0) {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("\"", key, "\" lists ", value->size(),
               " windows, which does not divide the ", num_layers, " layers"));
  }
  ASSIGN_OR_RETURN(const auto first, WindowValue(key, value->front()));
  for (const Json& item : *value) {
    ASSIGN_OR_RETURN(const auto window, WindowValue(key, item));
    if (window != first) return NotImplemented(key, *value);
  }
  return first;
}

constexpr ConfigKeys kParamsKeys = {
    .dim = "dim",
    .num_layers = "n_layers",
    .head_dim = "head_dim",
    .ff_dim = "hidden_dim",
    .num_heads = "n_heads",
    .num_kv_heads = "n_kv_heads",
    .vocab_size = "vocab_size",
    .norm_eps = "norm_eps",
    .rope_theta = "rope_theta",
    .sliding_window = "sliding_window",
    .num_experts = "moe.num_experts",
    .num_experts_per_token = "moe.num_experts_per_tok",
    .context_len = "max_seq_len",
};

// Keys of params.json that are read, or that say nothing about the arithmetic.
constexpr std::array<std::string_view, 24> kParamsKnown = {
    "dim",         "n_layers",       "head_dim",
    "hidden_dim",  "n_heads",        "n_kv_heads",
    "vocab_size",  "norm_eps",       "rope_theta",
    "moe",         "sliding_window", "_sliding_window",
    "max_seq_len", "max_batch_size", "max_position_embeddings",
    "model_type",  "activation",     "tied_embeddings",
    "use_biases",  "causal",         "multiple_of",
    "torch_dtype", "dtype",          "ffn_dim_multiplier",
};

// Parts of a name that speak of the arithmetic. A key that is not known and
// has one of them, with a value that switches something on, is refused: a
// model that is run without it would answer wrongly and nobody would know.
constexpr std::array<std::string_view, 24> kTellingParts = {
    "rope",  "yarn", "scal",   "softcap", "bias",   "norm",
    "attn",  "att",  "window", "expert",  "lora",   "quant",
    "mamba", "ssm",  "vision", "audio",   "image",  "router",
    "gate",  "rank", "rotary", "llama_4", "factor", "shared",
};

Result<void> CheckUnknownParams(const Json& json) {
  for (const auto& [key, value] : json.items()) {
    bool known = false;
    for (const std::string_view name : kParamsKnown) known |= key == name;
    if (known || value.is_null() || value == Json(false)) continue;
    if (key == "quantization" && value.is_object() && IsFp8Params(value)) {
      continue;
    }
    // Features come as objects: moe, lora, yarn, vision_encoder, quantization.
    bool telling = value.is_object();
    for (const std::string_view part : kTellingParts) {
      telling |= key.find(part) != std::string::npos;
    }
    if (telling) return NotImplemented(key, value);
  }
  return {};
}

Result<void> ReadMoe(const Json& moe, ModelConfig& config) {
  if (!moe.is_object()) return WrongType("moe", moe, "an object");
  ASSIGN_OR_RETURN(config.num_experts, RequiredUnsigned(moe, "num_experts"));
  ASSIGN_OR_RETURN(config.num_experts_per_token,
                   RequiredUnsigned(moe, "num_experts_per_tok"));
  if (config.num_experts == 0) {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("\"moe.num_experts\" is 0, expected 1 to ", kMaxModelExperts));
  }
  for (const auto& [key, value] : moe.items()) {
    if (key == "num_experts" || key == "num_experts_per_tok" ||
        value.is_null()) {
      continue;
    }
    const bool neutral =
        ((key == "route_every_n" || key == "num_expert_groups" ||
          key == "num_expert_groups_per_tok" || key == "routed_scale") &&
         value == Json(1)) ||
        ((key == "first_k_dense_replace" || key == "num_shared_experts") &&
         value == Json(0)) ||
        (key == "expert_hidden_dim" && value == Json(config.ff_dim));
    if (!neutral) return NotImplemented(StrCat("moe.", key), value);
  }
  return {};
}

// Llama's files give the width of the feed-forward block by what it was rounded
// to (meta-llama/llama, llama/model.py, FeedForward): two thirds of 4 dim,
// times a factor, up to a multiple.
Result<uint64_t> LlamaWidth(const Json& json, uint64_t dim) {
  ASSIGN_OR_RETURN(const uint64_t multiple,
                   RequiredUnsigned(json, "multiple_of"));
  ASSIGN_OR_RETURN(const auto factor,
                   OptionalNumber(json, "ffn_dim_multiplier"));
  if (multiple == 0 || multiple > kMaxModelDim || dim > kMaxModelDim ||
      !(factor.value_or(1) > 0 && factor.value_or(1) <= 64)) {
    return ConfigError(ErrorCode::kCorrupt,
                       "\"multiple_of\", \"ffn_dim_multiplier\" or \"dim\" is "
                       "out of range");
  }
  const uint64_t plain = 2 * (4 * dim) / 3;
  const auto scaled =
      static_cast<uint64_t>(static_cast<double>(plain) * factor.value_or(1));
  return (scaled + multiple - 1) / multiple * multiple;
}

Result<uint64_t> MistralVocabulary(const Json& json,
                                   std::optional<uint64_t> embedding_rows) {
  const Json* const value = Given(json, "vocab_size");
  if (value == nullptr) return Missing("vocab_size");
  if (const auto number = AsUnsigned(*value)) return *number;
  if (*value != Json(-1)) {
    return WrongType("vocab_size", *value, "a whole number");
  }
  // Llama's files leave it to the embedding.
  if (embedding_rows.has_value()) return *embedding_rows;
  return ConfigError(ErrorCode::kCorrupt,
                     "\"vocab_size\" is -1 and no embedding tensor is there "
                     "to take it from");
}

constexpr ConfigKeys kHuggingFaceKeys = {
    .dim = "hidden_size",
    .num_layers = "num_hidden_layers",
    .head_dim = "head_dim",
    .ff_dim = "intermediate_size",
    .num_heads = "num_attention_heads",
    .num_kv_heads = "num_key_value_heads",
    .vocab_size = "vocab_size",
    .norm_eps = "rms_norm_eps",
    .rope_theta = "rope_theta",
    .sliding_window = "sliding_window",
    .num_experts = "num_local_experts",
    .num_experts_per_token = "num_experts_per_tok",
    .context_len = "max_position_embeddings",
};

enum class HuggingFaceClass { kMistral, kMixtral, kLlama };

// The class in transformers, or where a file leaves it out the model_type.
Result<std::string_view> ClassName(const Json& json) {
  const Json* const list = Given(json, "architectures");
  if (list == nullptr) {
    const Json* const type = Given(json, "model_type");
    if (type == nullptr) return Missing("architectures");
    if (!type->is_string()) return WrongType("model_type", *type, "a name");
    return std::string_view(type->get_ref<const std::string&>());
  }
  if (!list->is_array() || list->size() != 1 || !list->front().is_string()) {
    return WrongType("architectures", *list, "a list of one name");
  }
  return std::string_view(list->front().get_ref<const std::string&>());
}

// The classes that the engine runs.
std::optional<HuggingFaceClass> RunnableClass(std::string_view name) {
  if (name == "MistralForCausalLM" || name == "mistral") {
    return HuggingFaceClass::kMistral;
  }
  if (name == "MixtralForCausalLM" || name == "mixtral") {
    return HuggingFaceClass::kMixtral;
  }
  if (name == "LlamaForCausalLM" || name == "llama") {
    return HuggingFaceClass::kLlama;
  }
  return std::nullopt;
}

// The defaults of the three classes in transformers.
Result<double> HuggingFaceTheta(const Json& json, HuggingFaceClass family) {
  ASSIGN_OR_RETURN(const auto theta, RopeTheta(json));
  return theta.value_or(family == HuggingFaceClass::kMixtral ? 1e6 : 1e4);
}

Result<std::optional<uint64_t>> HuggingFaceWindow(const Json& json,
                                                  HuggingFaceClass family) {
  if (json.contains("sliding_window")) {
    const Json& value = json["sliding_window"];
    if (family == HuggingFaceClass::kLlama && !value.is_null()) {
      return NotImplemented("sliding_window", value);
    }
    return WindowValue("sliding_window", value);
  }
  // MistralConfig of transformers has 4096 where the key is absent.
  if (family == HuggingFaceClass::kMistral) {
    return std::optional<uint64_t>(4096);
  }
  return std::optional<uint64_t>();
}

}  // namespace

Result<ModelConfig> ConfigFromParamsJson(
    const Json& json, std::optional<uint64_t> embedding_rows) {
  if (!json.is_object()) return WrongType("params", json, "an object");
  RETURN_IF_ERROR(CheckUnknownParams(json));
  RETURN_IF_ERROR(OnlyNeutral(json, "model_type", "transformer"));
  RETURN_IF_ERROR(OnlyNeutral(json, "activation", "silu"));
  RETURN_IF_ERROR(OnlyNeutral(json, "use_biases", false));
  RETURN_IF_ERROR(OnlyNeutral(json, "causal", true));

  ModelConfig config;
  config.rope_style = RopeStyle::kInterleaved;
  config.names = NameScheme::kMistral;
  ASSIGN_OR_RETURN(config.dim, RequiredUnsigned(json, "dim"));
  ASSIGN_OR_RETURN(config.num_layers, RequiredUnsigned(json, "n_layers"));
  ASSIGN_OR_RETURN(config.num_heads, RequiredUnsigned(json, "n_heads"));
  ASSIGN_OR_RETURN(const auto kv_heads, OptionalUnsigned(json, "n_kv_heads"));
  config.num_kv_heads = kv_heads.value_or(config.num_heads);
  ASSIGN_OR_RETURN(config.head_dim,
                   HeadDim(json, kParamsKeys, config.dim, config.num_heads));
  const bool of_llama = Given(json, "hidden_dim") == nullptr &&
                        Given(json, "multiple_of") != nullptr;
  ASSIGN_OR_RETURN(config.ff_dim, of_llama
                                      ? LlamaWidth(json, config.dim)
                                      : RequiredUnsigned(json, "hidden_dim"));
  ASSIGN_OR_RETURN(config.norm_eps, RequiredNumber(json, "norm_eps"));
  ASSIGN_OR_RETURN(config.vocab_size, MistralVocabulary(json, embedding_rows));
  ASSIGN_OR_RETURN(config.sliding_window,
                   MistralWindow(json, config.num_layers));
  ASSIGN_OR_RETURN(const auto theta, OptionalNumber(json, "rope_theta"));
  const bool short_range = of_llama || config.sliding_window.has_value();
  config.rope_theta = theta.value_or(short_range ? 1e4 : 1e6);
  ASSIGN_OR_RETURN(const auto context, OptionalUnsigned(json, "max_seq_len"));
  if (context.has_value()) config.context_len = *context;
  ASSIGN_OR_RETURN(config.tied_embeddings,
                   BoolOr(json, "tied_embeddings", false));
  if (const Json* const moe = Given(json, "moe")) {
    RETURN_IF_ERROR(ReadMoe(*moe, config));
  }
  RETURN_IF_ERROR(CheckConfig(config, kParamsKeys));
  return config;
}

Result<ModelConfig> ConfigFromHuggingFaceJson(const Json& json) {
  if (!json.is_object()) return WrongType("config", json, "an object");
  ASSIGN_OR_RETURN(const std::string_view name, ClassName(json));
  const auto runnable = RunnableClass(name);
  if (!runnable.has_value()) return FamilyFromHuggingFace(json, name);
  const HuggingFaceClass family = *runnable;
  // What the three classes read beside the sizes; they ignore other keys.
  RETURN_IF_ERROR(OnlyNeutral(json, "hidden_act", "silu"));
  RETURN_IF_ERROR(OnlyNeutral(json, "attention_bias", false));
  RETURN_IF_ERROR(OnlyNeutral(json, "mlp_bias", false));
  RETURN_IF_ERROR(OnlyNeutral(json, "partial_rotary_factor", 1));

  ModelConfig config;
  if (const Json* const fp8 = Given(json, "quantization_config")) {
    RETURN_IF_ERROR(ReadFp8Config(*fp8, config));
  }
  config.rope_style = RopeStyle::kHalf;
  config.names = NameScheme::kHuggingFace;
  ASSIGN_OR_RETURN(config.dim, RequiredUnsigned(json, "hidden_size"));
  ASSIGN_OR_RETURN(config.num_layers,
                   RequiredUnsigned(json, "num_hidden_layers"));
  ASSIGN_OR_RETURN(config.num_heads,
                   RequiredUnsigned(json, "num_attention_heads"));
  ASSIGN_OR_RETURN(const auto kv_heads,
                   OptionalUnsigned(json, "num_key_value_heads"));
  config.num_kv_heads = kv_heads.value_or(config.num_heads);
  ASSIGN_OR_RETURN(config.head_dim, HeadDim(json, kHuggingFaceKeys, config.dim,
                                            config.num_heads));
  ASSIGN_OR_RETURN(config.ff_dim, RequiredUnsigned(json, "intermediate_size"));
  ASSIGN_OR_RETURN(config.norm_eps, RequiredNumber(json, "rms_norm_eps"));
  ASSIGN_OR_RETURN(config.vocab_size, RequiredUnsigned(json, "vocab_size"));
  ASSIGN_OR_RETURN(config.rope_theta, HuggingFaceTheta(json, family));
  ASSIGN_OR_RETURN(config.sliding_window, HuggingFaceWindow(json, family));
  ASSIGN_OR_RETURN(const auto context,
                   OptionalUnsigned(json, "max_position_embeddings"));
  if (context.has_value()) config.context_len = *context;
  ASSIGN_OR_RETURN(config.tied_embeddings,
                   BoolOr(json, "tie_word_embeddings", false));
  if (family == HuggingFaceClass::kMixtral) {
    ASSIGN_OR_RETURN(config.num_experts,
                     RequiredUnsigned(json, "num_local_experts"));
    ASSIGN_OR_RETURN(config.num_experts_per_token,
                     RequiredUnsigned(json, "num_experts_per_tok"));
    if (config.num_experts == 0) {
      return ConfigError(ErrorCode::kCorrupt,
                         StrCat("\"num_local_experts\" is 0, expected 1 to ",
                                kMaxModelExperts));
    }
  } else {
    RETURN_IF_ERROR(OnlyNeutral(json, "num_local_experts", 0));
  }
  RETURN_IF_ERROR(CheckConfig(config, kHuggingFaceKeys));
  return config;
}

}  // namespace verify
