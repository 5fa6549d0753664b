// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/rng.h"

namespace inference {

uint64_t Rng::NextU64() {
  // SplitMix64 (Steele, Lea, Flood 2014): the constants are the paper's.
  uint64_t z = seed_ + (++counter_) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

double Rng::NextDouble() {
  return static_cast<double>(NextU64() >> 11) * 0x1.0p-53;
}

}  // namespace inference
