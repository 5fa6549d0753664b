// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "verify/base/check.h"

namespace inference {
namespace {

struct Candidate {
  TokenId id;
  float logit;
};

// Largest logit first, the lower id among equals.
bool Before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

TokenId Greedy(std::span<const float> logits) {
  TokenId best = -1;
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) continue;
    if (best < 0 || logits[i] > largest) {
      best = static_cast<TokenId>(i);
      largest = logits[i];
    }
  }
  CHECK(best >= 0);
  return best;
}

}  // namespace

Sampler::Sampler(const SamplerOptions& options)
    : options_(options), rng_(options.seed) {}

TokenId Sampler::Sample(std::span<const float> logits) {
  if (!(options_.temperature > 0) || options_.top_k == 1) {
    return Greedy(logits);
  }
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    // -inf is a token ruled out; NaN and +inf cannot be weighed.
    if (std::isfinite(logits[i])) {
      candidates.push_back({static_cast<TokenId>(i), logits[i]});
    }
  }
  CHECK(!candidates.empty());
  // The order decides which tokens the cuts keep and how a random number maps
  // to one, so it is total.
  if (options_.top_k > 0 && options_.top_k < candidates.size()) {
    const auto end = candidates.begin() + options_.top_k;
    std::partial_sort(candidates.begin(), end, candidates.end(), Before);
    candidates.erase(end, candidates.end());
  } else {
    std::sort(candidates.begin(), candidates.end(), Before);
  }

  std::vector<double> weights(candidates.size());
  const double largest = static_cast<double>(candidates[0].logit);
  const double temperature = static_cast<double>(options_.temperature);
  double total = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    weights[i] = std::exp((static_cast<double>(candidates[i].logit) - largest) /
                          temperature);
    total += weights[i];
  }
  // The fewest tokens that together have at least top_p.
  size_t count = candidates.size();
  if (options_.top_p < 1) {
    const double wanted = static_cast<double>(options_.top_p) * total;
    double sum = 0;
    for (count = 0; count < candidates.size() && (count == 0 || sum < wanted);
         ++count) {
      sum += weights[count];
    }
    total = sum;
  }
  double remaining = rng_.NextDouble() * total;
  for (size_t i = 0; i + 1 < count; ++i) {
    remaining -= weights[i];
    if (remaining < 0) return candidates[i].id;
  }
  return candidates[count - 1].id;
}

float LogProbability(std::span<const float> logits, TokenId id) {
  CHECK(id >= 0 && static_cast<size_t>(id) < logits.size());
  double largest = -std::numeric_limits<double>::infinity();
  for (const float logit : logits) {
    largest = std::max(largest, static_cast<double>(logit));
  }
  double sum = 0;
  for (const float logit : logits) {
    sum += std::exp(static_cast<double>(logit) - largest);
  }
  return static_cast<float>(
      static_cast<double>(logits[static_cast<size_t>(id)]) - largest -
      std::log(sum));
}

}  // namespace inference
