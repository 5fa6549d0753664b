// SPDX-License-Identifier: Apache-2.0
// The table of tensors under the names of GGUF, shapes outermost first.
// Sources and what could not be confirmed: docs/formats/families.md.
#include "verify/structure/tensor_pattern.h"

namespace verify {
namespace {

using Role = TensorRole;

constexpr TensorPattern kModelNames[] = {
    {Role::kTokenEmbedding,
     Where::kModel,
     "token_embd.weight",
     {Dim::kVocab, Dim::kModel}},
    {Role::kOutputNorm, Where::kModel, "output_norm.weight", {Dim::kModel}},
    {Role::kOutput,
     Where::kModel,
     "output.weight",
     {Dim::kVocab, Dim::kModel},
     If::kUntied},
};

constexpr TensorPattern kAttention[] = {
    {Role::kAttentionNorm,
     Where::kLayer,
     "blk.{N}.attn_norm.weight",
     {Dim::kModel}},
    {Role::kAttentionQ,
     Where::kLayer,
     "blk.{N}.attn_q.weight",
     {Dim::kQuery, Dim::kModel}},
    {Role::kAttentionK,
     Where::kLayer,
     "blk.{N}.attn_k.weight",
     {Dim::kKv, Dim::kModel}},
    {Role::kAttentionV,
     Where::kLayer,
     "blk.{N}.attn_v.weight",
     {Dim::kKv, Dim::kModel}},
    {Role::kAttentionOut,
     Where::kLayer,
     "blk.{N}.attn_output.weight",
     {Dim::kModel, Dim::kQuery}},
};

constexpr TensorPattern kAttentionBias[] = {
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_q.bias",
     {Dim::kQuery},
     If::kAttentionBias},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_k.bias",
     {Dim::kKv},
     If::kAttentionBias},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_v.bias",
     {Dim::kKv},
     If::kAttentionBias},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_output.bias",
     {Dim::kModel},
     If::kAttentionBias},
};

constexpr TensorPattern kHeadNorms[] = {
    {Role::kAttentionQNorm,
     Where::kLayer,
     "blk.{N}.attn_q_norm.weight",
     {Dim::kHeadDim}},
    {Role::kAttentionKNorm,
     Where::kLayer,
     "blk.{N}.attn_k_norm.weight",
     {Dim::kHeadDim}},
};

constexpr TensorPattern kVectorNorms[] = {
    {Role::kAttentionQNorm,
     Where::kLayer,
     "blk.{N}.attn_q_norm.weight",
     {Dim::kQuery}},
    {Role::kAttentionKNorm,
     Where::kLayer,
     "blk.{N}.attn_k_norm.weight",
     {Dim::kKv}},
};

constexpr TensorPattern kFfnNorm[] = {
    {Role::kFfnNorm, Where::kLayer, "blk.{N}.ffn_norm.weight", {Dim::kModel}},
};

constexpr TensorPattern kDense[] = {
    {Role::kFfnGate,
     Where::kDenseLayer,
     "blk.{N}.ffn_gate.weight",
     {Dim::kDenseFf, Dim::kModel}},
    {Role::kFfnUp,
     Where::kDenseLayer,
     "blk.{N}.ffn_up.weight",
     {Dim::kDenseFf, Dim::kModel}},
    {Role::kFfnDown,
     Where::kDenseLayer,
     "blk.{N}.ffn_down.weight",
     {Dim::kModel, Dim::kDenseFf}},
};

constexpr TensorPattern kExpertsOneByOne[] = {
    {Role::kRouter,
     Where::kMoeLayer,
     "blk.{N}.ffn_gate_inp.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kFfnGate,
     Where::kExpert,
     "blk.{N}.ffn_gate.{X}.weight",
     {Dim::kFf, Dim::kModel}},
    {Role::kFfnUp,
     Where::kExpert,
     "blk.{N}.ffn_up.{X}.weight",
     {Dim::kFf, Dim::kModel}},
    {Role::kFfnDown,
     Where::kExpert,
     "blk.{N}.ffn_down.{X}.weight",
     {Dim::kModel, Dim::kFf}},
};

constexpr TensorPattern kExperts[] = {
    {Role::kRouter,
     Where::kMoeLayer,
     "blk.{N}.ffn_gate_inp.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kFfnGate,
     Where::kMoeLayer,
     "blk.{N}.ffn_gate_exps.weight",
     {Dim::kExperts, Dim::kFf, Dim::kModel}},
    {Role::kFfnUp,
     Where::kMoeLayer,
     "blk.{N}.ffn_up_exps.weight",
     {Dim::kExperts, Dim::kFf, Dim::kModel}},
    {Role::kFfnDown,
     Where::kMoeLayer,
     "blk.{N}.ffn_down_exps.weight",
     {Dim::kExperts, Dim::kModel, Dim::kFf}},
};

constexpr TensorPattern kSharedExperts[] = {
    {Role::kOther,
     Where::kMoeLayer,
     "blk.{N}.ffn_gate_shexp.weight",
     {Dim::kSharedFf, Dim::kModel},
     If::kShared},
    {Role::kOther,
     Where::kMoeLayer,
     "blk.{N}.ffn_up_shexp.weight",
     {Dim::kSharedFf, Dim::kModel},
     If::kShared},
    {Role::kOther,
     Where::kMoeLayer,
     "blk.{N}.ffn_down_shexp.weight",
     {Dim::kModel, Dim::kSharedFf},
     If::kShared},
};

