// SPDX-License-Identifier: Apache-2.0
#include "inference/model/layer_probe.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "inference/model/model_impl.h"
#include "inference/ops/rope.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using verify::TensorRole;

// One query head against the keys that it sees; values are added to `out`.
// Plain loops: a probe has a handful of tokens.
void AttendOne(const float* q, const float* keys, const float* values,
               size_t stride, size_t begin, size_t end, size_t head_dim,
               float* scores, float* out) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  double max = -HUGE_VAL;
  for (size_t j = begin; j < end; ++j) {
    double sum = 0;
    for (size_t i = 0; i < head_dim; ++i) {
      sum +=
          static_cast<double>(q[i]) * static_cast<double>(keys[j * stride + i]);
    }
    scores[j] = static_cast<float>(sum * scale);
    max = std::max(max, sum * scale);
  }
  std::vector<double> total(head_dim);
  double weight_sum = 0;
  for (size_t j = begin; j < end; ++j) {
    const double weight = std::exp(static_cast<double>(scores[j]) - max);
    weight_sum += weight;
    for (size_t i = 0; i < head_dim; ++i) {
      total[i] += weight * static_cast<double>(values[j * stride + i]);
    }
  }
  for (size_t i = 0; i < head_dim; ++i) {
    out[i] = static_cast<float>(total[i] / weight_sum);
  }
}

}  // namespace

LayerProbe::LayerProbe(const Model& model, const verify::CancelToken* cancel)
    : model_(model),
      kernels_(model.impl_->kernels),
      cancel_(cancel),
      matmul_(kernels_, model.impl_->pool, model.impl_->exact) {
  matmul_.set_cancel(cancel);
}

LayerProbe::Rotation LayerProbe::rotation() const {
  const auto& config = model_.config();
  return {config.rope_theta, config.rope_style, config.sliding_window};
}

Result<size_t> LayerProbe::TokensOf(std::span<const float> state,
                                    uint64_t layer) const {
  const auto& config = model_.config();
  if (state.empty() || state.size() % config.dim != 0 ||
      layer >= config.num_layers) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("no layer ", layer, " for a state of ", state.size(),
                       " values"));
  }
  return state.size() / static_cast<size_t>(config.dim);
}

LayerProbe::Values LayerProbe::Multiply(const TensorView& weight,
                                        std::span<const float> x,
                                        size_t num_tokens) {
  std::vector<float> out(num_tokens * weight.rows);
  const MatMulJob job = {&weight, x.data(), num_tokens, out.data(),
                         weight.rows};
  if (!matmul_.Run({&job, 1})) {
    return Fail(ErrorCode::kLimit, "no memory to run a part of the model")
        .Id("E-MEMORY");
  }
  if (matmul_.cancelled()) {
    return Fail(ErrorCode::kCancelled, "stopped on request");
  }
  return out;
}

LayerProbe::Values LayerProbe::Embedding(std::span<const float> state) {
  ASSIGN_OR_RETURN(const size_t tokens, TokensOf(state, 0));
  return Multiply(model_.impl_->weights.embedding, state, tokens);
}

LayerProbe::Values LayerProbe::Norm(TensorRole role, uint64_t layer,
                                    std::span<const float> state) {
  const bool of_output = role == TensorRole::kOutputNorm;
  ASSIGN_OR_RETURN(const size_t tokens, TokensOf(state, of_output ? 0 : layer));
  const ModelWeights& weights = model_.impl_->weights;
  const auto& config = model_.config();
  CHECK(of_output || role == TensorRole::kAttentionNorm ||
        role == TensorRole::kFfnNorm);
  const std::vector<float>& gain = of_output ? weights.output_norm
                                   : role == TensorRole::kAttentionNorm
                                       ? weights.layers[layer].attention_norm
                                       : weights.layers[layer].ffn_norm;
  const auto dim = static_cast<size_t>(config.dim);
  std::vector<float> out(state.size());
  for (size_t t = 0; t < tokens; ++t) {
    kernels_.rms_norm(state.data() + t * dim, gain.data(), dim,
                      static_cast<float>(config.norm_eps),
                      out.data() + t * dim);
  }
  return out;
}

