// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers (SplitMix64 over seed and counter): the n-th
// number depends on seed and n alone.
#pragma once

#include <cstdint>

namespace inference {

class Rng {
 public:
  explicit Rng(uint64_t seed) : seed_(seed) {}

  uint64_t NextU64();
  // Uniform in [0, 1), 53 bits.
  double NextDouble();

 private:
  uint64_t seed_;
  uint64_t counter_ = 0;
};

}  // namespace inference
