// SPDX-License-Identifier: Apache-2.0
// Pieces of a model run by themselves on states that the caller makes up: one
// norm, the attention of one layer, one gate, one expert. What a whole run
// hides behind the layers before it can be measured so.
// Tested by tests/inference/model/layer_probe_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "inference/model/model.h"
#include "inference/ops/matmul.h"
#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace inference {

// States are [num_tokens, dim], as many tokens as the span holds. Results have
// the same bits for any number of threads. The model must outlive the probe
// and must not be inside a loop of its pool: a ForwardObserver may probe.
// One thread at a time. Errors of all: kInvalidArgument (no such layer or
// expert, a state of another length), kLimit (no memory), kCancelled.
class LayerProbe {
 public:
  // `cancel` may be null.
  explicit LayerProbe(const Model& model,
                      const verify::CancelToken* cancel = nullptr);

  using Values = verify::Result<std::vector<float>>;

  // Every row of the embedding times the state: [num_tokens, vocab_size].
  Values Embedding(std::span<const float> state);

  // RMS(state; gain), [num_tokens, dim]. `role` is one of the three norms;
  // `layer` is ignored for that of the output.
  Values Norm(verify::TensorRole role, uint64_t layer,
              std::span<const float> state);

  // What position and the order of the rows of q and k have to do with it.
  struct Rotation {
    double theta = 0;
    verify::RopeStyle style = verify::RopeStyle::kInterleaved;
    std::optional<uint64_t> window;
  };
  Rotation rotation() const;

  struct Attention {
    // q . k / sqrt(head_dim) after the rotation, [num_heads, num_tokens,
    // num_tokens]; 0 where token i does not see token j.
    std::vector<float> scores;
    std::vector<float> output;  // [num_tokens, dim]
  };
  // The attention of a layer, its norm included, among tokens that stand at
  // `positions` (ascending, one for each token), however far apart: a token
  // sees those before it that are less than the window away. Keys and values
  // stay floats (a session keeps halves).
  verify::Result<Attention> Attend(uint64_t layer, std::span<const float> state,
                                   std::span<const uint64_t> positions,
                                   const Rotation& rotation);

  // Logits of the router, norm included: [num_tokens, num_experts]. A dense
  // layer has none: kInvalidArgument.
  Values Gate(uint64_t layer, std::span<const float> state);

  // W2(silu(W1 n) * (W3 n)) with n = RMS(state; ffn_norm): [num_tokens, dim].
  // A dense layer is its expert 0.
  Values Expert(uint64_t layer, uint64_t expert, std::span<const float> state);

  // The output matrix times a state that is normalised already:
  // [num_tokens, vocab_size].
  Values Logits(std::span<const float> normed);

  // The element types of all tensors of that role, of one layer where it has
  // layers: sorted, each once.
  std::vector<verify::DType> Types(verify::TensorRole role,
                                   uint64_t layer) const;

 private:
  verify::Result<size_t> TokensOf(std::span<const float> state,
                                  uint64_t layer) const;
  Values Multiply(const TensorView& weight, std::span<const float> x,
                  size_t num_tokens);

  const Model& model_;
  const Kernels& kernels_;
  const verify::CancelToken* cancel_;
  MatMul matmul_;
};

}  // namespace inference
