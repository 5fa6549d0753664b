// SPDX-License-Identifier: Apache-2.0
// The searches of quantisation are written as if for one block; a lane of a
// vector is a block, so that many are searched side by side and what happens
// to one depends neither on its neighbours nor on the width of vectors.
// FloatLanes and WordLanes are those vectors; whatever has the same members
// can take their place (the tests put a single float there).

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_QUANT_LANES_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_QUANT_LANES_INL_H_
#undef LODESTONE_INFERENCE_QUANT_LANES_INL_H_
#else
#define LODESTONE_INFERENCE_QUANT_LANES_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Blocks side by side: the most lanes of a vector, and a whole number of
// vectors on every target.
inline constexpr size_t kGroupLanes = 16;

using LaneTag = hn::CappedTag<float, kGroupLanes>;
using LaneWordTag = hn::Rebind<uint32_t, LaneTag>;

// Constructors are written out because those that the compiler makes by itself
// lack the CPU target.
struct WordLanes {
  hn::Vec<LaneWordTag> v;

  HWY_INLINE WordLanes() {}
  HWY_INLINE WordLanes(hn::Vec<LaneWordTag> from) : v(from) {}
  static HWY_INLINE WordLanes Set(uint32_t value) {
    return {hn::Set(LaneWordTag(), value)};
  }
  static HWY_INLINE WordLanes Load(const uint32_t* from) {
    return {hn::Load(LaneWordTag(), from)};
  }
  HWY_INLINE void Store(uint32_t* to) const { hn::Store(v, LaneWordTag(), to); }
};

HWY_INLINE WordLanes operator&(WordLanes a, WordLanes b) {
  return {hn::And(a.v, b.v)};
}
HWY_INLINE WordLanes operator|(WordLanes a, WordLanes b) {
  return {hn::Or(a.v, b.v)};
}
HWY_INLINE WordLanes operator+(WordLanes a, WordLanes b) {
  return {hn::Add(a.v, b.v)};
}
HWY_INLINE WordLanes operator-(WordLanes a, WordLanes b) {
  return {hn::Sub(a.v, b.v)};
}
template <int kBits>
HWY_INLINE WordLanes ShiftLeft(WordLanes a) {
  return {hn::ShiftLeft<kBits>(a.v)};
}
template <int kBits>
HWY_INLINE WordLanes ShiftRight(WordLanes a) {
  return {hn::ShiftRight<kBits>(a.v)};
}

struct LaneMask {
  hn::Mask<LaneTag> m;

  HWY_INLINE LaneMask() {}
  HWY_INLINE LaneMask(hn::Mask<LaneTag> from) : m(from) {}
};

struct FloatLanes {
  using Words = WordLanes;
  using Mask = LaneMask;
  static constexpr size_t kLanes = hn::MaxLanes(LaneTag());

  hn::Vec<LaneTag> v;

  HWY_INLINE FloatLanes() {}
  HWY_INLINE FloatLanes(hn::Vec<LaneTag> from) : v(from) {}
  static HWY_INLINE FloatLanes Set(float value) {
    return {hn::Set(LaneTag(), value)};
  }
  static HWY_INLINE FloatLanes Load(const float* from) {
    return {hn::Load(LaneTag(), from)};
  }
  static HWY_INLINE FloatLanes FromBits(WordLanes bits) {
    return {hn::BitCast(LaneTag(), bits.v)};
  }
  HWY_INLINE void Store(float* to) const { hn::Store(v, LaneTag(), to); }
};

