// SPDX-License-Identifier: Apache-2.0
#include "inference/moe/router.h"

#include <cmath>
#include <limits>

#include "verify/base/check.h"

namespace inference {

void RouteTopK(std::span<const float> logits, verify::ExpertWeights kind,
               std::span<uint32_t> experts, std::span<float> weights) {
  const size_t k = experts.size();
  CHECK(k >= 1 && k <= logits.size() && weights.size() == k);
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  bool has_nan = false;
  // Insertion into the k best so far; later equals do not move earlier ones.
  size_t found = 0;
  for (size_t e = 0; e < logits.size(); ++e) {
    has_nan = has_nan || std::isnan(logits[e]);
    const float logit = std::isnan(logits[e]) ? kLowest : logits[e];
    size_t place = found;
    while (place > 0 && logit > weights[place - 1]) --place;
    if (place >= k) continue;
    if (found < k) ++found;
    for (size_t i = found - 1; i > place; --i) {
      experts[i] = experts[i - 1];
      weights[i] = weights[i - 1];
    }
    experts[place] = static_cast<uint32_t>(e);
    weights[place] = logit;
  }
  const float largest = weights[0];
  float sum = 0;
  for (float& weight : weights) {
    weight = has_nan ? std::numeric_limits<float>::quiet_NaN()
                     : std::exp(weight - largest);
    sum += weight;
  }
  if (kind == verify::ExpertWeights::kOfAll) {
    sum = 0;
    for (const float logit : logits) sum += std::exp(logit - largest);
  }
  for (float& weight : weights) weight /= sum;
}

}  // namespace inference
