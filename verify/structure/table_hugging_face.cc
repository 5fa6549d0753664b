// SPDX-License-Identifier: Apache-2.0
// The table of tensors under Hugging Face's names.
// Long because: it has one row for each tensor of each family.
// Sources and what could not be confirmed: docs/formats/families.md.
#include "verify/structure/tensor_pattern.h"

namespace verify {
namespace {

using Role = TensorRole;

constexpr TensorPattern kModelNames[] = {
    {Role::kTokenEmbedding,
     Where::kModel,
     "model.embed_tokens.weight",
     {Dim::kVocab, Dim::kModel}},
    {Role::kOutputNorm, Where::kModel, "model.norm.weight", {Dim::kModel}},
    {Role::kOutput,
     Where::kModel,
     "lm_head.weight",
     {Dim::kVocab, Dim::kModel},
     If::kUntied},
};

constexpr TensorPattern kAttentionNorm[] = {
    {Role::kAttentionNorm,
     Where::kLayer,
     "model.layers.{N}.input_layernorm.weight",
     {Dim::kModel}},
};

constexpr TensorPattern kAttention[] = {
    {Role::kAttentionQ,
     Where::kLayer,
     "model.layers.{N}.self_attn.q_proj.weight",
     {Dim::kQuery, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kAttentionK,
     Where::kLayer,
     "model.layers.{N}.self_attn.k_proj.weight",
     {Dim::kKv, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kAttentionV,
     Where::kLayer,
     "model.layers.{N}.self_attn.v_proj.weight",
     {Dim::kKv, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kAttentionOut,
     Where::kLayer,
     "model.layers.{N}.self_attn.o_proj.weight",
     {Dim::kModel, Dim::kQuery},
     If::kAlways,
     StoredAs::kLinear},
};

constexpr TensorPattern kAttentionBias[] = {
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.q_proj.bias",
     {Dim::kQuery},
     If::kAttentionBias},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.k_proj.bias",
     {Dim::kKv},
     If::kAttentionBias},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.v_proj.bias",
     {Dim::kKv},
     If::kAttentionBias},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.o_proj.bias",
     {Dim::kModel},
     If::kAttentionBias},
};

// One norm for each head, and one for the whole vector.
constexpr TensorPattern kHeadNorms[] = {
    {Role::kAttentionQNorm,
     Where::kLayer,
     "model.layers.{N}.self_attn.q_norm.weight",
     {Dim::kHeadDim}},
    {Role::kAttentionKNorm,
     Where::kLayer,
     "model.layers.{N}.self_attn.k_norm.weight",
     {Dim::kHeadDim}},
};

constexpr TensorPattern kVectorNorms[] = {
    {Role::kAttentionQNorm,
     Where::kLayer,
     "model.layers.{N}.self_attn.q_norm.weight",
     {Dim::kQuery}},
    {Role::kAttentionKNorm,
     Where::kLayer,
     "model.layers.{N}.self_attn.k_norm.weight",
     {Dim::kKv}},
};

constexpr TensorPattern kFfnNorm[] = {
    {Role::kFfnNorm,
     Where::kLayer,
     "model.layers.{N}.post_attention_layernorm.weight",
     {Dim::kModel}},
};

constexpr TensorPattern kDenseMlp[] = {
    {Role::kFfnGate,
     Where::kDenseLayer,
     "model.layers.{N}.mlp.gate_proj.weight",
     {Dim::kDenseFf, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kFfnUp,
     Where::kDenseLayer,
     "model.layers.{N}.mlp.up_proj.weight",
     {Dim::kDenseFf, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kFfnDown,
     Where::kDenseLayer,
     "model.layers.{N}.mlp.down_proj.weight",
     {Dim::kModel, Dim::kDenseFf},
     If::kAlways,
     StoredAs::kLinear},
};

constexpr TensorPattern kBlockSparseMoe[] = {
    {Role::kRouter,
     Where::kMoeLayer,
     "model.layers.{N}.block_sparse_moe.gate.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kFfnGate,
     Where::kExpert,
     "model.layers.{N}.block_sparse_moe.experts.{X}.w1.weight",
     {Dim::kFf, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kFfnUp,
     Where::kExpert,
     "model.layers.{N}.block_sparse_moe.experts.{X}.w3.weight",
     {Dim::kFf, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kFfnDown,
     Where::kExpert,
     "model.layers.{N}.block_sparse_moe.experts.{X}.w2.weight",
     {Dim::kModel, Dim::kFf},
     If::kAlways,
     StoredAs::kLinear},
};

constexpr TensorPattern kMlpExperts[] = {
    {Role::kRouter,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.gate.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.gate.e_score_correction_bias",
     {Dim::kExperts},
     If::kRouterBias},
    {Role::kFfnGate,
     Where::kExpert,
     "model.layers.{N}.mlp.experts.{X}.gate_proj.weight",
     {Dim::kFf, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kFfnUp,
     Where::kExpert,
     "model.layers.{N}.mlp.experts.{X}.up_proj.weight",
     {Dim::kFf, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kFfnDown,
     Where::kExpert,
     "model.layers.{N}.mlp.experts.{X}.down_proj.weight",
     {Dim::kModel, Dim::kFf},
     If::kAlways,
     StoredAs::kLinear},
};

constexpr TensorPattern kDeepseekAttention[] = {
    {Role::kAttentionQ,
     Where::kLayer,
     "model.layers.{N}.self_attn.q_proj.weight",
     {Dim::kLatentQuery, Dim::kModel},
     If::kNoQueryRank,
     StoredAs::kLinear},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.q_a_proj.weight",
     {Dim::kQueryRank, Dim::kModel},
     If::kQueryRank,
     StoredAs::kLinear},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.q_a_layernorm.weight",
     {Dim::kQueryRank},
     If::kQueryRank},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.q_b_proj.weight",
     {Dim::kLatentQuery, Dim::kQueryRank},
     If::kQueryRank,
     StoredAs::kLinear},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.kv_a_proj_with_mqa.weight",
     {Dim::kKvRankAndRope, Dim::kModel},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.kv_a_layernorm.weight",
     {Dim::kKvRank}},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.kv_b_proj.weight",
     {Dim::kLatentKeyValue, Dim::kKvRank},
     If::kAlways,
     StoredAs::kLinear},
    {Role::kAttentionOut,
     Where::kLayer,
     "model.layers.{N}.self_attn.o_proj.weight",
     {Dim::kModel, Dim::kLatentValue},
     If::kAlways,
     StoredAs::kLinear},
};

constexpr TensorPattern kDeepseekShared[] = {
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.shared_experts.gate_proj.weight",
     {Dim::kSharedFf, Dim::kModel},
     If::kShared,
     StoredAs::kLinear},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.shared_experts.up_proj.weight",
     {Dim::kSharedFf, Dim::kModel},
     If::kShared,
     StoredAs::kLinear},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.shared_experts.down_proj.weight",
     {Dim::kModel, Dim::kSharedFf},
     If::kShared,
     StoredAs::kLinear},
};

