// SPDX-License-Identifier: Apache-2.0
#include "inference/model/transformer.h"

#include <cstring>
#include <functional>

#include "inference/model/input_observer.h"
#include "verify/base/check.h"

namespace inference {
namespace {

// Tokens that a thread takes at a time in row operations.
constexpr size_t kTokenGrain = 4;

}  // namespace

Transformer::Transformer(const verify::ModelConfig& config,
                         const ModelWeights& weights, const Kernels& kernels,
                         verify::ThreadPool& pool, bool exact)
    : config_(config),
      weights_(weights),
      kernels_(kernels),
      pool_(pool),
      matmul_(kernels, pool, exact),
      attention_(config, kernels, pool),
      feed_forward_(config, kernels, pool, matmul_),
      rope_(config.head_dim, config.rope_theta) {}

bool Transformer::Reserve(size_t num_tokens) {
  const size_t q_dim = config_.num_heads * config_.head_dim;
  const size_t kv_dim = config_.num_kv_heads * config_.head_dim;
  return hidden_.Reserve(num_tokens * config_.dim) &&
         normed_.Reserve(num_tokens * config_.dim) &&
         branch_.Reserve(num_tokens * config_.dim) &&
         q_.Reserve(num_tokens * q_dim) &&
         attended_.Reserve(num_tokens * q_dim) &&
         k_.Reserve(num_tokens * kv_dim) && v_.Reserve(num_tokens * kv_dim) &&
         cos_.Reserve(num_tokens * rope_.num_pairs()) &&
         sin_.Reserve(num_tokens * rope_.num_pairs());
}

verify::Result<void> Transformer::Forward(std::span<const TokenId> tokens,
                                          KvCache& cache, size_t num_outputs,
                                          ForwardObserver* observer,
                                          const verify::CancelToken* cancel) {
  const size_t n = tokens.size();
  CHECK(n >= 1 && n <= kMaxBatchTokens && num_outputs <= n);
  CHECK(n <= cache.max_tokens() - cache.position());
  matmul_.set_cancel(cancel);
  auto result = Run(tokens, TokenPlaces(cache), num_outputs, observer);
  matmul_.set_cancel(nullptr);
  if (result) cache.Advance(n);
  return result;
}

verify::Result<void> Transformer::ForwardEach(
    std::span<const TokenId> tokens, std::span<KvCache* const> caches,
    const verify::CancelToken* cancel) {
  const size_t n = tokens.size();
  CHECK(n >= 1 && n <= kMaxBatchTokens && caches.size() == n);
  for (const KvCache* cache : caches) {
    CHECK(cache->position() < cache->max_tokens());
  }
  matmul_.set_cancel(cancel);
  auto result = Run(tokens, TokenPlaces(caches), n, nullptr);
  matmul_.set_cancel(nullptr);
  if (!result) return result;
  for (KvCache* cache : caches) cache->Advance(1);
  return {};
}

verify::Result<void> Transformer::Logits(size_t first, size_t count,
                                         std::span<float> logits,
                                         const verify::CancelToken* cancel) {
  const size_t vocab_size = weights_.output.rows;
  CHECK(logits.size() == count * vocab_size);
  matmul_.set_cancel(cancel);
  const MatMulJob job = {&weights_.output, normed_.data() + first * config_.dim,
                         count, logits.data(), vocab_size};
  const bool done = matmul_.Run({&job, 1}) && !matmul_.cancelled();
  auto result = done ? verify::Result<void>() : Stopped();
  matmul_.set_cancel(nullptr);
  return result;
}

// Why a pass ended early.
verify::Result<void> Transformer::Stopped() const {
  if (matmul_.cancelled()) {
    return verify::Fail(verify::ErrorCode::kCancelled, "stopped on request");
  }
  return verify::Fail(verify::ErrorCode::kLimit,
                      "no memory for the activations of a batch of tokens")
      .Id("E-MEMORY");
}

verify::Result<void> Transformer::Run(std::span<const TokenId> tokens,
                                      const TokenPlaces& places,
                                      size_t num_outputs,
                                      ForwardObserver* observer) {
  const size_t n = tokens.size();
  if (!Reserve(n)) return Stopped();
  Embed(tokens);
  const size_t first = observer != nullptr ? 0 : n - num_outputs;
  if (!RunLayers(n, first, places, observer)) return Stopped();
  Normalise(weights_.output_norm, first, n);
  if (observer != nullptr) {
    const auto normed = normed_.first(n * config_.dim);
    observer->OnLayer(static_cast<int64_t>(config_.num_layers), normed, n);
    if (InputObserver* const inputs = observer->inputs()) {
      inputs->OnInput({ProductInput::kOutput}, normed, config_.dim, {});
    }
  }
  return {};
}

void Transformer::Embed(std::span<const TokenId> tokens) {
  for (size_t t = 0; t < tokens.size(); ++t) {
    const auto row = static_cast<size_t>(tokens[t]);
    CHECK(row < weights_.embedding.rows);
    kernels_.decode_row(weights_.embedding.dtype,
                        weights_.embedding.Row(row).data(), config_.dim,
                        hidden_.data() + t * config_.dim);
  }
}

// Tokens from `first` on.
void Transformer::Normalise(const std::vector<float>& gain, size_t first,
                            size_t num_tokens) {
  const auto body = [&](size_t begin, size_t end) {
    for (size_t t = first + begin; t < first + end; ++t) {
      kernels_.rms_norm(hidden_.data() + t * config_.dim, gain.data(),
                        config_.dim, static_cast<float>(config_.norm_eps),
                        normed_.data() + t * config_.dim);
    }
  };
  pool_.ParallelFor(num_tokens - first, kTokenGrain, std::ref(body));
}

bool Transformer::RunLayers(size_t num_tokens, size_t first_output,
                            const TokenPlaces& places,
                            ForwardObserver* observer) {
  const size_t pairs = rope_.num_pairs();
  for (size_t t = 0; t < num_tokens; ++t) {
    rope_.Angles(places.position(t), {cos_.data() + t * pairs, pairs},
                 {sin_.data() + t * pairs, pairs});
  }
  const auto hidden = hidden_.first(num_tokens * config_.dim);
  if (observer != nullptr) observer->OnLayer(-1, hidden, num_tokens);
  InputObserver* const inputs =
      observer != nullptr ? observer->inputs() : nullptr;
  for (size_t l = 0; l < weights_.layers.size(); ++l) {
    const LayerWeights& layer = weights_.layers[l];
    // Later tokens see keys and values of the last layer, and nothing else.
    const bool is_last = l + 1 == weights_.layers.size();
    const size_t first = is_last ? first_output : 0;
    Normalise(layer.attention_norm, 0, num_tokens);
    if (!RunAttention(l, first, num_tokens, places, inputs)) return false;
    Normalise(layer.ffn_norm, first, num_tokens);
    if (first < num_tokens &&
        !feed_forward_.Run(layer, normed_.data() + first * config_.dim,
                           num_tokens - first,
                           hidden_.data() + first * config_.dim,
                           {inputs, static_cast<int64_t>(l)})) {
      return false;
    }
    if (matmul_.cancelled()) return false;
    if (observer == nullptr) continue;
    if (layer.is_moe()) {
      const Routing& routing = feed_forward_.routing();
      observer->OnExperts(static_cast<int64_t>(l), routing.experts,
                          routing.weights, num_tokens, routing.k);
    }
    observer->OnLayer(static_cast<int64_t>(l), hidden, num_tokens);
  }
  return true;
}

// Keys and values of all tokens; what comes of them for those from `first` on.
bool Transformer::RunAttention(size_t l, size_t first, size_t num_tokens,
                               const TokenPlaces& places,
                               InputObserver* inputs) {
  const LayerWeights& layer = weights_.layers[l];
  const size_t q_dim = layer.q.rows;
  const size_t kv_dim = layer.k.rows;
  const size_t count = num_tokens - first;
  float* const q = q_.data() + first * q_dim;
  // Keys first: all jobs share what their activations are rounded to.
  const MatMulJob qkv[] = {
      {&layer.k, normed_.data(), num_tokens, k_.data(), kv_dim},
      {&layer.v, normed_.data(), num_tokens, v_.data(), kv_dim},
      {&layer.q, normed_.data() + first * config_.dim, count, q, q_dim},
  };
  if (inputs != nullptr) {
    inputs->OnInput({ProductInput::kAttention, static_cast<int64_t>(l)},
                    normed_.first(num_tokens * config_.dim), config_.dim, {});
  }
  if (!matmul_.Run(qkv)) return false;
  RotateAndStore(l, first, num_tokens, places);
  if (count == 0) return true;
  float* const attended = attended_.data() + first * q_dim;
  float* const branch = branch_.data() + first * config_.dim;
  if (!attention_.Run(l, q, first, count, places, attended)) return false;
  if (inputs != nullptr) {
    inputs->OnInput({ProductInput::kAttentionOut, static_cast<int64_t>(l)},
                    {attended, count * q_dim}, q_dim, {});
  }
  const MatMulJob out = {&layer.out, attended, count, branch, config_.dim};
  if (!matmul_.Run({&out, 1})) return false;
  kernels_.multiply_add(1.0f, branch, count * config_.dim,
                        hidden_.data() + first * config_.dim);
  return true;
}

void Transformer::RotateAndStore(size_t l, size_t first, size_t num_tokens,
                                 const TokenPlaces& places) {
  const size_t pairs = rope_.num_pairs();
  const LayerWeights& layer = weights_.layers[l];
  const size_t q_dim = layer.q.rows;
  const size_t kv_dim = layer.k.rows;
  const auto eps = static_cast<float>(config_.norm_eps);
  const auto body = [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      const std::span<const float> cos(cos_.data() + t * pairs, pairs);
      const std::span<const float> sin(sin_.data() + t * pairs, pairs);
      float* k = k_.data() + t * kv_dim;
      if (t >= first) {
        const std::span<float> q(q_.data() + t * q_dim, q_dim);
        NormaliseParts(kernels_, layer.q_norm, eps, q);
        RotateHeads(q, cos, sin, config_.rope_style);
      }
      NormaliseParts(kernels_, layer.k_norm, eps, {k, kv_dim});
      RotateHeads({k, kv_dim}, cos, sin, config_.rope_style);
      KvCache& cache = places.cache(t);
      const uint64_t position = places.position(t);
      kernels_.store_kv(cache.type(), k, kv_dim, cache.Key(l, position));
      kernels_.store_kv(cache.type(), v_.data() + t * kv_dim, kv_dim,
                        cache.Value(l, position));
    }
  };
  pool_.ParallelFor(num_tokens, kTokenGrain, std::ref(body));
}

}  // namespace inference