// kv_b is one matrix in older files; in newer ones k is transposed per head.
constexpr TensorPattern kDeepseekAttention[] = {
    {Role::kAttentionNorm,
     Where::kLayer,
     "blk.{N}.attn_norm.weight",
     {Dim::kModel}},
    {Role::kAttentionQ,
     Where::kLayer,
     "blk.{N}.attn_q.weight",
     {Dim::kLatentQuery, Dim::kModel},
     If::kNoQueryRank},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_q_a.weight",
     {Dim::kQueryRank, Dim::kModel},
     If::kQueryRank},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_q_a_norm.weight",
     {Dim::kQueryRank},
     If::kQueryRank},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_q_b.weight",
     {Dim::kLatentQuery, Dim::kQueryRank},
     If::kQueryRank},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_kv_a_mqa.weight",
     {Dim::kKvRankAndRope, Dim::kModel}},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_kv_a_norm.weight",
     {Dim::kKvRank}},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_kv_b.weight",
     {Dim::kLatentKeyValue, Dim::kKvRank},
     If::kJoinedKvB},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_k_b.weight",
     {Dim::kHeads, Dim::kKvRank, Dim::kNope},
     If::kSplitKvB},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_v_b.weight",
     {Dim::kHeads, Dim::kValue, Dim::kKvRank},
     If::kSplitKvB},
    {Role::kAttentionOut,
     Where::kLayer,
     "blk.{N}.attn_output.weight",
     {Dim::kModel, Dim::kLatentValue}},
};

constexpr TensorPattern kRouterBias[] = {
    {Role::kOther,
     Where::kMoeLayer,
     "blk.{N}.exp_probs_b.bias",
     {Dim::kExperts},
     If::kRouterBias},
};

constexpr TensorPattern kGptOssLayer[] = {
    {Role::kFfnNorm,
     Where::kLayer,
     "blk.{N}.post_attention_norm.weight",
     {Dim::kModel}},
    {Role::kOther, Where::kLayer, "blk.{N}.attn_sinks.weight", {Dim::kHeads}},
    {Role::kOther,
     Where::kMoeLayer,
     "blk.{N}.ffn_gate_inp.bias",
     {Dim::kExperts}},
    {Role::kOther,
     Where::kMoeLayer,
     "blk.{N}.ffn_gate_exps.bias",
     {Dim::kExperts, Dim::kFf}},
    {Role::kOther,
     Where::kMoeLayer,
     "blk.{N}.ffn_up_exps.bias",
     {Dim::kExperts, Dim::kFf}},
    {Role::kOther,
     Where::kMoeLayer,
     "blk.{N}.ffn_down_exps.bias",
     {Dim::kExperts, Dim::kModel}},
};

constexpr TensorPattern kGrokNorms[] = {
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.attn_output_norm.weight",
     {Dim::kModel}},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.layer_output_norm.weight",
     {Dim::kModel},
     If::kLayerOutputNorm},
    {Role::kOther,
     Where::kLayer,
     "blk.{N}.post_ffw_norm.weight",
     {Dim::kModel},
     If::kPostFfwNorm},
};

constexpr TensorPattern kLayerNormBiases[] = {
    {Role::kOther, Where::kModel, "output_norm.bias", {Dim::kModel}},
    {Role::kOther,
     Where::kModel,
     "output.bias",
     {Dim::kVocab},
     If::kOutputBias},
    {Role::kOther, Where::kLayer, "blk.{N}.attn_norm.bias", {Dim::kModel}},
    {Role::kOther, Where::kLayer, "blk.{N}.ffn_norm.bias", {Dim::kModel}},
};

constexpr Fragment kLlamaParts[] = {kModelNames, kAttention, kFfnNorm, kDense,
                                    kExperts};
constexpr Fragment kQwen3MoeParts[] = {kModelNames, kAttention, kHeadNorms,
                                       kFfnNorm, kExperts};
constexpr Fragment kOlmoeParts[] = {kModelNames, kAttention, kVectorNorms,
                                    kFfnNorm, kExperts};
constexpr Fragment kByExpertParts[] = {kModelNames, kAttention, kFfnNorm,
                                       kDense, kExpertsOneByOne};
constexpr Fragment kDeepseekParts[] = {
    kModelNames, kDeepseekAttention, kFfnNorm,      kDense,
    kExperts,    kRouterBias,        kSharedExperts};
constexpr Fragment kGptOssParts[] = {kModelNames, kAttention, kAttentionBias,
                                     kGptOssLayer, kExperts};
constexpr Fragment kGrokParts[] = {kModelNames, kAttention, kFfnNorm,
                                   kGrokNorms, kExperts};
constexpr Fragment kPhiMoeParts[] = {kModelNames,      kAttention,
                                     kAttentionBias,   kFfnNorm,
                                     kLayerNormBiases, kExperts};
constexpr Fragment kGraniteMoeParts[] = {kModelNames, kAttention, kFfnNorm,
                                         kExperts, kSharedExperts};
constexpr Fragment kLlama4Parts[] = {kModelNames, kAttention, kFfnNorm,
                                     kDense,      kExperts,   kSharedExperts};

}  // namespace

std::span<const Fragment> GgufTable(Family family) {
  switch (family) {
    case Family::kLlama:
      return kLlamaParts;
    case Family::kQwen3Moe:
      return kQwen3MoeParts;
    case Family::kOlmoe:
      return kOlmoeParts;
    case Family::kDeepseek:
      return kDeepseekParts;
    case Family::kGptOss:
      return kGptOssParts;
    case Family::kGrok:
      return kGrokParts;
    case Family::kPhiMoe:
      return kPhiMoeParts;
    case Family::kGraniteMoe:
      return kGraniteMoeParts;
    case Family::kLlama4:
      return kLlama4Parts;
  }
  return {};
}

std::span<const Fragment> GgufByExpertTable(Family family) {
  if (family == Family::kLlama) return kByExpertParts;
  return {};
}

}  // namespace verify