constexpr TensorPattern kDeepseekNextToken[] = {
    {Role::kOther,
     Where::kNextToken,
     "model.layers.{N}.embed_tokens.weight",
     {Dim::kVocab, Dim::kModel}},
    {Role::kOther,
     Where::kNextToken,
     "model.layers.{N}.enorm.weight",
     {Dim::kModel}},
    {Role::kOther,
     Where::kNextToken,
     "model.layers.{N}.hnorm.weight",
     {Dim::kModel}},
    {Role::kOther,
     Where::kNextToken,
     "model.layers.{N}.eh_proj.weight",
     {Dim::kModel, Dim::kTwoModel}},
    {Role::kOther,
     Where::kNextToken,
     "model.layers.{N}.shared_head.norm.weight",
     {Dim::kModel}},
    {Role::kOther,
     Where::kNextToken,
     "model.layers.{N}.shared_head.head.weight",
     {Dim::kVocab, Dim::kModel}},
};

// Gate and up rows interleaved; in bf16 stored input-major.
constexpr TensorPattern kGptOssLayer[] = {
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.self_attn.sinks",
     {Dim::kHeads}},
    {Role::kRouter,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.router.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.router.bias",
     {Dim::kExperts}},
    {Role::kFfnGate,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.experts.gate_up_proj",
     {Dim::kExperts, Dim::kModel, Dim::kTwoFf},
     If::kNoMxfp4},
    {Role::kFfnGate,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.experts.gate_up_proj_blocks",
     {Dim::kExperts, Dim::kTwoFf, Dim::kModelBlocks, Dim::kBlockBytes},
     If::kMxfp4,
     StoredAs::kBytes},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.experts.gate_up_proj_scales",
     {Dim::kExperts, Dim::kTwoFf, Dim::kModelBlocks},
     If::kMxfp4,
     StoredAs::kScale},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.experts.gate_up_proj_bias",
     {Dim::kExperts, Dim::kTwoFf}},
    {Role::kFfnDown,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.experts.down_proj",
     {Dim::kExperts, Dim::kFf, Dim::kModel},
     If::kNoMxfp4},
    {Role::kFfnDown,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.experts.down_proj_blocks",
     {Dim::kExperts, Dim::kModel, Dim::kFfBlocks, Dim::kBlockBytes},
     If::kMxfp4,
     StoredAs::kBytes},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.experts.down_proj_scales",
     {Dim::kExperts, Dim::kModel, Dim::kFfBlocks},
     If::kMxfp4,
     StoredAs::kScale},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.mlp.experts.down_proj_bias",
     {Dim::kExperts, Dim::kModel}},
};

