// SPDX-License-Identifier: Apache-2.0
// One float in the place of FloatLanes (inference/quant/lanes-inl.h): the
// searches as plain code, which every target must agree with to the byte.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace inference {

struct PlainWord {
  uint32_t v;

  static PlainWord Set(uint32_t value) { return {value}; }
  static PlainWord Load(const uint32_t* from) { return {*from}; }
  void Store(uint32_t* to) const { *to = v; }
};

inline PlainWord operator&(PlainWord a, PlainWord b) { return {a.v & b.v}; }
inline PlainWord operator|(PlainWord a, PlainWord b) { return {a.v | b.v}; }
inline PlainWord operator+(PlainWord a, PlainWord b) { return {a.v + b.v}; }
inline PlainWord operator-(PlainWord a, PlainWord b) { return {a.v - b.v}; }
template <int kBits>
PlainWord ShiftLeft(PlainWord a) {
  return {a.v << kBits};
}
template <int kBits>
PlainWord ShiftRight(PlainWord a) {
  return {a.v >> kBits};
}

struct PlainFloat {
  using Words = PlainWord;
  using Mask = bool;
  static constexpr size_t kLanes = 1;

  float v;

  static PlainFloat Set(float value) { return {value}; }
  static PlainFloat Load(const float* from) { return {*from}; }
  static PlainFloat FromBits(PlainWord bits) {
    return {std::bit_cast<float>(bits.v)};
  }
  void Store(float* to) const { *to = v; }
};

inline PlainFloat operator+(PlainFloat a, PlainFloat b) { return {a.v + b.v}; }
inline PlainFloat operator-(PlainFloat a, PlainFloat b) { return {a.v - b.v}; }
inline PlainFloat operator*(PlainFloat a, PlainFloat b) { return {a.v * b.v}; }
inline PlainFloat operator/(PlainFloat a, PlainFloat b) { return {a.v / b.v}; }
inline PlainFloat AddSquare(PlainFloat a, PlainFloat sum) {
  return sum + a * a;
}
inline bool operator<(PlainFloat a, PlainFloat b) { return a.v < b.v; }
inline PlainFloat Min(PlainFloat a, PlainFloat b) {
  return {b.v < a.v ? b.v : a.v};
}
inline PlainFloat Max(PlainFloat a, PlainFloat b) {
  return {a.v < b.v ? b.v : a.v};
}
inline PlainFloat AtMost(PlainFloat a, float high) {
  return Min(a, PlainFloat::Set(high));
}
inline PlainFloat AtLeast(PlainFloat a, float low) {
  return Max(a, PlainFloat::Set(low));
}
inline PlainFloat Abs(PlainFloat a) { return {std::fabs(a.v)}; }
// The default rounding mode: ties to even.
inline PlainFloat Round(PlainFloat a) { return {std::nearbyint(a.v)}; }
inline PlainFloat Select(bool mask, PlainFloat yes, PlainFloat no) {
  return mask ? yes : no;
}
inline PlainWord Bits(PlainFloat a) { return {std::bit_cast<uint32_t>(a.v)}; }

}  // namespace inference
