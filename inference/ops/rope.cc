// SPDX-License-Identifier: Apache-2.0
#include "inference/ops/rope.h"

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
  const size_t step = half ? 1 : 2;
  const size_t apart = half ? pairs : 1;
  for (size_t head = 0; head + 2 * pairs <= x.size(); head += 2 * pairs) {
    for (size_t i = 0; i < pairs; ++i) {
      float& a = x[head + i * step];
      float& b = x[head + i * step + apart];
      const float rotated_a = a * cos[i] - b * sin[i];
      const float rotated_b = a * sin[i] + b * cos[i];
      a = rotated_a;
      b = rotated_b;
    }
  }
}

}  // namespace inference
