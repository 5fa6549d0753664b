// SPDX-License-Identifier: Apache-2.0
// Binds the tensors of a checkpoint to the places where a forward pass needs
// them, by the one table in verify/structure/architecture.h.
// Tested by tests/inference/model/model_test.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "inference/tensor/tensor_view.h"
#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/model_config.h"

namespace inference {

// One feed-forward block: w1, w2, w3.
struct FfnWeights {
  TensorView gate;  // [ff_dim, dim]
  TensorView down;  // [dim, ff_dim]
  TensorView up;    // [ff_dim, dim]
};

struct LayerWeights {
  std::vector<float> attention_norm;  // [dim]
  TensorView q;                       // [num_heads * head_dim, dim]
  TensorView k;                       // [num_kv_heads * head_dim, dim]
  TensorView v;                       // [num_kv_heads * head_dim, dim]
  TensorView out;                     // [dim, num_heads * head_dim]
  // Of each head by itself, [head_dim], or of the whole vector; empty: none.
  std::vector<float> q_norm;
  std::vector<float> k_norm;
  std::vector<float> ffn_norm;      // [dim]
  TensorView router;                // [num_experts, dim]; empty if dense
  std::vector<FfnWeights> experts;  // one if dense

  bool is_moe() const { return !router.empty(); }
};

// Views into the checkpoint's maps (it must outlive them); only the norms are
// copied, as floats.
struct ModelWeights {
  TensorView embedding;  // [vocab, dim]
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;  // [dim]
  TensorView output;               // [vocab, dim]; the embedding if tied
  verify::DType main_dtype = verify::DType::kF32;  // of most bytes
  uint64_t total_bytes = 0;
};

// Element types that the engine computes with: f32, f16, bf16 and all packed
// types.
bool CanCompute(verify::DType dtype);

// Errors: kCorrupt E-STRUCTURE (the tensors are not those of `config`; the
// first of them named), kUnsupported (a dtype that the engine does not compute
// with, a tensor that is not contiguous).
verify::Result<ModelWeights> BindWeights(const verify::Checkpoint& checkpoint,
                                         const verify::ModelConfig& config);

}  // namespace inference
