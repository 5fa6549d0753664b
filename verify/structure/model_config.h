// SPDX-License-Identifier: Apache-2.0
// Hyperparameters of a model, from params.json, config.json or GGUF metadata,
// range-checked. Tested by tests/verify/structure/model_config_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/json.h"
#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/gguf_reader.h"
#include "verify/structure/family.h"

namespace verify {

// How a file names its tensors.
enum class NameScheme {
  kMistral,
  // Mistral's names with the experts of a layer stacked in one matrix, w2
  // transposed: the first upload of Mixtral to Hugging Face.
  kMistralStacked,
  kHuggingFace,
  kGguf,
  kGgufByExpert,  // with a tensor for each expert, as until March 2024
};

// Sizes that only some families have; 0 or false where they have them not.
struct FamilyTraits {
  // Layers without experts: width of their feed-forward block, how many stand
  // at the front, and of the rest each moe_layer_step-th has experts (the
  // last of each group); further ones by number.
  uint64_t dense_ff_dim = 0;
  uint64_t num_dense_layers = 0;
  uint64_t moe_layer_step = 1;
  std::vector<uint64_t> dense_layers;  // sorted
  uint64_t shared_ff_dim = 0;          // of all shared experts together
  // Multi-head latent attention.
  uint64_t q_lora_rank = 0;  // 0: q is one matrix
  uint64_t kv_lora_rank = 0;
  uint64_t nope_dim = 0;   // of a query or key head, without rotation
  uint64_t rope_dim = 0;   // the same, rotated
  uint64_t value_dim = 0;  // of a value head
  bool attention_bias = false;
  bool router_bias = false;  // a correction added for the choice of experts
  bool output_bias = false;
  bool split_kv_b = false;     // GGUF: k and v parts of kv_b stand apart
  bool post_ffw_norm = false;  // GGUF: the newer name of Grok's last norm
  // Side length of the blocks that share a scale in fp8 weights; 0: no fp8.
  uint64_t fp8_block = 0;
  bool mxfp4_experts = false;
  // Layers after the last that predict further tokens; may be left out.
  uint64_t num_next_token_layers = 0;
  std::string_view name_prefix = "";  // "language_model." beside an image part
};

struct ModelConfig {
  Family family = Family::kLlama;
  uint64_t dim = 0;  // width of the residual stream
  uint64_t num_layers = 0;
  uint64_t head_dim = 0;
  uint64_t ff_dim = 0;  // of one expert in a mixture
  uint64_t num_heads = 0;
  uint64_t num_kv_heads = 0;
  uint64_t vocab_size = 0;
  double norm_eps = 1e-5;
  double rope_theta = 1e6;
  std::optional<uint64_t> sliding_window;  // keys seen, self included
  uint64_t num_experts = 0;                // 0: dense
  uint64_t num_experts_per_token = 0;
  uint64_t context_len = 32768;  // trained length, for display
  bool tied_embeddings = false;
  RopeStyle rope_style = RopeStyle::kInterleaved;
  ExpertWeights expert_weights = ExpertWeights::kOfChosen;
  NameScheme names = NameScheme::kMistral;
  FamilyTraits traits;
  // The first setting of the files that changes the arithmetic of a family
  // that is run into one that is not: "\"clip_qkv\" is 8, which ...". Empty if
  // there is none, and for the families that are not run at all.
  std::string not_run;

  bool is_moe() const { return num_experts > 0; }
  // Whether layer `layer` has experts.
  bool is_moe_layer(uint64_t layer) const;
  // Whether the engine implements the arithmetic of this model.
  bool runnable() const;
};

// kUnsupported (E-ARCHITECTURE) for a model that is known by its tensors alone,
// with what is missing: for whatever computes with it.
Result<void> CheckRunnable(const ModelConfig& config);

// "Mixtral, 4 layers, 8 experts (2 per token), dim 256, vocabulary 2048".
std::string Describe(const ModelConfig& config);

// From the JSON of params.json. rope_theta: as given; else 1e6 without and
// 1e4 with sliding_window.
// Errors: kCorrupt (missing, wrong type, out of range or inconsistent value,
// naming key and value), kUnsupported (a family or feature not implemented:
// mamba, lora, vision_encoder, yarn, MLA; unknown keys that change the model).
// All with the id E-CONFIG.
// `embedding_rows`: rows of tok_embeddings.weight if it is at hand; the
// vocabulary where vocab_size is -1, which is refused without it.
Result<ModelConfig> ConfigFromParamsJson(
    const Json& json, std::optional<uint64_t> embedding_rows = std::nullopt);
// MistralForCausalLM, MixtralForCausalLM and LlamaForCausalLM, where what is
// absent has the default of that class in transformers; and the classes of the
// other families, of those that are not run what gives shapes alone
// (docs/formats/families.md).
Result<ModelConfig> ConfigFromHuggingFaceJson(const Json& json);
// Architecture "llama", and those of the other families in the same way.
// tied_embeddings where there is no output.weight.
Result<ModelConfig> ConfigFromGguf(const GgufFile& gguf);

// Finds and reads the configuration that belongs to `checkpoint`:
// GGUF metadata, or params.json (Mistral names) or config.json (Hugging Face
// names) in its folder. kNotFound names the file that is missing.
Result<ModelConfig> LoadModelConfig(const Checkpoint& checkpoint);

}  // namespace verify
