// SPDX-License-Identifier: Apache-2.0
#include "inference/ops/rope.h"

#include <algorithm>
#include <cmath>

#include "verify/base/check.h"

namespace inference {

RopeTable::RopeTable(size_t head_dim, double theta) {
  CHECK(head_dim % 2 == 0);
  frequencies_.resize(head_dim / 2);
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    frequencies_[i] = std::pow(
        theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
  }
}

void RopeTable::Angles(uint64_t position, std::span<float> cos,
                       std::span<float> sin) const {
  CHECK(cos.size() == num_pairs() && sin.size() == num_pairs());
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    const double angle = static_cast<double>(position) * frequencies_[i];
    cos[i] = static_cast<float>(std::cos(angle));
    sin[i] = static_cast<float>(std::sin(angle));
  }
}

void RotateHeads(std::span<float> x, std::span<const float> cos,
                 std::span<const float> sin, verify::RopeStyle style) {
  const size_t pairs = cos.size();
  const bool half = style == verify::RopeStyle::kHalf;
  std::vector<float> as_stored(half ? 2 * pairs : 0);
  for (size_t head = 0; head + 2 * pairs <= x.size(); head += 2 * pairs) {
    float* const out = x.data() + head;
    if (half) std::copy_n(out, 2 * pairs, as_stored.data());
    for (size_t i = 0; i < pairs; ++i) {
      const float a = half ? as_stored[i] : out[2 * i];
      const float b = half ? as_stored[i + pairs] : out[2 * i + 1];
      out[2 * i] = a * cos[i] - b * sin[i];
      out[2 * i + 1] = a * sin[i] + b * cos[i];
    }
  }
}

}  // namespace inference
