// SPDX-License-Identifier: Apache-2.0
// config.json of the families beside Llama: shapes of all, arithmetic of those
// that the engine runs.
// Fuzzed by tests/fuzz/model_config_fuzz.cc.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/structure/config_check.h"
#include "verify/structure/family_config.h"
#include "verify/structure/json_fields.h"

namespace verify {
namespace {

// What tells classes of one family apart.
enum class Variant { kPlain, kDeepseekV3, kGraniteShared, kWithImages };

struct FamilyClass {
  std::string_view name;
  std::string_view model_type;
  Family family;
  Variant variant = Variant::kPlain;
};

constexpr FamilyClass kClasses[] = {
    {"Qwen3MoeForCausalLM", "qwen3_moe", Family::kQwen3Moe},
    {"OlmoeForCausalLM", "olmoe", Family::kOlmoe},
    {"DeepseekV2ForCausalLM", "deepseek_v2", Family::kDeepseek},
    {"DeepseekV3ForCausalLM", "deepseek_v3", Family::kDeepseek,
     Variant::kDeepseekV3},
    {"GptOssForCausalLM", "gpt_oss", Family::kGptOss},
    {"Grok1ForCausalLM", "grok-1", Family::kGrok},
    {"Grok1ModelForCausalLM", "grok-1", Family::kGrok},
    {"PhiMoEForCausalLM", "phimoe", Family::kPhiMoe},
    {"PhimoeForCausalLM", "phimoe", Family::kPhiMoe},
    {"GraniteMoeForCausalLM", "granitemoe", Family::kGraniteMoe},
    {"GraniteMoeSharedForCausalLM", "granitemoeshared", Family::kGraniteMoe,
     Variant::kGraniteShared},
    {"Llama4ForCausalLM", "llama4_text", Family::kLlama4},
    {"Llama4ForConditionalGeneration", "llama4", Family::kLlama4,
     Variant::kWithImages},
};

constexpr ConfigKeys kKeys = {
    .dim = "hidden_size",
    .num_layers = "num_hidden_layers",
    .head_dim = "head_dim",
    .ff_dim = "width of an expert",
    .num_heads = "num_attention_heads",
    .num_kv_heads = "num_key_value_heads",
    .vocab_size = "vocab_size",
    .norm_eps = "rms_norm_eps",
    .rope_theta = "rope_theta",
    .sliding_window = "sliding_window",
    .num_experts = "number of experts",
    .num_experts_per_token = "experts per token",
    .context_len = "max_position_embeddings",
};

// Numbers of layers, in any order.
Result<std::vector<uint64_t>> Layers(const Json& json, std::string_view key) {
  std::vector<uint64_t> layers;
  const Json* const list = Given(json, key);
  if (list == nullptr) return layers;
  if (!list->is_array() || list->size() > kMaxModelLayers) {
    return WrongType(key, *list, "a list of layers");
  }
  for (const Json& item : *list) {
    const auto number = AsUnsigned(item);
    if (!number.has_value()) return WrongType(key, item, "a layer");
    layers.push_back(*number);
  }
  std::sort(layers.begin(), layers.end());
  return layers;
}

// The first of two keys that is given.
Result<uint64_t> EitherUnsigned(const Json& json, std::string_view key,
                                std::string_view other) {
  if (Given(json, key) == nullptr && Given(json, other) != nullptr) {
    return RequiredUnsigned(json, other);
  }
  return RequiredUnsigned(json, key);
}

Result<void> ReadSizes(const Json& json, ModelConfig& config) {
  ASSIGN_OR_RETURN(config.dim, RequiredUnsigned(json, kKeys.dim));
  ASSIGN_OR_RETURN(config.num_layers, RequiredUnsigned(json, kKeys.num_layers));
  ASSIGN_OR_RETURN(config.num_heads, RequiredUnsigned(json, kKeys.num_heads));
  ASSIGN_OR_RETURN(const auto kv_heads,
                   OptionalUnsigned(json, kKeys.num_kv_heads));
  config.num_kv_heads = kv_heads.value_or(config.num_heads);
  ASSIGN_OR_RETURN(config.vocab_size, RequiredUnsigned(json, kKeys.vocab_size));
  ASSIGN_OR_RETURN(const auto eps, OptionalNumber(json, kKeys.norm_eps));
  const FamilyDescription& family = DescriptionOf(config.family);
  config.norm_eps = eps.value_or(family.norm_eps);
  ASSIGN_OR_RETURN(const auto theta, OptionalNumber(json, kKeys.rope_theta));
  config.rope_theta = theta.value_or(1e4);
  ASSIGN_OR_RETURN(const auto context,
                   OptionalUnsigned(json, kKeys.context_len));
  config.context_len = context.value_or(family.context_len);
  ASSIGN_OR_RETURN(
      config.tied_embeddings,
      BoolOr(json, "tie_word_embeddings", config.family == Family::kGrok));
  ASSIGN_OR_RETURN(
      config.traits.attention_bias,
      BoolOr(json, "attention_bias", config.family == Family::kGptOss));
  ASSIGN_OR_RETURN(
      config.num_experts_per_token,
      EitherUnsigned(json, "num_experts_per_tok", "experts_per_token"));
  return {};
}

Result<void> ReadDeepseek(const Json& json, Variant variant,
                          ModelConfig& config) {
  FamilyTraits& traits = config.traits;
  ASSIGN_OR_RETURN(config.ff_dim,
                   RequiredUnsigned(json, "moe_intermediate_size"));
  ASSIGN_OR_RETURN(traits.dense_ff_dim,
                   RequiredUnsigned(json, "intermediate_size"));
  ASSIGN_OR_RETURN(config.num_experts,
                   RequiredUnsigned(json, "n_routed_experts"));
  ASSIGN_OR_RETURN(const auto shared,
                   OptionalUnsigned(json, "n_shared_experts"));
  const auto shared_ff =
      CheckedMul<uint64_t>(shared.value_or(0), config.ff_dim);
  traits.shared_ff_dim = shared_ff.value_or(UINT64_MAX);
  ASSIGN_OR_RETURN(const auto dense,
                   OptionalUnsigned(json, "first_k_dense_replace"));
  traits.num_dense_layers = dense.value_or(0);
  RETURN_IF_ERROR(OnlyNeutral(json, "moe_layer_freq", 1));
  ASSIGN_OR_RETURN(const auto q_rank, OptionalUnsigned(json, "q_lora_rank"));
  traits.q_lora_rank = q_rank.value_or(0);
  ASSIGN_OR_RETURN(traits.kv_lora_rank, RequiredUnsigned(json, "kv_lora_rank"));
  ASSIGN_OR_RETURN(traits.nope_dim, RequiredUnsigned(json, "qk_nope_head_dim"));
  ASSIGN_OR_RETURN(traits.rope_dim, RequiredUnsigned(json, "qk_rope_head_dim"));
  ASSIGN_OR_RETURN(traits.value_dim, RequiredUnsigned(json, "v_head_dim"));
  RETURN_IF_ERROR(OnlyNeutral(json, "attention_bias", false));
  const Json* const method = Given(json, "topk_method");
  traits.router_bias = variant == Variant::kDeepseekV3 ||
                       (method != nullptr && *method == "noaux_tc");
  ASSIGN_OR_RETURN(const auto further,
                   OptionalUnsigned(json, "num_nextn_predict_layers"));
  traits.num_next_token_layers = further.value_or(0);
  return {};
}

Result<void> ReadLlama4(const Json& json, ModelConfig& config) {
  FamilyTraits& traits = config.traits;
  ASSIGN_OR_RETURN(config.ff_dim, RequiredUnsigned(json, "intermediate_size"));
  traits.shared_ff_dim = config.ff_dim;
  ASSIGN_OR_RETURN(traits.dense_ff_dim,
                   RequiredUnsigned(json, "intermediate_size_mlp"));
  ASSIGN_OR_RETURN(config.num_experts,
                   RequiredUnsigned(json, "num_local_experts"));
  ASSIGN_OR_RETURN(const auto step,
                   OptionalUnsigned(json, "interleave_moe_layer_step"));
  traits.moe_layer_step = step.value_or(1);
  if (Given(json, "moe_layers") == nullptr) return {};
  ASSIGN_OR_RETURN(const auto layers, Layers(json, "moe_layers"));
  traits.moe_layer_step = 1;
  const uint64_t count = std::min(config.num_layers, kMaxModelLayers);
  for (uint64_t layer = 0; layer < count; ++layer) {
    if (!std::binary_search(layers.begin(), layers.end(), layer)) {
      traits.dense_layers.push_back(layer);
    }
  }
  return {};
}

Result<void> ReadFamily(const Json& json, Variant variant,
                        ModelConfig& config) {
  FamilyTraits& traits = config.traits;
  switch (config.family) {
    case Family::kLlama:
      break;
    case Family::kDeepseek:
      return ReadDeepseek(json, variant, config);
    case Family::kLlama4:
      return ReadLlama4(json, config);
    case Family::kQwen3Moe: {
      ASSIGN_OR_RETURN(config.ff_dim,
                       RequiredUnsigned(json, "moe_intermediate_size"));
      ASSIGN_OR_RETURN(traits.dense_ff_dim,
                       RequiredUnsigned(json, "intermediate_size"));
      ASSIGN_OR_RETURN(config.num_experts,
                       RequiredUnsigned(json, "num_experts"));
      ASSIGN_OR_RETURN(const auto step,
                       OptionalUnsigned(json, "decoder_sparse_step"));
      traits.moe_layer_step = step.value_or(1);
      ASSIGN_OR_RETURN(traits.dense_layers, Layers(json, "mlp_only_layers"));
      return {};
    }
    case Family::kOlmoe:
    case Family::kGrok: {
      ASSIGN_OR_RETURN(config.ff_dim,
                       RequiredUnsigned(json, "intermediate_size"));
      ASSIGN_OR_RETURN(config.num_experts, EitherUnsigned(json, "num_experts",
                                                          "num_local_experts"));
      return {};
    }
    case Family::kGptOss:
    case Family::kPhiMoe:
    case Family::kGraniteMoe: {
      ASSIGN_OR_RETURN(config.ff_dim,
                       RequiredUnsigned(json, "intermediate_size"));
      ASSIGN_OR_RETURN(
          config.num_experts,
          EitherUnsigned(json, "num_local_experts", "num_experts"));
      ASSIGN_OR_RETURN(traits.output_bias, BoolOr(json, "lm_head_bias", false));
      if (variant == Variant::kGraniteShared) {
        ASSIGN_OR_RETURN(const auto shared,
                         OptionalUnsigned(json, "shared_intermediate_size"));
        traits.shared_ff_dim = shared.value_or(0);
      }
      return {};
    }
  }
  return {};
}

// Qwen3-MoE has a window where it is switched on; which layers it is for then
// differs between versions of transformers, but for "all".
Result<void> ReadWindow(const Json& json, ModelConfig& config) {
  if (config.family != Family::kQwen3Moe) return {};
  ASSIGN_OR_RETURN(const bool used, BoolOr(json, "use_sliding_window", false));
  if (!used) return {};
  ASSIGN_OR_RETURN(config.sliding_window,
                   OptionalUnsigned(json, "sliding_window"));
  const Json* const from = Given(json, "max_window_layers");
  if (from != nullptr && *from == Json(0)) return {};
  return NotImplemented("max_window_layers", from == nullptr ? Json() : *from);
}

// What changes the arithmetic of a family that is run.
Result<void> ReadArithmetic(const Json& json, ModelConfig& config) {
  if (!DescriptionOf(config.family).missing.empty()) return {};
  // Both classes have it off where it is not given.
  ASSIGN_OR_RETURN(const bool adds_up, BoolOr(json, "norm_topk_prob", false));
  config.expert_weights =
      adds_up ? ExpertWeights::kOfChosen : ExpertWeights::kOfAll;
  const struct {
    std::string_view key;
    Json neutral;
  } settings[] = {{"hidden_act", "silu"},
                  {"attention_bias", false},
                  {"clip_qkv", nullptr},
                  {"partial_rotary_factor", 1}};
  for (const auto& setting : settings) {
    RETURN_IF_ERROR(
        NoteNotRun(OnlyNeutral(json, setting.key, setting.neutral), config));
  }
  RETURN_IF_ERROR(NoteNotRun(ReadWindow(json, config), config));
  const auto theta = RopeTheta(json);
  if (theta) {
    config.rope_theta = theta->value_or(1e4);
    return {};
  }
  return NoteNotRun(Unexpected(theta.error()), config);
}

// Weights in fp8 with a scale for each block (DeepSeek), or experts in four
// bits (gpt-oss); what other tools leave has tensors of other names.
Result<void> ReadQuantisation(const Json& json, ModelConfig& config) {
  const Json* const object = Given(json, "quantization_config");
  if (object == nullptr) return {};
  if (!object->is_object()) {
    return WrongType("quantization_config", *object, "an object");
  }
  const Json* const method = Given(*object, "quant_method");
  if (method != nullptr && *method == "mxfp4" &&
      config.family == Family::kGptOss) {
    config.traits.mxfp4_experts = true;
    return {};
  }
  if (method != nullptr && *method == "fp8" &&
      config.family == Family::kDeepseek) {
    const Json* const block = Given(*object, "weight_block_size");
    if (block == nullptr || !block->is_array() || block->size() != 2 ||
        block->front() != block->back()) {
      return NotImplemented("quantization_config.weight_block_size",
                            block == nullptr ? Json() : *block);
    }
    const auto side = AsUnsigned(block->front());
    if (!side.has_value() || *side == 0 || *side > kMaxModelDim) {
      return WrongType("quantization_config.weight_block_size", *block,
                       "two sizes");
    }
    config.traits.fp8_block = *side;
    return {};
  }
  return NotImplemented("quantization_config.quant_method",
                        method == nullptr ? Json() : *method);
}

}  // namespace

Result<ModelConfig> FamilyFromHuggingFace(const Json& json,
                                          std::string_view name) {
  const FamilyClass* found = nullptr;
  for (const FamilyClass& known : kClasses) {
    if (known.name == name || known.model_type == name) found = &known;
  }
  if (found == nullptr) {
    return ConfigError(
        ErrorCode::kUnsupported,
        StrCat("architecture \"", EscapeForTerminal(name, 64),
               "\" is not implemented; MistralForCausalLM, MixtralForCausalLM, "
               "LlamaForCausalLM, Qwen3MoeForCausalLM and OlmoeForCausalLM "
               "are, and some are known by shape"));
  }
  ModelConfig config;
  config.family = found->family;
  config.rope_style = RopeStyle::kHalf;
  config.names = NameScheme::kHuggingFace;
  const Json* sizes = &json;
  if (found->variant == Variant::kWithImages) {
    config.traits.name_prefix = "language_model.";
    sizes = Given(json, "text_config");
    if (sizes == nullptr) return Missing("text_config");
    if (!sizes->is_object()) {
      return WrongType("text_config", *sizes, "an object");
    }
  }
  RETURN_IF_ERROR(ReadSizes(*sizes, config));
  RETURN_IF_ERROR(ReadFamily(*sizes, found->variant, config));
  RETURN_IF_ERROR(ReadArithmetic(*sizes, config));
  if (config.num_experts == 0) {
    return ConfigError(ErrorCode::kCorrupt, "the number of experts is 0");
  }
  if (config.family == Family::kDeepseek) {
    config.head_dim = config.traits.nope_dim + config.traits.rope_dim;
  } else {
    ASSIGN_OR_RETURN(config.head_dim,
                     HeadDim(*sizes, kKeys, config.dim, config.num_heads));
  }
  RETURN_IF_ERROR(ReadQuantisation(json, config));
  RETURN_IF_ERROR(CheckConfig(config, kKeys));
  RETURN_IF_ERROR(CheckTraits(config));
  return config;
}

}  // namespace verify
