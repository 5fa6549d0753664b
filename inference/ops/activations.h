// SPDX-License-Identifier: Apache-2.0
// Activations as the products with packed weights take them: blocks of 32
// signed bytes with a scale.
#pragma once

#include <cstddef>
#include <cstdint>

namespace inference {

inline constexpr size_t kActivationElements = 32;

// Element i is scale * q[i]; |q| <= 127. The sums spare the products work:
// those of weights that have an offset, and of codes that are stored unsigned.
struct ActivationBlock {
  int8_t q[kActivationElements];
  float scale;             // NaN where an element is not finite
  float sum;               // scale * (sum of q)
  int32_t minus_sum;       // -(sum of q)
  int32_t minus_half_sum;  // -(sum of the first 16)
};
static_assert(sizeof(ActivationBlock) == 48);

// -(sum of q) over half 0 or 1 of a block.
inline int32_t MinusHalfSum(const ActivationBlock& x, size_t half) {
  return half == 0 ? x.minus_half_sum : x.minus_sum - x.minus_half_sum;
}

// scale * (sum of q) over half 0 or 1 of a block.
inline float HalfSum(const ActivationBlock& x, size_t half) {
  const float first = static_cast<float>(-x.minus_half_sum) * x.scale;
  return half == 0 ? first : x.sum - first;
}

}  // namespace inference
