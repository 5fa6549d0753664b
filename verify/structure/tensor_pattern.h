// SPDX-License-Identifier: Apache-2.0
// The rows of the table of tensors: a family under a naming scheme is a list
// of fragments, a fragment a list of patterns, a pattern a name with a shape
// whose dimensions are sizes of the configuration. All of it is data; what
// reads it is architecture.cc.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace verify {

// A dimension as a function of the configuration (architecture.cc has them).
enum class Dim : uint8_t {
  kNone,  // no such dimension
  kVocab,
  kModel,
  kTwoModel,
  kQuery,  // num_heads * head_dim
  kKv,     // num_kv_heads * head_dim
  kHeads,
  kHeadDim,
  kHalfHeadDim,
  kExperts,
  kFf,
  kTwoFf,
  kExpertsFf,  // num_experts * ff_dim
  kDenseFf,
  kSharedFf,
  kTwoSharedFf,
  // Latent attention.
  kQueryRank,
  kKvRank,
  kKvRankAndRope,   // kv_lora_rank + rope_dim
  kLatentQuery,     // num_heads * (nope_dim + rope_dim)
  kLatentKeyValue,  // num_heads * (nope_dim + value_dim)
  kLatentValue,     // num_heads * value_dim
  kNope,
  kValue,
  // Blocks of 32 in four bits.
  kModelBlocks,
  kFfBlocks,
  kBlockBytes,  // 16
};

// How often a pattern stands in a model.
enum class Where : uint8_t {
  kModel,
  kLayer,
  kDenseLayer,  // layers without experts
  kMoeLayer,    // layers with experts
  kExpert,      // for each expert of such a layer
  kNextToken,   // layers that predict further tokens
};

// What the configuration must say for a pattern to apply.
enum class If : uint8_t {
  kAlways,
  kUntied,
  kAttentionBias,
  kRouterBias,
  kOutputBias,
  kOutputBiasUntied,
  kQueryRank,
  kNoQueryRank,
  kJoinedKvB,
  kSplitKvB,
  kShared,
  kMxfp4,
  kNoMxfp4,
  kLayerOutputNorm,
  kPostFfwNorm,
};

struct TensorPattern {
  TensorRole role = TensorRole::kOther;
  Where where = Where::kModel;
  // `{N}` stands for the layer, `{X}` for the expert.
  std::string_view name;
  std::array<Dim, 4> shape = {};
  If condition = If::kAlways;
  StoredAs stored = StoredAs::kWeight;
};

using Fragment = std::span<const TensorPattern>;

// Empty where a family has no files under that scheme.
std::span<const Fragment> FamilyTable(Family family, NameScheme scheme);

// The parts of FamilyTable, by scheme.
std::span<const Fragment> MistralTable(Family family);
std::span<const Fragment> MistralStackedTable(Family family);
std::span<const Fragment> HuggingFaceTable(Family family);
std::span<const Fragment> GgufTable(Family family);
std::span<const Fragment> GgufByExpertTable(Family family);

}  // namespace verify
