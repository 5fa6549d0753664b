// SPDX-License-Identifier: Apache-2.0
#include "inference/model/model.h"

#include <utility>

#include "inference/model/layer_probe.h"
#include "inference/model/model_impl.h"
#include "inference/text/load_tokenizer.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace inference {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

Model::Impl::Impl(verify::Checkpoint opened, verify::ModelConfig model_config,
                  ModelWeights bound, Tokenizer text,
                  const ModelOptions& options)
    : checkpoint(std::move(opened)),
      config(std::move(model_config)),
      weights(std::move(bound)),
      tokenizer(std::move(text)),
      kernels(options.kernels != nullptr ? *options.kernels : BestKernels()),
      pool(options.num_threads),
      exact(options.activations == Activations::kExact),
      kv(options.kv),
      transformer(config, weights, kernels, pool, exact) {}

Result<std::unique_ptr<Model>> Model::Load(const std::string& path,
                                           const ModelOptions& options) {
  ASSIGN_OR_RETURN(
      auto checkpoint,
      verify::Checkpoint::Open(path, verify::CompressedFiles::kInMemory,
                               options.waiter));
  ASSIGN_OR_RETURN(auto config, verify::LoadModelConfig(checkpoint));
  RETURN_IF_ERROR(verify::CheckRunnable(config));
  RETURN_IF_ERROR(CheckKvType(config, options.kv));
  ASSIGN_OR_RETURN(auto weights, BindWeights(checkpoint, config));
  ASSIGN_OR_RETURN(const auto vocabulary,
                   LoadVocabularyFor(checkpoint, config));
  ASSIGN_OR_RETURN(auto tokenizer, MakeTokenizer(vocabulary));
  return std::unique_ptr<Model>(new Model(std::make_unique<Impl>(
      std::move(checkpoint), std::move(config), std::move(weights),
      std::move(tokenizer), options)));
}

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;

const verify::ModelConfig& Model::config() const { return impl_->config; }
const Tokenizer& Model::tokenizer() const { return impl_->tokenizer; }
std::string Model::weight_type() const {
  return std::string(verify::DTypeName(impl_->weights.main_dtype));
}
uint64_t Model::weight_bytes() const { return impl_->weights.total_bytes; }

KvType Model::kv_type() const { return impl_->kv; }
uint64_t Model::kv_bytes_per_token() const {
  return KvBytesPerToken(impl_->config, impl_->kv);
}

TokenCost Model::layer_cost(uint64_t layer_index) const {
  const ModelWeights& weights = impl_->weights;
  CHECK(layer_index <= weights.layers.size());
  TokenCost cost;
  const auto add = [&cost](const TensorView& view, uint64_t used, uint64_t of,
                           bool in_prompt) {
    const uint64_t elements = uint64_t{view.rows} * view.cols * used / of;
    cost.bytes += uint64_t{view.rows} * view.cols * used / of /
                  verify::BlockElements(view.dtype) *
                  verify::BlockBytes(view.dtype);
    cost.flops += 2 * elements;
    if (in_prompt) cost.prompt_flops += 2 * elements;
  };
  if (layer_index == weights.layers.size()) {
    add(weights.output, 1, 1, false);
    return cost;
  }
  const LayerWeights& layer = weights.layers[layer_index];
  const bool is_last = layer_index + 1 == weights.layers.size();
  for (const TensorView* view : {&layer.q, &layer.out}) {
    add(*view, 1, 1, !is_last);
  }
  add(layer.k, 1, 1, true);
  add(layer.v, 1, 1, true);
  if (layer.is_moe()) add(layer.router, 1, 1, !is_last);
  const uint64_t used =
      layer.is_moe() ? impl_->config.num_experts_per_token : 1;
  for (const FfnWeights& ffn : layer.experts) {
    for (const TensorView* view : {&ffn.gate, &ffn.up, &ffn.down}) {
      add(*view, used, layer.experts.size(), !is_last);
    }
  }
  return cost;
}

TokenCost Model::token_cost() const {
  TokenCost sum;
  for (uint64_t layer = 0; layer <= impl_->weights.layers.size(); ++layer) {
    const TokenCost cost = layer_cost(layer);
    sum.bytes += cost.bytes;
    sum.flops += cost.flops;
    sum.prompt_flops += cost.prompt_flops;
  }
  return sum;
}

std::string_view Model::kernels() const { return impl_->kernels.target; }
Activations Model::activations() const {
  return impl_->exact ? Activations::kExact : Activations::kRounded;
}

Result<std::vector<float>> Model::RunExpert(
    uint64_t layer, uint64_t expert, std::span<const float> hidden) const {
  if (hidden.size() != impl_->config.dim) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("a state of ", hidden.size(), " values, the model has ",
                       impl_->config.dim));
  }
  return LayerProbe(*this).Expert(layer, expert, hidden);
}

}  // namespace inference
