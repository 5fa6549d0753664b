// SPDX-License-Identifier: Apache-2.0
// The table of tensors under Mistral's own names.
// Sources: docs/formats/families.md.
#include "verify/structure/tensor_pattern.h"

namespace verify {
namespace {

using Role = TensorRole;

constexpr TensorPattern kMistralModel[] = {
    {Role::kTokenEmbedding,
     Where::kModel,
     "tok_embeddings.weight",
     {Dim::kVocab, Dim::kModel}},
    {Role::kOutputNorm, Where::kModel, "norm.weight", {Dim::kModel}},
    {Role::kOutput,
     Where::kModel,
     "output.weight",
     {Dim::kVocab, Dim::kModel},
     If::kUntied},
};

constexpr TensorPattern kMistralAttention[] = {
    {Role::kAttentionNorm,
     Where::kLayer,
     "layers.{N}.attention_norm.weight",
     {Dim::kModel}},
    {Role::kAttentionQ,
     Where::kLayer,
     "layers.{N}.attention.wq.weight",
     {Dim::kQuery, Dim::kModel}},
    {Role::kAttentionK,
     Where::kLayer,
     "layers.{N}.attention.wk.weight",
     {Dim::kKv, Dim::kModel}},
    {Role::kAttentionV,
     Where::kLayer,
     "layers.{N}.attention.wv.weight",
     {Dim::kKv, Dim::kModel}},
    {Role::kAttentionOut,
     Where::kLayer,
     "layers.{N}.attention.wo.weight",
     {Dim::kModel, Dim::kQuery}},
    {Role::kFfnNorm,
     Where::kLayer,
     "layers.{N}.ffn_norm.weight",
     {Dim::kModel}},
};

constexpr TensorPattern kMistralFeedForward[] = {
    {Role::kFfnGate,
     Where::kDenseLayer,
     "layers.{N}.feed_forward.w1.weight",
     {Dim::kDenseFf, Dim::kModel}},
    {Role::kFfnUp,
     Where::kDenseLayer,
     "layers.{N}.feed_forward.w3.weight",
     {Dim::kDenseFf, Dim::kModel}},
    {Role::kFfnDown,
     Where::kDenseLayer,
     "layers.{N}.feed_forward.w2.weight",
     {Dim::kModel, Dim::kDenseFf}},
    {Role::kRouter,
     Where::kMoeLayer,
     "layers.{N}.feed_forward.gate.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kFfnGate,
     Where::kExpert,
     "layers.{N}.feed_forward.experts.{X}.w1.weight",
     {Dim::kFf, Dim::kModel}},
    {Role::kFfnUp,
     Where::kExpert,
     "layers.{N}.feed_forward.experts.{X}.w3.weight",
     {Dim::kFf, Dim::kModel}},
    {Role::kFfnDown,
     Where::kExpert,
     "layers.{N}.feed_forward.experts.{X}.w2.weight",
     {Dim::kModel, Dim::kFf}},
};

// w2 of each expert is stored as its transpose, so all three have one shape.
constexpr TensorPattern kStackedFeedForward[] = {
    {Role::kRouter,
     Where::kMoeLayer,
     "layers.{N}.block_sparse_moe.gate.weight",
     {Dim::kExperts, Dim::kModel}},
    {Role::kFfnGate,
     Where::kMoeLayer,
     "layers.{N}.block_sparse_moe.w1",
     {Dim::kExpertsFf, Dim::kModel}},
    {Role::kFfnUp,
     Where::kMoeLayer,
     "layers.{N}.block_sparse_moe.w3",
     {Dim::kExpertsFf, Dim::kModel}},
    {Role::kFfnDown,
     Where::kMoeLayer,
     "layers.{N}.block_sparse_moe.w2",
     {Dim::kExpertsFf, Dim::kModel}},
};

constexpr Fragment kParts[] = {kMistralModel, kMistralAttention,
                               kMistralFeedForward};
constexpr Fragment kStackedParts[] = {kMistralModel, kMistralAttention,
                                      kStackedFeedForward};

}  // namespace

std::span<const Fragment> MistralTable(Family family) {
  if (family == Family::kLlama) return kParts;
  return {};
}

std::span<const Fragment> MistralStackedTable(Family family) {
  if (family == Family::kLlama) return kStackedParts;
  return {};
}

}  // namespace verify
