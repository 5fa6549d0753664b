// SPDX-License-Identifier: Apache-2.0
// A vector of any length as a few whole numbers: random projections, rounded
// to a step. Two vectors that are alike have sketches that are alike, by the
// same relative distance and in any format; two that differ cannot hide it,
// whichever elements differ. Format: docs/formats/fingerprint.md, section 3.
// Tested by tests/inference/eval/sketch_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace inference {

// Number `index` of the stream `seed`: a multiple of 2^-23 in [-1, 1), the
// same on every machine.
float NoiseAt(uint64_t seed, uint64_t index);

// The first `count` numbers of a stream times sqrt(3): variance 1.
std::vector<float> Noise(uint64_t seed, size_t count);

// Whole numbers times a power of two.
struct Sketch {
  int32_t exponent = 0;
  // Empty: the vector held NaN or infinity, or was too large.
  std::vector<int32_t> values;

  bool finite() const { return !values.empty(); }
  bool operator==(const Sketch&) const = default;
};

// Projections of one vector.
inline constexpr size_t kSketchValues = 16;
// A step is at most 2^-16 of the root mean square of the values.
inline constexpr int kSketchBits = 16;
inline constexpr int32_t kMaxSketchValue = 1 << 30;
inline constexpr int32_t kMaxSketchExponent = 200;

// kSketchValues projections of `values` (not empty) on streams of noise.
Sketch Project(std::span<const float> values);

// The values themselves, rounded to a step.
Sketch Quantise(std::span<const double> values);
Sketch Quantise(std::span<const float> values);

// |a - b| / |a|: 0 where both are zero; infinity where only `a` is, where
// their sizes differ, or where one is not finite.
double Distance(const Sketch& a, const Sketch& b);

}  // namespace inference
