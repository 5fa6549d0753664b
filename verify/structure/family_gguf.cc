// SPDX-License-Identifier: Apache-2.0
// GGUF metadata of the architectures beside "llama": shapes of all, arithmetic
// of those that the engine runs.
#include <cstdint>
#include <string>
#include <string_view>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/structure/config_check.h"
#include "verify/structure/family_config.h"
#include "verify/structure/gguf_fields.h"

namespace verify {
namespace {

// Each stands behind the name of the architecture and a dot.
constexpr ConfigKeys kKeys = {
    .dim = "embedding_length",
    .num_layers = "block_count",
    .head_dim = "attention.key_length",
    .ff_dim = "expert_feed_forward_length",
    .num_heads = "attention.head_count",
    .num_kv_heads = "attention.head_count_kv",
    .vocab_size = "vocab_size",
    .norm_eps = "attention.layer_norm_rms_epsilon",
    .rope_theta = "rope.freq_base",
    .sliding_window = "attention.sliding_window",
    .num_experts = "expert_count",
    .num_experts_per_token = "expert_used_count",
    .context_len = "context_length",
};

// expert_gating_func: the only one with a correction for the choice.
constexpr uint64_t kSigmoidGating = 2;

// The keys of one architecture in one file.
class Keys {
 public:
  Keys(const GgufFile& gguf, std::string_view architecture)
      : gguf_(gguf), prefix_(StrCat(architecture, ".")) {}

  std::string Name(std::string_view key) const { return StrCat(prefix_, key); }
  Result<uint64_t> Required(std::string_view key) const {
    return RequiredUnsigned(gguf_, Name(key));
  }
  Result<uint64_t> Or(std::string_view key, uint64_t absent) const {
    ASSIGN_OR_RETURN(const auto value, OptionalUnsigned(gguf_, Name(key)));
    return value.value_or(absent);
  }
  bool HasTensor(std::string_view name) const {
    return gguf_.tensors.Find(name) != nullptr;
  }

 private:
  const GgufFile& gguf_;
  std::string prefix_;
};

Result<void> ReadDeepseek(const Keys& keys, ModelConfig& config) {
  FamilyTraits& traits = config.traits;
  ASSIGN_OR_RETURN(traits.num_dense_layers,
                   keys.Or("leading_dense_block_count", 0));
  ASSIGN_OR_RETURN(traits.q_lora_rank, keys.Or("attention.q_lora_rank", 0));
  ASSIGN_OR_RETURN(traits.kv_lora_rank,
                   keys.Required("attention.kv_lora_rank"));
  ASSIGN_OR_RETURN(traits.rope_dim, keys.Required("rope.dimension_count"));
  // Files that keep k and v of kv_b apart give the sizes of the cache as
  // key_length, and those of a head under keys of their own.
  ASSIGN_OR_RETURN(const uint64_t cached, keys.Required(kKeys.head_dim));
  ASSIGN_OR_RETURN(config.head_dim,
                   keys.Or("attention.key_length_mla", cached));
  ASSIGN_OR_RETURN(const uint64_t cached_value,
                   keys.Required("attention.value_length"));
  ASSIGN_OR_RETURN(traits.value_dim,
                   keys.Or("attention.value_length_mla", cached_value));
  if (config.head_dim < traits.rope_dim) {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("\"", keys.Name("rope.dimension_count"), "\" is ",
               traits.rope_dim, " where heads have ", config.head_dim));
  }
  traits.nope_dim = config.head_dim - traits.rope_dim;
  traits.split_kv_b = keys.HasTensor("blk.0.attn_k_b.weight");
  ASSIGN_OR_RETURN(const uint64_t shared, keys.Or("expert_shared_count", 0));
  traits.shared_ff_dim =
      CheckedMul<uint64_t>(shared, config.ff_dim).value_or(UINT64_MAX);
  ASSIGN_OR_RETURN(const uint64_t gating, keys.Or("expert_gating_func", 0));
  traits.router_bias = gating == kSigmoidGating;
  return {};
}

Result<void> ReadFamily(const Keys& keys, ModelConfig& config) {
  FamilyTraits& traits = config.traits;
  switch (config.family) {
    case Family::kLlama:
    case Family::kQwen3Moe:
    case Family::kOlmoe:
      return {};
    case Family::kDeepseek:
      return ReadDeepseek(keys, config);
    case Family::kGptOss:
      traits.attention_bias = true;
      return {};
    case Family::kPhiMoe:
      traits.attention_bias = true;
      traits.output_bias = true;
      return {};
    case Family::kGrok:
      traits.post_ffw_norm = keys.HasTensor("blk.0.post_ffw_norm.weight");
      return {};
    case Family::kGraniteMoe: {
      ASSIGN_OR_RETURN(traits.shared_ff_dim,
                       keys.Or("expert_shared_feed_forward_length", 0));
      return {};
    }
    case Family::kLlama4: {
      traits.shared_ff_dim = config.ff_dim;
      ASSIGN_OR_RETURN(traits.moe_layer_step,
                       keys.Or("interleave_moe_layer_step", 1));
      return {};
    }
  }
  return {};
}

// What changes the arithmetic of a family that is run.
Result<void> ReadArithmetic(const GgufFile& gguf, const Keys& keys,
                            const FamilyDescription& family,
                            ModelConfig& config) {
  config.rope_style = family.gguf_rope;
  config.expert_weights = family.gguf_weights;
  ASSIGN_OR_RETURN(const uint64_t window, keys.Or(kKeys.sliding_window, 0));
  if (window != 0) config.sliding_window = window;
  RETURN_IF_ERROR(NoteNotRun(
      ReadGgufArithmetic(gguf, family.gguf_architecture, config), config));
  const auto head_dim = GgufHeadDim(gguf, family.gguf_architecture, config);
  if (head_dim) return {};
  return NoteNotRun(Unexpected(head_dim.error()), config);
}

}  // namespace

