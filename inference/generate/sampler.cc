// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string_view>

#include "verify/base/check.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

// Candidates that are put in order at first, and how many times as many each
// time that those do not suffice: the first hold the draw nearly always.
constexpr size_t kFirstRanked = 64;
constexpr size_t kRankedGrowth = 8;

// As a flag that says 0.01 is read.
constexpr auto kLeastPenalty = static_cast<double>(0.01f);

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

// Also refuses what is no number, which compares as false with everything.
Result<void> CheckRange(std::string_view flag, float option, double low,
                        double high) {
  const auto value = static_cast<double>(option);
  if (value >= low && value <= high) return {};
  return Fail(ErrorCode::kInvalidArgument,
              StrCat(flag, ": ", value, " is not between ", low, " and ", high))
      .Id("E-SAMPLING");
}

}  // namespace

Result<void> CheckSamplerOptions(const SamplerOptions& options) {
  RETURN_IF_ERROR(CheckRange("--temp", options.temperature, 0, 100));
  RETURN_IF_ERROR(CheckRange("--top-p", options.top_p, 0, 1));
  if (!(options.top_p > 0)) {
    return Fail(ErrorCode::kInvalidArgument,
                "--top-p: 0 leaves no token to choose")
        .Id("E-SAMPLING");
  }
  RETURN_IF_ERROR(CheckRange("--min-p", options.min_p, 0, 1));
  RETURN_IF_ERROR(CheckRange("--repeat-penalty", options.repeat_penalty,
                             kLeastPenalty, 100));
  if (options.repeat_last_n > kMaxRepeatWindow) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("--repeat-last-n: ", options.repeat_last_n,
                       " is more than ", kMaxRepeatWindow))
        .Id("E-SAMPLING");
  }
  return {};
}

Sampler::Sampler(const SamplerOptions& options)
    : options_(options), rng_(options.seed) {}

TokenId Sampler::Sample(std::span<const float> logits,
                        std::span<const TokenId> before) {
  logits = Penalise(logits, before);
  if (!(options_.temperature > 0) || options_.top_k == 1) {
    return Greedy(logits);
  }
  Weigh(logits);
  return Draw();
}

std::span<const float> Sampler::Penalise(std::span<const float> logits,
                                         std::span<const TokenId> before) {
  const auto window =
      before.last(std::min<size_t>(before.size(), options_.repeat_last_n));
  if (options_.repeat_penalty == 1 || window.empty()) return logits;
  penalised_.assign(logits.begin(), logits.end());
  for (const TokenId id : window) {
    const auto i = static_cast<size_t>(id);
    // Always from the logit as it was: a token that comes twice counts once.
    if (id < 0 || i >= logits.size() || !std::isfinite(logits[i])) continue;
    const float value = logits[i] > 0 ? logits[i] / options_.repeat_penalty
                                      : logits[i] * options_.repeat_penalty;
    penalised_[i] = std::clamp(value, std::numeric_limits<float>::lowest(),
                               std::numeric_limits<float>::max());
  }
  return penalised_;
}

// Candidates with their weights, after top_k.
void Sampler::Weigh(std::span<const float> logits) {
  candidates_.clear();
  ranked_ = 0;
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    // -inf is a token ruled out; NaN and +inf cannot be weighed.
    if (!std::isfinite(logits[i])) continue;
    candidates_.push_back({static_cast<TokenId>(i), logits[i], 0});
    largest = std::max(largest, logits[i]);
  }
  CHECK(!candidates_.empty());
  if (options_.top_k > 0 && options_.top_k < candidates_.size()) {
    Rank(options_.top_k);
    candidates_.resize(options_.top_k);
  }
  const auto temperature = static_cast<double>(options_.temperature);
  for (Candidate& candidate : candidates_) {
    candidate.weight = std::exp(
        (static_cast<double>(candidate.logit) - static_cast<double>(largest)) /
        temperature);
  }
}

// Puts at least the first `count` candidates in order: largest logit first,
// the lower id among equals. The order decides which tokens the cuts keep and
// how a random number maps to one, so it is total.
void Sampler::Rank(size_t count) {
  count = std::min(count, candidates_.size());
  if (count <= ranked_) return;
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(ranked_);
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  if (end != candidates_.end()) {
    std::nth_element(begin, end, candidates_.end(), before);
  }
  std::sort(begin, end, before);
  ranked_ = count;
}

TokenId Sampler::Draw() {
  // Sums go by ascending id, or down the order: never as a partition has left
  // the candidates, which the library may do in its own way.
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  const auto min_p = static_cast<double>(options_.min_p);
  const auto wanted = static_cast<double>(options_.top_p) * total;
  if (min_p > 0) {
    // Keeps the order of what stays. The likeliest has the weight 1.
    std::erase_if(candidates_,
                  [&](const Candidate& c) { return c.weight < min_p; });
    ranked_ = std::min(ranked_, candidates_.size());
    total = 0;
    for (const Candidate& candidate : candidates_) total += candidate.weight;
  }
  const auto more_ranked = [&](size_t i) {
    if (i == ranked_) {
      Rank(std::max(kFirstRanked, ranked_ * kRankedGrowth));
    }
  };
  size_t count = candidates_.size();
  if (options_.top_p < 1) {
    double sum = 0;
    for (count = 0; count < candidates_.size() && (count == 0 || sum < wanted);
         ++count) {
      more_ranked(count);
      sum += candidates_[count].weight;
    }
    total = sum;
  }
  double remaining = rng_.NextDouble() * total;
  for (size_t i = 0; i + 1 < count; ++i) {
    more_ranked(i);
    remaining -= candidates_[i].weight;
    if (remaining < 0) return candidates_[i].id;
  }
  more_ranked(count - 1);
  return candidates_[count - 1].id;
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