Result<LayerProbe::Attention> LayerProbe::Attend(
    uint64_t layer, std::span<const float> state,
    std::span<const uint64_t> positions, const Rotation& rotation) {
  ASSIGN_OR_RETURN(const size_t tokens, TokensOf(state, layer));
  if (positions.size() != tokens) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat(positions.size(), " positions for ", tokens, " tokens"));
  }
  const LayerWeights& weights = model_.impl_->weights.layers[layer];
  const auto& config = model_.config();
  const auto head_dim = static_cast<size_t>(config.head_dim);
  const auto heads = static_cast<size_t>(config.num_heads);
  const auto group = heads / static_cast<size_t>(config.num_kv_heads);
  ASSIGN_OR_RETURN(const auto normed,
                   Norm(TensorRole::kAttentionNorm, layer, state));
  ASSIGN_OR_RETURN(auto q, Multiply(weights.q, normed, tokens));
  ASSIGN_OR_RETURN(auto k, Multiply(weights.k, normed, tokens));
  ASSIGN_OR_RETURN(const auto v, Multiply(weights.v, normed, tokens));
  const size_t q_dim = weights.q.rows;
  const size_t kv_dim = weights.k.rows;
  const RopeTable rope(head_dim, rotation.theta);
  std::vector<float> cos(rope.num_pairs());
  std::vector<float> sin(rope.num_pairs());
  const auto eps = static_cast<float>(config.norm_eps);
  NormaliseParts(kernels_, weights.q_norm, eps, q);
  NormaliseParts(kernels_, weights.k_norm, eps, k);
  for (size_t t = 0; t < tokens; ++t) {
    rope.Angles(positions[t], cos, sin);
    RotateHeads({q.data() + t * q_dim, q_dim}, cos, sin, rotation.style);
    RotateHeads({k.data() + t * kv_dim, kv_dim}, cos, sin, rotation.style);
  }
  Attention result;
  result.scores.resize(heads * tokens * tokens);
  std::vector<float> attended(tokens * q_dim);
  for (size_t t = 0; t < tokens; ++t) {
    size_t begin = 0;
    while (rotation.window.has_value() && begin < t &&
           positions[t] - positions[begin] >= *rotation.window) {
      ++begin;
    }
    for (size_t h = 0; h < heads; ++h) {
      const size_t kv_offset = h / group * head_dim;
      AttendOne(q.data() + t * q_dim + h * head_dim, k.data() + kv_offset,
                v.data() + kv_offset, kv_dim, begin, t + 1, head_dim,
                result.scores.data() + (h * tokens + t) * tokens,
                attended.data() + t * q_dim + h * head_dim);
    }
  }
  ASSIGN_OR_RETURN(result.output, Multiply(weights.out, attended, tokens));
  return result;
}

LayerProbe::Values LayerProbe::Gate(uint64_t layer,
                                    std::span<const float> state) {
  ASSIGN_OR_RETURN(const size_t tokens, TokensOf(state, layer));
  const LayerWeights& weights = model_.impl_->weights.layers[layer];
  if (weights.router.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("layer ", layer, " has no gate"));
  }
  ASSIGN_OR_RETURN(const auto normed, Norm(TensorRole::kFfnNorm, layer, state));
  return Multiply(weights.router, normed, tokens);
}

LayerProbe::Values LayerProbe::Expert(uint64_t layer, uint64_t expert,
                                      std::span<const float> state) {
  ASSIGN_OR_RETURN(const size_t tokens, TokensOf(state, layer));
  const LayerWeights& weights = model_.impl_->weights.layers[layer];
  if (expert >= weights.experts.size()) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("no expert ", expert, " in layer ", layer));
  }
  const FfnWeights& ffn = weights.experts[expert];
  ASSIGN_OR_RETURN(const auto normed, Norm(TensorRole::kFfnNorm, layer, state));
  ASSIGN_OR_RETURN(auto gate, Multiply(ffn.gate, normed, tokens));
  ASSIGN_OR_RETURN(const auto up, Multiply(ffn.up, normed, tokens));
  kernels_.silu_multiply(gate.data(), up.data(), gate.size());
  return Multiply(ffn.down, gate, tokens);
}

LayerProbe::Values LayerProbe::Logits(std::span<const float> normed) {
  ASSIGN_OR_RETURN(const size_t tokens, TokensOf(normed, 0));
  return Multiply(model_.impl_->weights.output, normed, tokens);
}

std::vector<verify::DType> LayerProbe::Types(TensorRole role,
                                             uint64_t layer) const {
  const ModelWeights& weights = model_.impl_->weights;
  std::vector<verify::DType> types;
  const auto& layers = weights.layers;
  switch (role) {
    case TensorRole::kTokenEmbedding:
      types = {weights.embedding.dtype};
      break;
    case TensorRole::kOutput:
      types = {weights.output.dtype};
      break;
    case TensorRole::kAttentionQ:
      types = {layers.at(layer).q.dtype};
      break;
    case TensorRole::kAttentionK:
      types = {layers.at(layer).k.dtype};
      break;
    case TensorRole::kAttentionV:
      types = {layers.at(layer).v.dtype};
      break;
    case TensorRole::kAttentionOut:
      types = {layers.at(layer).out.dtype};
      break;
    case TensorRole::kRouter:
      types = {layers.at(layer).router.dtype};
      break;
    case TensorRole::kFfnGate:
    case TensorRole::kFfnDown:
    case TensorRole::kFfnUp:
      for (const FfnWeights& ffn : layers.at(layer).experts) {
        types.push_back(role == TensorRole::kFfnGate   ? ffn.gate.dtype
                        : role == TensorRole::kFfnDown ? ffn.down.dtype
                                                       : ffn.up.dtype);
      }
      break;
    case TensorRole::kOutputNorm:
    case TensorRole::kAttentionNorm:
    case TensorRole::kAttentionQNorm:
    case TensorRole::kAttentionKNorm:
    case TensorRole::kFfnNorm: {
      // Norms are floats once bound: the checkpoint knows what they were.
      const bool of_output = role == TensorRole::kOutputNorm;
      const auto& config = model_.config();
      const auto* info = model_.impl_->checkpoint.tensors().Find(
          TensorName(config.family, config.names, role,
                     of_output ? -1 : static_cast<int64_t>(layer), -1));
      if (info != nullptr) types = {info->dtype};
      break;
    }
    case TensorRole::kOther:
      break;  // no model that runs has one
  }
  std::sort(types.begin(), types.end());
  types.erase(std::unique(types.begin(), types.end()), types.end());
  return types;
}

}  // namespace inference
