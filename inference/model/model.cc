// SPDX-License-Identifier: Apache-2.0
#include "inference/model/model.h"

#include <algorithm>
#include <utility>

#include "inference/model/kv_cache.h"
#include "inference/model/layer_probe.h"
#include "inference/model/model_impl.h"
#include "inference/text/load_tokenizer.h"
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
  ASSIGN_OR_RETURN(auto checkpoint, verify::Checkpoint::Open(path));
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

TokenCost Model::token_cost() const {
  const ModelWeights& weights = impl_->weights;
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
  for (const LayerWeights& layer : weights.layers) {
    const bool is_last = &layer == &weights.layers.back();
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
  }
  add(weights.output, 1, 1, false);
  return cost;
}

std::string_view Model::kernels() const { return impl_->kernels.target; }

Result<std::vector<float>> Model::RunExpert(
    uint64_t layer, uint64_t expert, std::span<const float> hidden) const {
  if (hidden.size() != impl_->config.dim) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("a state of ", hidden.size(), " values, the model has ",
                       impl_->config.dim));
  }
  return LayerProbe(*this).Expert(layer, expert, hidden);
}

namespace {

// Tokens whose logits are there at once: 16 MB for a vocabulary of 32,000.
constexpr size_t kScoredTokens = 128;

}  // namespace

struct Session::Impl {
  const Model& model;
  KvCache cache;
  std::vector<float> logits;

  Result<void> CheckTokens(std::span<const TokenId> tokens) const;
  // A ring that has gone round cannot go back: it starts anew.
  void GoBack(uint64_t start) {
    if (cache.position() != start && !cache.Rewind(start)) cache.Rewind(0);
  }
};

Result<void> Session::Impl::CheckTokens(std::span<const TokenId> tokens) const {
  if (tokens.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "no token to append");
  }
  const auto vocab_size = model.config().vocab_size;
  for (const TokenId id : tokens) {
    if (id < 0 || static_cast<uint64_t>(id) >= vocab_size) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("token id ", id, " is outside the vocabulary of ",
                         vocab_size));
    }
  }
  const uint64_t start = cache.position();
  if (tokens.size() > cache.max_tokens() - start) {
    return Fail(ErrorCode::kLimit,
                StrCat(tokens.size(), " tokens after ", start,
                       " pass the end of the sequence at ", cache.max_tokens()))
        .Id("E-CONTEXT");
  }
  return {};
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::Create(const Model& model, uint64_t max_tokens) {
  ASSIGN_OR_RETURN(
      auto cache, KvCache::Create(model.config(), max_tokens, model.impl_->kv));
  auto impl = std::make_unique<Impl>(Impl{model, std::move(cache), {}});
  impl->logits.resize(model.config().vocab_size);
  return Session(std::move(impl));
}

Result<void> Session::Append(std::span<const TokenId> tokens,
                             ForwardObserver* observer,
                             const verify::CancelToken* cancel) {
  RETURN_IF_ERROR(impl_->CheckTokens(tokens));
  KvCache& cache = impl_->cache;
  const uint64_t start = cache.position();
  Transformer& transformer = impl_->model.impl_->transformer;
  while (!tokens.empty()) {
    const auto batch =
        tokens.first(std::min<size_t>(tokens.size(), kMaxBatchTokens));
    tokens = tokens.subspan(batch.size());
    const size_t outputs = tokens.empty() ? 1 : 0;
    auto done = transformer.Forward(batch, cache, outputs, observer, cancel);
    if (done && outputs != 0) {
      done = transformer.Logits(batch.size() - 1, 1, impl_->logits, cancel);
    }
    if (!done) {
      impl_->GoBack(start);
      return done;
    }
  }
  return {};
}

Result<void> Session::AppendScored(std::span<const TokenId> tokens,
                                   size_t first, const LogitsSink& sink,
                                   const verify::CancelToken* cancel) {
  RETURN_IF_ERROR(impl_->CheckTokens(tokens));
  KvCache& cache = impl_->cache;
  const uint64_t start = cache.position();
  Transformer& transformer = impl_->model.impl_->transformer;
  const size_t vocab_size = impl_->logits.size();
  std::vector<float> logits(std::min(kScoredTokens, tokens.size()) *
                            vocab_size);
  for (size_t at = 0; at < tokens.size();) {
    const size_t n = std::min<size_t>(tokens.size() - at, kMaxBatchTokens);
    const size_t skipped = std::clamp<size_t>(first, at, at + n) - at;
    auto done = transformer.Forward(tokens.subspan(at, n), cache, n - skipped,
                                    nullptr, cancel);
    for (size_t t = skipped; done && t < n;) {
      const size_t count = std::min(kScoredTokens, n - t);
      done = transformer.Logits(
          t, count, std::span(logits).first(count * vocab_size), cancel);
      for (size_t i = 0; done && i < count; ++i) {
        sink(at + t + i, std::span(logits).subspan(i * vocab_size, vocab_size));
      }
      t += count;
    }
    if (!done) {
      impl_->GoBack(start);
      return done;
    }
    at += n;
  }
  return {};
}

std::span<const float> Session::logits() const { return impl_->logits; }
uint64_t Session::position() const { return impl_->cache.position(); }
bool Session::Rewind(uint64_t position) {
  return impl_->cache.Rewind(position);
}

}  // namespace inference