Result<ModelConfig> FamilyFromGguf(const GgufFile& gguf,
                                   std::string_view architecture) {
  const FamilyDescription* const known = FindGgufArchitecture(architecture);
  if (known == nullptr) {
    return ConfigError(
        ErrorCode::kUnsupported,
        StrCat("architecture \"", EscapeForTerminal(architecture, 64),
               "\" is not implemented; \"llama\" (Mistral, Mixtral), "
               "\"qwen3moe\" and \"olmoe\" are, and some are known by shape"));
  }
  ModelConfig config;
  config.family = known->family;
  const Keys keys(gguf, architecture);
  config.names = NameScheme::kGguf;
  ASSIGN_OR_RETURN(config.dim, keys.Required(kKeys.dim));
  ASSIGN_OR_RETURN(config.num_layers, keys.Required(kKeys.num_layers));
  ASSIGN_OR_RETURN(config.num_heads, keys.Required(kKeys.num_heads));
  ASSIGN_OR_RETURN(config.num_kv_heads,
                   keys.Or(kKeys.num_kv_heads, config.num_heads));
  ASSIGN_OR_RETURN(config.traits.dense_ff_dim,
                   keys.Or("feed_forward_length", 0));
  ASSIGN_OR_RETURN(config.ff_dim,
                   keys.Or(kKeys.ff_dim, config.traits.dense_ff_dim));
  ASSIGN_OR_RETURN(config.num_experts, keys.Required(kKeys.num_experts));
  ASSIGN_OR_RETURN(config.num_experts_per_token,
                   keys.Required(kKeys.num_experts_per_token));
  if (config.num_experts == 0) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", keys.Name(kKeys.num_experts), "\" is 0"));
  }
  ASSIGN_OR_RETURN(config.vocab_size,
                   VocabularySize(gguf, keys.Name(kKeys.vocab_size)));
  const auto* const tokens = gguf.Strings("tokenizer.ggml.tokens");
  if (tokens != nullptr && tokens->size() > config.vocab_size) {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("the vocabulary has ", tokens->size(), " tokens, \"",
               keys.Name(kKeys.vocab_size), "\" is ", config.vocab_size));
  }
  ASSIGN_OR_RETURN(config.norm_eps,
                   FloatOr(gguf, keys.Name(kKeys.norm_eps), 1e-5));
  ASSIGN_OR_RETURN(config.rope_theta,
                   FloatOr(gguf, keys.Name(kKeys.rope_theta), 1e4));
  ASSIGN_OR_RETURN(config.context_len,
                   keys.Or(kKeys.context_len, config.context_len));
  uint64_t per_head = 0;
  if (config.num_heads != 0 && config.dim % config.num_heads == 0) {
    per_head = config.dim / config.num_heads;
  }
  ASSIGN_OR_RETURN(config.head_dim, keys.Or(kKeys.head_dim, per_head));
  config.tied_embeddings = !keys.HasTensor("output.weight");
  RETURN_IF_ERROR(ReadFamily(keys, config));
  if (known->missing.empty()) {
    RETURN_IF_ERROR(ReadArithmetic(gguf, keys, *known, config));
  }
  RETURN_IF_ERROR(CheckConfig(config, kKeys));
  RETURN_IF_ERROR(CheckTraits(config));
  return config;
}

}  // namespace verify
