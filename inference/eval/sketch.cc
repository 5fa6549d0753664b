// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/sketch.h"

#include <cmath>
#include <limits>

namespace inference {
namespace {

// Streams that project; those of states are below.
constexpr uint64_t kFirstProjection = 1u << 16;

}  // namespace

float NoiseAt(uint64_t seed, uint64_t index) {
  // The finaliser of splitmix64, over a counter.
  uint64_t x = (seed << 40) + index + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  const auto top = static_cast<int32_t>(x >> 40);  // 24 bits
  return static_cast<float>(top - (1 << 23)) * 0x1p-23f;
}

std::vector<float> Noise(uint64_t seed, size_t count) {
  const float gain = std::sqrt(3.0f);
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = NoiseAt(seed, i) * gain;
  return out;
}

Sketch Project(std::span<const float> values) {
  std::vector<double> sums(kSketchValues);
  for (size_t k = 0; k < kSketchValues; ++k) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      sum += static_cast<double>(values[i]) *
             static_cast<double>(NoiseAt(kFirstProjection + k, i));
    }
    sums[k] = sum;
  }
  return Quantise(sums);
}

Sketch Quantise(std::span<const double> values) {
  Sketch sketch;
  double squares = 0;
  for (const double value : values) squares += value * value;
  if (!std::isfinite(squares)) return sketch;
  sketch.values.resize(values.size());
  if (squares == 0) return sketch;
  const double mean = squares / static_cast<double>(values.size());
  // frexp: root mean square in [2^(e-1), 2^e).
  int exponent = 0;
  std::frexp(std::sqrt(mean), &exponent);
  sketch.exponent = exponent - 1 - kSketchBits;
  if (sketch.exponent > kMaxSketchExponent) return {};
  if (sketch.exponent < -kMaxSketchExponent) {
    sketch.exponent = 0;  // as good as zero
    return sketch;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const double scaled = std::ldexp(values[i], -sketch.exponent);
    if (std::fabs(scaled) > kMaxSketchValue) return {};
    sketch.values[i] = static_cast<int32_t>(std::llround(scaled));
  }
  return sketch;
}

Sketch Quantise(std::span<const float> values) {
  const std::vector<double> wide(values.begin(), values.end());
  return Quantise(std::span<const double>(wide));
}

double Distance(const Sketch& a, const Sketch& b) {
  constexpr double kFar = std::numeric_limits<double>::infinity();
  if (a.values.size() != b.values.size() || !a.finite()) return kFar;
  double apart = 0;
  double size = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    const double x = std::ldexp(static_cast<double>(a.values[i]), a.exponent);
    const double y = std::ldexp(static_cast<double>(b.values[i]), b.exponent);
    apart += (x - y) * (x - y);
    size += x * x;
  }
  if (apart == 0) return 0;
  return size == 0 ? kFar : std::sqrt(apart / size);
}

}  // namespace inference
