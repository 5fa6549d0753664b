// SPDX-License-Identifier: Apache-2.0
// Numbers for tests: the same on every machine for the same seed.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tests {

// Knuth's 64-bit linear congruential generator; the upper bits are used.
class TestRandom {
 public:
  explicit TestRandom(uint64_t seed) : state_(seed * 2 + 1) {}

  uint32_t NextU32() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }
  // Uniform in [-1, 1).
  float NextFloat() {
    return static_cast<float>(static_cast<double>(NextU32()) * 0x1p-31 - 1.0);
  }
  // `count` uniform numbers in [-scale, scale).
  std::vector<float> Floats(size_t count, float scale = 1.0f) {
    std::vector<float> out(count);
    for (float& value : out) value = NextFloat() * scale;
    return out;
  }

 private:
  uint64_t state_;
};

}  // namespace tests