constexpr TensorPattern kGrokModel[] = {
    {Role::kTokenEmbedding,
     Where::kModel,
     "model.embed_tokens.weight",
     {Dim::kVocab, Dim::kModel}},
    {Role::kOutputNorm, Where::kModel, "model.norm.scale", {Dim::kModel}},
    {Role::kOutput,
     Where::kModel,
     "lm_head.weight",
     {Dim::kVocab, Dim::kModel},
     If::kUntied},
};

constexpr TensorPattern kGrokLayer[] = {
    {Role::kAttentionNorm,
     Where::kLayer,
     "model.layers.{N}.pre_attn_norm.scale",
     {Dim::kModel}},
    {Role::kAttentionQ,
     Where::kLayer,
     "model.layers.{N}.attn.q_proj.weight",
     {Dim::kQuery, Dim::kModel}},
    {Role::kAttentionK,
     Where::kLayer,
     "model.layers.{N}.attn.k_proj.weight",
     {Dim::kKv, Dim::kModel}},
    {Role::kAttentionV,
     Where::kLayer,
     "model.layers.{N}.attn.v_proj.weight",
     {Dim::kKv, Dim::kModel}},
    {Role::kAttentionOut,
     Where::kLayer,
     "model.layers.{N}.attn.o_proj.weight",
     {Dim::kModel, Dim::kQuery}},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.post_attn_norm.scale",
     {Dim::kModel}},
    {Role::kFfnNorm,
     Where::kLayer,
     "model.layers.{N}.pre_moe_norm.scale",
     {Dim::kModel}},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.post_moe_norm.scale",
     {Dim::kModel}},
    {Role::kRouter,
     Where::kMoeLayer,
     "model.layers.{N}.moe_block.gate.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kFfnGate,
     Where::kExpert,
     "model.layers.{N}.moe_block.experts.{X}.linear.weight",
     {Dim::kFf, Dim::kModel}},
    {Role::kFfnUp,
     Where::kExpert,
     "model.layers.{N}.moe_block.experts.{X}.linear_v.weight",
     {Dim::kFf, Dim::kModel}},
    {Role::kFfnDown,
     Where::kExpert,
     "model.layers.{N}.moe_block.experts.{X}.linear_1.weight",
     {Dim::kModel, Dim::kFf}},
};

constexpr TensorPattern kLayerNormBiases[] = {
    {Role::kOther, Where::kModel, "model.norm.bias", {Dim::kModel}},
    {Role::kOther,
     Where::kModel,
     "lm_head.bias",
     {Dim::kVocab},
     If::kOutputBiasUntied},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.input_layernorm.bias",
     {Dim::kModel}},
    {Role::kOther,
     Where::kLayer,
     "model.layers.{N}.post_attention_layernorm.bias",
     {Dim::kModel}},
};