HWY_INLINE FloatLanes operator+(FloatLanes a, FloatLanes b) {
  return {hn::Add(a.v, b.v)};
}
HWY_INLINE FloatLanes operator-(FloatLanes a, FloatLanes b) {
  return {hn::Sub(a.v, b.v)};
}
HWY_INLINE FloatLanes operator*(FloatLanes a, FloatLanes b) {
  return {hn::Mul(a.v, b.v)};
}
HWY_INLINE FloatLanes operator/(FloatLanes a, FloatLanes b) {
  return {hn::Div(a.v, b.v)};
}
// sum + a * a of whole numbers so small that nothing is rounded: in one step
// where there is one, with the same bits.
HWY_INLINE FloatLanes AddSquare(FloatLanes a, FloatLanes sum) {
  return {hn::MulAdd(a.v, a.v, sum.v)};
}
HWY_INLINE LaneMask operator<(FloatLanes a, FloatLanes b) {
  return {hn::Lt(a.v, b.v)};
}
// Of numbers; what comes of NaN differs between targets.
HWY_INLINE FloatLanes Min(FloatLanes a, FloatLanes b) {
  return {hn::Min(a.v, b.v)};
}
HWY_INLINE FloatLanes Max(FloatLanes a, FloatLanes b) {
  return {hn::Max(a.v, b.v)};
}
// Min(a, high) for high >= 0, and Max(a, low) for low < 0, of numbers: the bits
// in order. CPUs have more units for this than for multiplying and comparing
// floats, which is what a search is made of.
HWY_INLINE FloatLanes AtMost(FloatLanes a, float high) {
  const hn::RebindToSigned<LaneTag> d;
  return {hn::BitCast(
      LaneTag(),
      hn::Min(hn::BitCast(d, a.v), hn::BitCast(d, hn::Set(LaneTag(), high))))};
}
HWY_INLINE FloatLanes AtLeast(FloatLanes a, float low) {
  const LaneWordTag d;
  return {hn::BitCast(
      LaneTag(),
      hn::Min(hn::BitCast(d, a.v), hn::BitCast(d, hn::Set(LaneTag(), low))))};
}
HWY_INLINE FloatLanes Abs(FloatLanes a) { return {hn::Abs(a.v)}; }
// Nearest integer, ties to even, of |a| < 2^22.
HWY_INLINE FloatLanes Round(FloatLanes a) { return {hn::Round(a.v)}; }
HWY_INLINE FloatLanes Select(LaneMask mask, FloatLanes yes, FloatLanes no) {
  return {hn::IfThenElse(mask.m, yes.v, no.v)};
}
HWY_INLINE WordLanes Bits(FloatLanes a) {
  return {hn::BitCast(LaneWordTag(), a.v)};
}

#if HWY_TARGET != HWY_SCALAR
// Four floats of every fourth row, as the parts of a vector.
template <class D>
HWY_INLINE hn::Vec<D> LoadParts(D d, const float* const* rows, size_t i) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    return hn::LoadU(d, rows[0] + i);
  } else {
    const hn::Half<D> half;
    constexpr size_t kRows = hn::MaxLanes(hn::Half<D>());
    return hn::Combine(d, LoadParts(half, rows + kRows, i),
                       LoadParts(half, rows, i));
  }
}
#endif

// to[i][lane] = element i of block `lane`: kElements floats of each of
// `num_blocks` blocks one after the other; the other lanes become zeros.
template <size_t kElements>
HWY_INLINE void Transpose(const float* HWY_RESTRICT from, size_t num_blocks,
                          float* HWY_RESTRICT to) {
  alignas(64) static constexpr float kNone[kElements] = {};
  const float* rows[kGroupLanes];
  for (size_t b = 0; b < kGroupLanes; ++b) {
    rows[b] = b < num_blocks ? from + b * kElements : kNone;
  }
#if HWY_TARGET == HWY_SCALAR
  for (size_t b = 0; b < kGroupLanes; ++b) {
    for (size_t i = 0; i < kElements; ++i) {
      to[i * kGroupLanes + b] = rows[b][i];
    }
  }
#else
  const LaneTag d;
  const hn::Repartition<double, LaneTag> d64;
  constexpr size_t kLanes = hn::MaxLanes(LaneTag());
  for (size_t b = 0; b < kGroupLanes; b += kLanes) {
    HWY_UNROLL(1)
    for (size_t i = 0; i < kElements; i += 4) {
      // A part of a vector is a square of four rows.
      const auto r0 = LoadParts(d, rows + b, i);
      const auto r1 = LoadParts(d, rows + b + 1, i);
      const auto r2 = LoadParts(d, rows + b + 2, i);
      const auto r3 = LoadParts(d, rows + b + 3, i);
      // 0, 1 of rows 0 and 1; the same of rows 2 and 3; then 2, 3.
      const auto low01 = hn::BitCast(d64, hn::InterleaveLower(d, r0, r1));
      const auto low23 = hn::BitCast(d64, hn::InterleaveLower(d, r2, r3));
      const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(d, r0, r1));
      const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(d, r2, r3));
      float* const out = to + i * kGroupLanes + b;
      hn::Store(hn::BitCast(d, hn::InterleaveLower(d64, low01, low23)), d, out);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(d64, low01, low23)), d,
                out + kGroupLanes);
      hn::Store(hn::BitCast(d, hn::InterleaveLower(d64, high01, high23)), d,
                out + 2 * kGroupLanes);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(d64, high01, high23)), d,
                out + 3 * kGroupLanes);
    }
  }
#endif
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
