// SPDX-License-Identifier: Apache-2.0
#include "tests/support/double_forward.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numeric>

#include "tests/support/test_random.h"

namespace tests {
namespace {

using Row = std::vector<double>;
using verify::ExpertWeights;
using verify::Family;
using verify::TensorRole;

Row Times(const std::vector<float>& matrix, const Row& x) {
  Row y(matrix.size() / x.size());
  for (size_t r = 0; r < y.size(); ++r) {
    for (size_t i = 0; i < x.size(); ++i) {
      y[r] += static_cast<double>(matrix[r * x.size() + i]) * x[i];
    }
  }
  return y;
}

Row Norm(const Row& x, const std::vector<float>& gain, double eps) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  Row out = x;
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] *= static_cast<double>(gain[i]) /
              std::sqrt(squares / static_cast<double>(x.size()) + eps);
  }
  return out;
}

// What Qwen3-MoE does to each head of q and k, and OLMoE to all heads together.
bool HasQkNorm(Family family) {
  return family == Family::kQwen3Moe || family == Family::kOlmoe;
}
Row NormQk(const Row& x, const std::vector<float>& gain,
           const verify::ModelConfig& c) {
  if (c.family == Family::kOlmoe) return Norm(x, gain, c.norm_eps);
  Row out;
  for (size_t head = 0; head < x.size(); head += c.head_dim) {
    const auto begin = x.begin() + static_cast<ptrdiff_t>(head);
    const Row normed = Norm({begin, begin + static_cast<ptrdiff_t>(c.head_dim)},
                            gain, c.norm_eps);
    out.insert(out.end(), normed.begin(), normed.end());
  }
  return out;
}

void Add(const Row& from, double factor, Row& to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += factor * from[i];
}

void Turn(Row& x, size_t position, const verify::ModelConfig& c) {
  const size_t half = c.head_dim / 2;
  const bool neighbours = c.rope_style == verify::RopeStyle::kInterleaved;
  for (size_t head = 0; head < x.size(); head += c.head_dim) {
    for (size_t i = 0; i < half; ++i) {
      double& a = x[head + (neighbours ? 2 * i : i)];
      double& b = x[head + (neighbours ? 2 * i + 1 : i + half)];
      const double angle =
          static_cast<double>(position) /
          std::pow(c.rope_theta, 2.0 * static_cast<double>(i) /
                                     static_cast<double>(c.head_dim));
      const auto turned = std::complex<double>(a, b) * std::polar(1.0, angle);
      a = turned.real();
      b = turned.imag();
    }
  }
}

Row Softmax(Row x) {
  const double max = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double& value : x) sum += value = std::exp(value - max);
  for (double& value : x) value /= sum;
  return x;
}

// All heads of the query at position i over the keys it may see.
Row Attend(const Row& q, const std::vector<Row>& keys,
           const std::vector<Row>& values, const verify::ModelConfig& c) {
  const size_t i = keys.size() - 1;
  const size_t first = c.sliding_window.has_value() && i + 1 > *c.sliding_window
                           ? i + 1 - *c.sliding_window
                           : 0;
  Row out(q.size());
  for (size_t h = 0; h < c.num_heads; ++h) {
    const size_t at = h / (c.num_heads / c.num_kv_heads) * c.head_dim;
    Row scores;
    for (size_t j = first; j <= i; ++j) {
      double score = 0;
      for (size_t d = 0; d < c.head_dim; ++d) {
        score += q[h * c.head_dim + d] * keys[j][at + d];
      }
      scores.push_back(score / std::sqrt(static_cast<double>(c.head_dim)));
    }
    scores = Softmax(scores);
    for (size_t j = first; j <= i; ++j) {
      for (size_t d = 0; d < c.head_dim; ++d) {
        out[h * c.head_dim + d] += scores[j - first] * values[j][at + d];
      }
    }
  }
  return out;
}

struct Ffn {
  std::vector<float> gate;
  std::vector<float> up;
  std::vector<float> down;
};

Row RunFfn(const Ffn& ffn, const Row& x) {
  Row gate = Times(ffn.gate, x);
  const Row up = Times(ffn.up, x);
  for (size_t i = 0; i < gate.size(); ++i) {
    gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  }
  return Times(ffn.down, gate);
}