constexpr TensorPattern kGraniteMoe[] = {
    {Role::kRouter,
     Where::kMoeLayer,
     "model.layers.{N}.block_sparse_moe.router.layer.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kFfnGate,
     Where::kMoeLayer,
     "model.layers.{N}.block_sparse_moe.input_linear.weight",
     {Dim::kExperts, Dim::kTwoFf, Dim::kModel}},
    {Role::kFfnDown,
     Where::kMoeLayer,
     "model.layers.{N}.block_sparse_moe.output_linear.weight",
     {Dim::kExperts, Dim::kModel, Dim::kFf}},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.shared_mlp.input_linear.weight",
     {Dim::kTwoSharedFf, Dim::kModel},
     If::kShared},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.shared_mlp.output_linear.weight",
     {Dim::kModel, Dim::kSharedFf},
     If::kShared},
};

// Experts stored input-major, the first half of gate_up_proj is the gate.
constexpr TensorPattern kLlama4Ffn[] = {
    {Role::kFfnGate,
     Where::kDenseLayer,
     "model.layers.{N}.feed_forward.gate_proj.weight",
     {Dim::kDenseFf, Dim::kModel}},
    {Role::kFfnUp,
     Where::kDenseLayer,
     "model.layers.{N}.feed_forward.up_proj.weight",
     {Dim::kDenseFf, Dim::kModel}},
    {Role::kFfnDown,
     Where::kDenseLayer,
     "model.layers.{N}.feed_forward.down_proj.weight",
     {Dim::kModel, Dim::kDenseFf}},
    {Role::kRouter,
     Where::kMoeLayer,
     "model.layers.{N}.feed_forward.router.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kFfnGate,
     Where::kMoeLayer,
     "model.layers.{N}.feed_forward.experts.gate_up_proj",
     {Dim::kExperts, Dim::kModel, Dim::kTwoFf}},
    {Role::kFfnDown,
     Where::kMoeLayer,
     "model.layers.{N}.feed_forward.experts.down_proj",
     {Dim::kExperts, Dim::kFf, Dim::kModel}},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.feed_forward.shared_expert.gate_proj.weight",
     {Dim::kSharedFf, Dim::kModel}},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.feed_forward.shared_expert.up_proj.weight",
     {Dim::kSharedFf, Dim::kModel}},
    {Role::kOther,
     Where::kMoeLayer,
     "model.layers.{N}.feed_forward.shared_expert.down_proj.weight",
     {Dim::kModel, Dim::kSharedFf}},
};

constexpr Fragment kLlamaParts[] = {kModelNames, kAttentionNorm,
                                    kAttention,  kFfnNorm,
                                    kDenseMlp,   kBlockSparseMoe};
constexpr Fragment kQwen3MoeParts[] = {
    kModelNames, kAttentionNorm, kAttention, kAttentionBias,
    kHeadNorms,  kFfnNorm,       kDenseMlp,  kMlpExperts};
constexpr Fragment kOlmoeParts[] = {kModelNames,    kAttentionNorm, kAttention,
                                    kAttentionBias, kVectorNorms,   kFfnNorm,
                                    kMlpExperts};
constexpr Fragment kDeepseekParts[] = {
    kModelNames, kAttentionNorm, kDeepseekAttention, kFfnNorm,
    kDenseMlp,   kMlpExperts,    kDeepseekShared,    kDeepseekNextToken};
constexpr Fragment kGptOssParts[] = {kModelNames, kAttentionNorm,
                                     kAttention,  kAttentionBias,
                                     kFfnNorm,    kGptOssLayer};
constexpr Fragment kGrokParts[] = {kGrokModel, kGrokLayer};
constexpr Fragment kPhiMoeParts[] = {
    kModelNames, kAttentionNorm,   kAttention,     kAttentionBias,
    kFfnNorm,    kLayerNormBiases, kBlockSparseMoe};
constexpr Fragment kGraniteMoeParts[] = {kModelNames, kAttentionNorm,
                                         kAttention,  kAttentionBias,
                                         kFfnNorm,    kGraniteMoe};
constexpr Fragment kLlama4Parts[] = {kModelNames, kAttentionNorm,
                                     kAttention,  kAttentionBias,
                                     kFfnNorm,    kLlama4Ffn};

}  // namespace

std::span<const Fragment> HuggingFaceTable(Family family) {
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

}  // namespace verify
