// SPDX-License-Identifier: Apache-2.0
// Sources: docs/formats/families.md.
#include "verify/structure/family.h"

#include "verify/base/check.h"

namespace verify {
namespace {

constexpr FamilyDescription kFamilies[] = {
    {.family = Family::kLlama, .name = "Llama", .gguf_architecture = "llama"},
    {.family = Family::kQwen3Moe,
     .name = "Qwen3-MoE",
     .gguf_architecture = "qwen3moe",
     .gguf_rope = RopeStyle::kHalf},
    {.family = Family::kOlmoe,
     .name = "OLMoE",
     .gguf_architecture = "olmoe",
     .norm_eps = 1e-5,
     .context_len = 4096,
     .gguf_rope = RopeStyle::kHalf,
     .gguf_weights = ExpertWeights::kOfAll},
    {.family = Family::kDeepseek,
     .name = "DeepSeek",
     .gguf_architecture = "deepseek2",
     .missing = "latent attention and shared experts"},
    {.family = Family::kGptOss,
     .name = "gpt-oss",
     .gguf_architecture = "gpt-oss",
     .norm_eps = 1e-5,
     .missing = "attention sinks and biases"},
    {.family = Family::kGrok,
     .name = "Grok-1",
     .gguf_architecture = "grok",
     .norm_eps = 1e-5,
     .missing = "norms behind each block and capped scores"},
    {.family = Family::kPhiMoe,
     .name = "Phi-MoE",
     .gguf_architecture = "phimoe",
     .norm_eps = 1e-5,
     .missing = "norms with a bias and another router"},
    {.family = Family::kGraniteMoe,
     .name = "Granite-MoE",
     .gguf_architecture = "granitemoe",
     .missing = "its multipliers"},
    {.family = Family::kLlama4,
     .name = "Llama-4",
     .gguf_architecture = "llama4",
     .norm_eps = 1e-5,
     .missing = "shared experts and attention in chunks"},
};

}  // namespace

const FamilyDescription& DescriptionOf(Family family) {
  for (const FamilyDescription& known : kFamilies) {
    if (known.family == family) return known;
  }
  CHECK(false);
  return kFamilies[0];
}

const FamilyDescription* FindGgufArchitecture(std::string_view architecture) {
  for (const FamilyDescription& known : kFamilies) {
    if (known.gguf_architecture == architecture) return &known;
  }
  return nullptr;
}

std::string_view FamilyName(Family family) {
  return DescriptionOf(family).name;
}

}  // namespace verify
