// SPDX-License-Identifier: Apache-2.0
// Mixtral's router: the k largest gate logits, softmax over those k alone, in
// float. Tested by tests/inference/moe/router_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace inference {

// Writes the k experts with the largest logits, best first and the lower
// number first among equals, and their weights, which add up to 1. A NaN logit
// counts as the smallest in the order and makes every weight NaN, so that it
// is seen in the output. Requires experts.size() == weights.size() and
// 1 <= experts.size() <= logits.size().
void RouteTopK(std::span<const float> logits, std::span<uint32_t> experts,
               std::span<float> weights);

}  // namespace inference