// The k experts with the largest probability; what the weights of those do not
// add up to is left out, or shared among them.
Row Mixture(const std::vector<Ffn>& experts, const std::vector<float>& router,
            const verify::ModelConfig& c, const Row& x) {
  if (router.empty()) return RunFfn(experts[0], x);
  const Row probability = Softmax(Times(router, x));
  std::vector<size_t> order(probability.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return probability[a] > probability[b];
  });
  order.resize(c.num_experts_per_token);
  double total = 0;
  for (const size_t e : order) total += probability[e];
  if (c.expert_weights == ExpertWeights::kOfAll) total = 1;
  Row out(x.size());
  for (const size_t e : order) {
    Add(RunFfn(experts[e], x), probability[e] / total, out);
  }
  return out;
}

void RunLayer(const TinyModel& model, int64_t l, std::vector<Row>& hidden) {
  const verify::ModelConfig& c = model.config();
  const auto attention_norm = model.Values(TensorRole::kAttentionNorm, l);
  const auto ffn_norm = model.Values(TensorRole::kFfnNorm, l);
  const auto wq = model.Values(TensorRole::kAttentionQ, l);
  const auto wk = model.Values(TensorRole::kAttentionK, l);
  const auto wv = model.Values(TensorRole::kAttentionV, l);
  const auto wo = model.Values(TensorRole::kAttentionOut, l);
  std::vector<float> router;
  const bool is_moe = c.is_moe_layer(static_cast<uint64_t>(l));
  if (is_moe) router = model.Values(TensorRole::kRouter, l);
  std::vector<float> q_norm;
  std::vector<float> k_norm;
  if (HasQkNorm(c.family)) {
    q_norm = model.Values(TensorRole::kAttentionQNorm, l);
    k_norm = model.Values(TensorRole::kAttentionKNorm, l);
  }
  std::vector<Ffn> experts;
  for (int64_t e = 0; e < static_cast<int64_t>(is_moe ? c.num_experts : 1);
       ++e) {
    experts.push_back({model.Values(TensorRole::kFfnGate, l, e),
                       model.Values(TensorRole::kFfnUp, l, e),
                       model.Values(TensorRole::kFfnDown, l, e)});
  }
  std::vector<Row> keys;
  std::vector<Row> values;
  for (size_t t = 0; t < hidden.size(); ++t) {
    const Row x = Norm(hidden[t], attention_norm, c.norm_eps);
    Row q = Times(wq, x);
    Row k = Times(wk, x);
    if (HasQkNorm(c.family)) {
      q = NormQk(q, q_norm, c);
      k = NormQk(k, k_norm, c);
    }
    Turn(q, t, c);
    Turn(k, t, c);
    keys.push_back(k);
    values.push_back(Times(wv, x));
    Add(Times(wo, Attend(q, keys, values, c)), 1, hidden[t]);
    const Row y = Norm(hidden[t], ffn_norm, c.norm_eps);
    Add(Mixture(experts, router, c, y), 1, hidden[t]);
  }
}

}  // namespace

std::vector<std::vector<double>> DoubleForward(
    const TinyModel& model, const std::vector<inference::TokenId>& ids) {
  const verify::ModelConfig& c = model.config();
  const auto embedding = model.Values(TensorRole::kTokenEmbedding);
  std::vector<Row> hidden;
  for (const auto id : ids) {
    const auto begin =
        embedding.begin() +
        static_cast<ptrdiff_t>(static_cast<uint64_t>(id) * c.dim);
    hidden.emplace_back(begin, begin + static_cast<ptrdiff_t>(c.dim));
  }
  for (size_t l = 0; l < c.num_layers; ++l) {
    RunLayer(model, static_cast<int64_t>(l), hidden);
  }
  const auto norm = model.Values(TensorRole::kOutputNorm);
  const auto output =
      c.tied_embeddings ? embedding : model.Values(TensorRole::kOutput);
  std::vector<Row> logits;
  for (const Row& row : hidden) {
    logits.push_back(Times(output, Norm(row, norm, c.norm_eps)));
  }
  return logits;
}

double RelativeError(std::span<const float> logits,
                     const std::vector<double>& expected) {
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double d = static_cast<double>(logits[i]) - expected[i];
    difference += d * d;
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference / norm);
}

std::vector<inference::TokenId> RandomIds(size_t count, uint64_t vocab_size,
                                          uint64_t seed) {
  TestRandom random(seed);
  std::vector<inference::TokenId> ids(count);
  for (inference::TokenId& id : ids) {
    id = static_cast<inference::TokenId>(random.NextU32() % vocab_size);
  }
  return ids;
}

}  // namespace tests
