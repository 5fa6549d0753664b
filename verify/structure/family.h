// SPDX-License-Identifier: Apache-2.0
// A family of models in one short description: what stands beside its table of
// tensors (table_*.cc) and is not a size. Blocks of the engine take from it and
// from the tensors what they do; none of them asks which family it is
// (docs/decisions/0013). Tested by tests/verify/structure/families_test.cc.
#pragma once

#include <cstdint>
#include <string_view>

namespace verify {

// Families of models whose tensors are known by name and shape.
enum class Family {
  kLlama,  // Llama, Mistral, Mixtral
  kQwen3Moe,
  kOlmoe,
  kDeepseek,  // V2, V2-Lite, V3, R1
  kGptOss,
  kGrok,
  kPhiMoe,
  kGraniteMoe,
  kLlama4,  // the text part
};

// Which elements of a head RoPE pairs, i.e. the row order of q and k.
enum class RopeStyle {
  kInterleaved,  // 2i and 2i + 1: Mistral's own files, GGUF arch "llama"
  kHalf,         // i and i + head_dim / 2: Hugging Face layout
};

// What the weights of the experts that a token goes to are parts of.
enum class ExpertWeights {
  kOfChosen,  // softmax over the chosen experts: they add up to 1
  kOfAll,     // softmax over all experts, of which the chosen are a part
};

struct FamilyDescription {
  Family family = Family::kLlama;
  std::string_view name;               // "Qwen3-MoE"
  std::string_view gguf_architecture;  // "qwen3moe"
  // Of the class in transformers, where config.json does not say.
  double norm_eps = 1e-6;
  uint64_t context_len = 32768;
  // What the architecture stands for in GGUF; given for those that are run.
  RopeStyle gguf_rope = RopeStyle::kInterleaved;
  ExpertWeights gguf_weights = ExpertWeights::kOfChosen;
  // What of its arithmetic the engine lacks; empty: it is run.
  std::string_view missing = "";
};

const FamilyDescription& DescriptionOf(Family family);
// Null if there is none of that name.
const FamilyDescription* FindGgufArchitecture(std::string_view architecture);

// "Qwen3-MoE".
std::string_view FamilyName(Family family);

}  // namespace verify
