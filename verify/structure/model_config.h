// SPDX-License-Identifier: Apache-2.0
// Hyperparameters of a model, from params.json, config.json or GGUF metadata,
// range-checked. Tested by tests/verify/structure/model_config_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "verify/base/json.h"
#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/gguf_reader.h"

namespace verify {

// Which elements of a head RoPE pairs, i.e. the row order of q and k.
enum class RopeStyle {
  kInterleaved,  // 2i and 2i + 1: Mistral's own files, GGUF arch "llama"
  kHalf,         // i and i + head_dim / 2: Hugging Face layout
};

// How a file names its tensors.
enum class NameScheme { kMistral, kHuggingFace, kGguf };

struct ModelConfig {
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
  NameScheme names = NameScheme::kMistral;

  bool is_moe() const { return num_experts > 0; }
};

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
// MistralForCausalLM, MixtralForCausalLM and LlamaForCausalLM; what is absent
// has the default of that class in transformers.
Result<ModelConfig> ConfigFromHuggingFaceJson(const Json& json);
// Architecture "llama". tied_embeddings where there is no output.weight.
Result<ModelConfig> ConfigFromGguf(const GgufFile& gguf);

// Finds and reads the configuration that belongs to `checkpoint`:
// GGUF metadata, or params.json (Mistral names) or config.json (Hugging Face
// names) in its folder. kNotFound names the file that is missing.
Result<ModelConfig> LoadModelConfig(const Checkpoint& checkpoint);

}  // namespace verify
