// SPDX-License-Identifier: Apache-2.0
// The router: the k largest gate logits, and softmax over those k alone
// (Mixtral) or over all (OLMoE), in float. Tested by
// tests/inference/moe/router_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "verify/structure/family.h"

namespace inference {

// Writes the k experts with the largest logits, best first and the lower
// number first among equals, and their weights, which add up to 1 if `kind` is
// kOfChosen and to less with the others left out if it is kOfAll. A NaN logit
// counts as the smallest in the order and makes every weight NaN, so that it
// is seen in the output. Requires experts.size() == weights.size() and
// 1 <= experts.size() <= logits.size().
void RouteTopK(std::span<const float> logits, verify::ExpertWeights kind,
               std::span<uint32_t> experts, std::span<float> weights);

}  // namespace inference
