// SPDX-License-Identifier: Apache-2.0
// What a tensor is by its name, in any scheme of names: as far as what its
// numbers say depends on it.
#pragma once

#include <string_view>

#include "verify/checkpoint/tensor_table.h"

namespace verify {

inline bool IsMatrix(const TensorInfo& tensor) {
  return tensor.shape.size() >= 2;
}

inline bool IsEmbedding(std::string_view name) {
  return name.ends_with("tok_embeddings.weight") ||
         name.ends_with("embed_tokens.weight") || name == "token_embd.weight";
}

inline bool IsOutput(std::string_view name) {
  return name == "output.weight" || name.ends_with("lm_head.weight") ||
         name.ends_with("shared_head.head.weight");
}

inline bool HasVocabularyRows(std::string_view name) {
  return IsEmbedding(name) || IsOutput(name);
}

inline bool IsRouter(std::string_view name) {
  return name.ends_with(".gate.weight") || name.ends_with(".router.weight") ||
         name.ends_with(".router.layer.weight") ||
         name.ends_with(".ffn_gate_inp.weight");
}

inline bool IsBias(std::string_view name) {
  return name.ends_with(".bias") || name.ends_with("_bias");
}

inline bool IsNorm(std::string_view name) {
  return name.find("norm") != std::string_view::npos && !IsBias(name);
}

}  // namespace verify
