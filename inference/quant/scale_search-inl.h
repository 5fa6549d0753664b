// SPDX-License-Identifier: Apache-2.0
// The scale, or scale and offset, of blocks that gives the smallest weighted
// squared error. A block is a lane, see lanes-inl.h: element i of the blocks is
// at x + i * kGroupLanes. All sums run over the elements of a block in order.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_QUANT_SCALE_SEARCH_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_QUANT_SCALE_SEARCH_INL_H_
#undef LODESTONE_INFERENCE_QUANT_SCALE_SEARCH_INL_H_
#else
#define LODESTONE_INFERENCE_QUANT_SCALE_SEARCH_INL_H_
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "hwy/highway.h"
#include "inference/quant/block_types.h"
#include "inference/quant/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// 1.5 * 2^23: floats of this size have a spacing of 1, so adding it rounds to
// an integer, ties to even, and leaves that integer in the low bits.
inline constexpr float kRoundingBias = 12582912.0f;

// Nearest integer of |v| < 2^22 as a word whose low byte is that integer.
template <class F>
HWY_INLINE typename F::Words IntegerBits(F v) {
  return Bits(v + F::Set(kRoundingBias));
}

template <class F>
HWY_INLINE F Clamp(F v, float low, float high) {
  return Min(Max(v, F::Set(low)), F::Set(high));
}

// Nearest half of a number, as a float; beyond the largest half, that.
template <class F>
HWY_INLINE F RoundToHalf(F v) {
  using W = typename F::Words;
  v = Clamp(v, -65504.0f, 65504.0f);
  const W bits = Bits(v);
  const W odd = ShiftRight<13>(bits) & W::Set(1);
  const F normal =
      F::FromBits((bits + W::Set(0xfff) + odd) & W::Set(0xffffe000u));
  // 0.5 has the spacing of the half subnormals, 2^-24.
  const F half = F::Set(0.5f);
  const W small = Bits((Abs(v) + half) - half) | (bits & W::Set(0x80000000u));
  return Select(Abs(v) < F::Set(0x1p-14f), F::FromBits(small), normal);
}

// The bits of a half, of its value.
template <class F>
HWY_INLINE typename F::Words HalfBits(F v) {
  using W = typename F::Words;
  const F magnitude = Abs(v);
  const W normal = ShiftRight<13>(Bits(magnitude) - W::Set(0x38000000u));
  const W small = Bits(magnitude + F::Set(0.5f)) - W::Set(0x3f000000u);
  const F bits = Select(magnitude < F::Set(0x1p-14f), F::FromBits(small),
                        F::FromBits(normal));
  return Bits(bits) | (ShiftRight<16>(Bits(v)) & W::Set(0x8000u));
}

// 1 / v, and 0 for scales so small that they are 0 as a half.
template <class F>
HWY_INLINE F SafeInverse(F v) {
  const F none = F::Set(0.0f);
  const auto tiny = Abs(v) < F::Set(0x1p-100f);
  return Select(tiny, none, F::Set(1.0f) / Select(tiny, F::Set(1.0f), v));
}

// Levels at the integers kLow..kHigh.
template <int kLow, int kHigh>
struct IntegerLevels {
  static_assert(kLow % 2 == 0);  // counting from it keeps ties to even
  static constexpr bool kFiveBits = kHigh - kLow == 31;
  static constexpr float kLowest = static_cast<float>(kLow);
  static constexpr float kHighest = static_cast<float>(kHigh);

  template <class F>
  static HWY_INLINE F Nearest(F v) {
    return Round(Clamp(v, kLowest, kHighest));
  }
  // Of |v| <= limit, save for rounding: without the clamps that cannot bind.
  template <class F>
  static HWY_INLINE F NearestWithin(F v, float limit) {
    if (limit > 0.49f - kLowest) v = AtLeast(v, kLowest);
    if (limit > 0.49f + kHighest) v = AtMost(v, kHighest);
    return Round(v);
  }
  // The level as a count from the lowest.
  template <class F>
  static HWY_INLINE typename F::Words Code(F v) {
    return Bits(Clamp(v, kLowest, kHighest) + F::Set(kRoundingBias - kLowest));
  }
};

// The 16 levels of iq4_nl.
struct Iq4Levels {
  static constexpr bool kFiveBits = false;

  static constexpr float Level(size_t n) {
    return static_cast<float>(kIq4Levels[n]);
  }
  static constexpr float Middle(size_t n) {
    return (Level(n) + Level(n + 1)) / 2;
  }
  template <class F>
  static HWY_INLINE F Nearest(F v) {
    F level = F::Set(Level(0));
    for (size_t n = 0; n < 15; ++n) {
      level = Select(F::Set(Middle(n)) < v, F::Set(Level(n + 1)), level);
    }
    return level;
  }
  template <class F>
  static HWY_INLINE F NearestWithin(F v, float) {
    return Nearest(v);
  }
  template <class F>
  static HWY_INLINE typename F::Words Code(F v) {
    F code = F::Set(0.0f);
    for (size_t n = 0; n < 15; ++n) {
      code = Select(F::Set(Middle(n)) < v, F::Set(static_cast<float>(n + 1)),
                    code);
    }
    return IntegerBits(code);
  }
};

// Element i of the blocks, times its weight where there are weights.
template <bool kWeighted, class F>
HWY_INLINE F Weigh(const float* w, size_t i, F v) {
  if constexpr (kWeighted) return F::Load(w + i * kGroupLanes) * v;
  return v;
}

// sum + weighted * level. Levels are whole numbers below 256: without weights
// their squares are exact in any sum over a block.
template <bool kWeighted, class F>
HWY_INLINE F AddLevelSquare(F weighted, F level, F sum) {
  if constexpr (kWeighted) return sum + weighted * level;
  return AddSquare(level, sum);
}

// Of levels q against elements x. Constructors are written out, as those of
// lanes are.
template <class F>
struct ScaleSums {
  F xq;
  F qq;

  HWY_INLINE ScaleSums() {}
  HWY_INLINE ScaleSums(F product, F square) : xq(product), qq(square) {}
};

// Levels nearest to x * inverse[k], which is no more than the limit of try k,
// for all tries: an element is loaded once for them. Sums are kept in two
// halves, of even and of odd elements: additions that wait for each other are
// what a pass takes its time with. The loop is kept as one: taken apart, it has
// more under way at once than there are registers.
template <bool kWeighted, class Levels, size_t kElements, const auto& kLimits,
          size_t... kTries, class F>
HWY_INLINE void SumLevels(const float* x, const float* w, const F* inverse,
                          ScaleSums<F>* out, std::index_sequence<kTries...>) {
  const F zero = F::Set(0.0f);
  ScaleSums<F> sums[2][sizeof...(kTries)];
  ((sums[0][kTries] = {zero, zero}, sums[1][kTries] = {zero, zero}), ...);
  HWY_UNROLL(1)
  for (size_t i = 0; i < kElements; i += 2) {
    const auto add = [&](size_t odd, size_t k, F value, float limit) HWY_ATTR {
      const F q = Levels::NearestWithin(value * inverse[k], limit);
      const F wq = Weigh<kWeighted>(w, i + odd, q);
      sums[odd][k].xq = sums[odd][k].xq + wq * value;
      sums[odd][k].qq = AddLevelSquare<kWeighted>(wq, q, sums[odd][k].qq);
    };
    const F even = F::Load(x + i * kGroupLanes);
    (add(0, kTries, even, kLimits[kTries]), ...);
    const F odd = F::Load(x + (i + 1) * kGroupLanes);
    (add(1, kTries, odd, kLimits[kTries]), ...);
  }
  ((out[kTries] = {sums[0][kTries].xq + sums[1][kTries].xq,
                   sums[0][kTries].qq + sums[1][kTries].qq}),
   ...);
}

// Of one try without a limit.
inline constexpr std::array kNoLimits = {3e38f};
template <bool kWeighted, class Levels, size_t kElements, class F>
HWY_INLINE ScaleSums<F> SumLevels(const float* x, const float* w, F inverse) {
  ScaleSums<F> sums;
  SumLevels<kWeighted, Levels, kElements, kNoLimits>(x, w, &inverse, &sums,
                                                     std::index_sequence<0>());
  return sums;
}

// What remains of the squared error falls by this where levels q are scaled.
template <class F>
HWY_INLINE F Gain(const ScaleSums<F>& sums, F scale) {
  return scale * ((sums.xq + sums.xq) - scale * sums.qq);
}

template <class F>
struct ScaleFit {
  F scale;
  F gain;
  ScaleSums<F> sums;
};

// The element of the largest magnitude, with its sign; of several, one.
template <size_t kElements, class F>
HWY_INLINE F Extreme(const float* x, F) {
  F extreme[4];
  for (size_t j = 0; j < 4; ++j) extreme[j] = F::Load(x + j * kGroupLanes);
  const auto larger = [](F a, F b)
                          HWY_ATTR { return Select(Abs(a) < Abs(b), b, a); };
  HWY_UNROLL(1)
  for (size_t i = 4; i < kElements; i += 4) {
    HWY_UNROLL(4)
    for (size_t j = 0; j < 4; ++j) {
      extreme[j] = larger(extreme[j], F::Load(x + (i + j) * kGroupLanes));
    }
  }
  return larger(larger(extreme[0], extreme[1]), larger(extreme[2], extreme[3]));
}

// How many starts are tried in one pass: as many as registers hold the sums of.
inline constexpr size_t kTriesTogether = 2;

// Starts from kFirst on that are tried in one pass.
template <const auto& kStarts, size_t kFirst>
struct SomeStarts {
  static constexpr size_t kCount =
      kStarts.size() - kFirst < kTriesTogether ? 1 : kTriesTogether;
  static constexpr auto kLimits = [] {
    std::array<float, kCount> limits;
    for (size_t k = 0; k < kCount; ++k) {
      const float start = kStarts[kFirst + k];
      limits[k] = start < 0 ? -start : start;
    }
    return limits;
  }();
};

template <class F>
HWY_INLINE void KeepBetter(const ScaleSums<F>& sums, ScaleFit<F>& best) {
  // Without levels there is nothing to divide by, and nothing to gain.
  const F scale = sums.xq / Max(sums.qq, F::Set(1e-30f));
  const F gain = scale * sums.xq;
  const auto better = best.gain < gain;
  best.scale = Select(better, scale, best.scale);
  best.gain = Select(better, gain, best.gain);
  best.sums.xq = Select(better, sums.xq, best.sums.xq);
  best.sums.qq = Select(better, sums.qq, best.sums.qq);
}

// Starts from kFirst on; `unit` = 1 / extreme.
template <bool kWeighted, class Levels, size_t kElements, const auto& kStarts,
          size_t kFirst, class F>
HWY_INLINE void TryStarts(const float* x, const float* w, F unit,
                          ScaleFit<F>& best) {
  if constexpr (kFirst < kStarts.size()) {
    using Some = SomeStarts<kStarts, kFirst>;
    F inverse[Some::kCount];
    ScaleSums<F> sums[Some::kCount];
    HWY_UNROLL(2)
    for (size_t k = 0; k < Some::kCount; ++k) {
      inverse[k] = F::Set(kStarts[kFirst + k]) * unit;
    }
    SumLevels<kWeighted, Levels, kElements, Some::kLimits>(
        x, w, inverse, sums, std::make_index_sequence<Some::kCount>());
    HWY_UNROLL(2)
    for (size_t k = 0; k < Some::kCount; ++k) KeepBetter(sums[k], best);
    TryStarts<kWeighted, Levels, kElements, kStarts, kFirst + Some::kCount>(
        x, w, unit, best);
  }
}

// Levels x * c / extreme for every c of kStarts, then `kRepeats` times for
// the best scale so far; for each, the scale that fits the levels best. The
// best of all; 0 for a block of zeros.
template <bool kWeighted, class Levels, size_t kElements, size_t kRepeats,
          class F, const auto& kStarts>
HWY_INLINE ScaleFit<F> FitScale(const float* x, const float* w) {
  const F zero = F::Set(0.0f);
  ScaleFit<F> best = {zero, zero, {zero, zero}};
  const F extreme = Extreme<kElements>(x, F());
  TryStarts<kWeighted, Levels, kElements, kStarts, 0>(
      x, w, SafeInverse(extreme), best);
  for (size_t i = 0; i < kRepeats; ++i) {
    KeepBetter(
        SumLevels<kWeighted, Levels, kElements>(x, w, SafeInverse(best.scale)),
        best);
  }
  return best;
}

// Of levels n against elements z.
template <class F>
struct OffsetSums {
  F n;
  F nn;
  F zn;
};

// Weights and elements alone.
template <class F>
struct OffsetTotals {
  F w;
  F z;
};

template <class F>
struct OffsetFit {
  F scale;
  F offset;
  F gain;
  OffsetSums<F> sums;
};

template <bool kWeighted, size_t kElements, class F>
HWY_INLINE OffsetTotals<F> SumElements(const float* z, const float* w, F) {
  OffsetTotals<F> totals = {F::Set(0.0f), F::Set(0.0f)};
  for (size_t i = 0; i < kElements; ++i) {
    totals.w = totals.w + Weigh<kWeighted>(w, i, F::Set(1.0f));
    totals.z = totals.z + Weigh<kWeighted>(w, i, F::Load(z + i * kGroupLanes));
  }
  return totals;
}

// Levels nearest to z * inverse + shift.
template <bool kWeighted, int kHigh, size_t kElements, class F>
HWY_INLINE OffsetSums<F> SumOffsetLevels(const float* z, const float* w,
                                         F inverse, F shift) {
  const F zero = F::Set(0.0f);
  OffsetSums<F> sums[2] = {{zero, zero, zero}, {zero, zero, zero}};
  for (size_t i = 0; i < kElements; i += 2) {
    for (size_t odd = 0; odd < 2; ++odd) {
      const F value = F::Load(z + (i + odd) * kGroupLanes);
      const F n = IntegerLevels<0, kHigh>::Nearest(value * inverse + shift);
      const F wn = Weigh<kWeighted>(w, i + odd, n);
      sums[odd].n = sums[odd].n + wn;
      sums[odd].nn = AddLevelSquare<kWeighted>(wn, n, sums[odd].nn);
      sums[odd].zn = sums[odd].zn + wn * value;
    }
  }
  return {sums[0].n + sums[1].n, sums[0].nn + sums[1].nn,
          sums[0].zn + sums[1].zn};
}

// As Gain above: levels n, scaled and moved by an offset.
template <class F>
HWY_INLINE F Gain(const OffsetSums<F>& sums, const OffsetTotals<F>& totals,
                  F scale, F offset) {
  const F linear = scale * sums.zn + offset * totals.z;
  const F square = scale * (scale * sums.nn) + offset * (offset * totals.w);
  const F mixed = scale * (offset * sums.n);
  return (linear + linear) - (square + (mixed + mixed));
}

// Where the smallest and the largest element are put at first: so many levels
// beyond the lowest and the highest. How they were found: docs/decisions/0008.
inline constexpr float kOffsetStarts[] = {0.25f, -0.25f, -0.75f, -1.25f};

// Elements `z` of 0 and more, the largest being `range`, as scale * n + offset
// with offset <= max_offset: the least squares for the levels that each pair of
// kOffsetStarts gives, then kRepeats times for those of the best so far.
template <bool kWeighted, int kHigh, size_t kElements, size_t kRepeats, class F>
HWY_INLINE OffsetFit<F> FitOffset(const float* z, const float* w,
                                  const OffsetTotals<F>& totals, F range,
                                  F max_offset) {
  const F zero = F::Set(0.0f);
  // One level for all: the mean.
  const F mean = Min(totals.z / totals.w, max_offset);
  OffsetFit<F> best = {zero,
                       mean,
                       mean * ((totals.z + totals.z) - mean * totals.w),
                       {zero, zero, zero}};
  const auto try_levels = [&](F inverse, F shift) HWY_ATTR {
    const auto sums =
        SumOffsetLevels<kWeighted, kHigh, kElements>(z, w, inverse, shift);
    const F square = totals.w * sums.nn;
    const F determinant = square - sums.n * sums.n;
    // All levels the same, but for rounding: no scale follows from them.
    const auto flat = determinant < square * F::Set(1e-5f) + F::Set(1e-30f);
    F scale = (totals.w * sums.zn - sums.n * totals.z) /
              Select(flat, F::Set(1.0f), determinant);
    F offset = (totals.z - scale * sums.n) / totals.w;
    scale = Max(Select(flat, zero, scale), zero);
    offset = Select(flat, totals.z / totals.w, offset);
    // Not free: the best scale for the largest offset.
    const auto free = offset < max_offset;
    const auto none = sums.nn < F::Set(1e-30f);
    const F bound_scale =
        (sums.zn - max_offset * sums.n) / Select(none, F::Set(1.0f), sums.nn);
    scale = Select(free, scale, Max(bound_scale, zero));
    offset = Select(free, offset, max_offset);
    const F gain = Gain(sums, totals, scale, offset);
    const auto better = best.gain < gain;
    best.scale = Select(better, scale, best.scale);
    best.offset = Select(better, offset, best.offset);
    best.gain = Select(better, gain, best.gain);
    best.sums.n = Select(better, sums.n, best.sums.n);
    best.sums.nn = Select(better, sums.nn, best.sums.nn);
    best.sums.zn = Select(better, sums.zn, best.sums.zn);
  };
  const F unit = SafeInverse(range);
  for (const float below : kOffsetStarts) {
    for (const float above : kOffsetStarts) {
      const float span = static_cast<float>(kHigh) + below + above;
      try_levels(F::Set(span) * unit, F::Set(-below));
    }
  }
  for (size_t i = 0; i < kRepeats; ++i) {
    const F inverse = SafeInverse(best.scale);
    try_levels(inverse, zero - best.offset * inverse);
  }
  return best;
}

// The 16 levels of mxfp4, an index of magnitudes and a sign.
struct Fp4Levels {
  static constexpr float Middle(size_t n) {
    return (kFp4Levels[n] + kFp4Levels[n + 1]) / 2;
  }
  // Of a magnitude.
  template <class F>
  static HWY_INLINE F Nearest(F v) {
    F level = F::Set(0.0f);
    for (size_t n = 0; n < 7; ++n) {
      level = Select(F::Set(Middle(n)) < v, F::Set(kFp4Levels[n + 1]), level);
    }
    return level;
  }
  template <class F>
  static HWY_INLINE typename F::Words Code(F v) {
    const F magnitude = Abs(v);
    F code = F::Set(0.0f);
    for (size_t n = 0; n < 7; ++n) {
      code = Select(F::Set(Middle(n)) < magnitude,
                    F::Set(static_cast<float>(n + 1)), code);
    }
    const auto negative = v < F::Set(-Middle(0));
    return IntegerBits(Select(negative, code + F::Set(8.0f), code));
  }
};

// The power of two, 2^-127 to 2^126, with which the levels of mxfp4 fit best.
template <bool kWeighted, class F>
HWY_INLINE F FitPowerOfTwo(const float* x, const float* w, F) {
  const F extreme = Extreme<kBlockElements>(x, F());
  // In units of `middle` the largest magnitude is from 4 up to 8; beyond 6 it
  // may be better to double the unit.
  const F power = F::FromBits(Bits(extreme) & F::Words::Set(0x7f800000u));
  const F middle = Max(power, F::Set(0x1p-124f)) * F::Set(0.25f);
  const F inverse = F::Set(1.0f) / middle;
  // In squares of `middle`.
  const auto error_of = [&](float factor) HWY_ATTR {
    const F to_levels = inverse * F::Set(1 / factor);
    F error = F::Set(0.0f);
    for (size_t i = 0; i < kBlockElements; ++i) {
      const F v = Abs(F::Load(x + i * kGroupLanes)) * to_levels;
      const F off = v - Fp4Levels::Nearest(v);
      error = error + Weigh<kWeighted>(w, i, off * off);
    }
    return error * F::Set(factor * factor);
  };
  F best = middle;
  F least = error_of(1.0f);
  // Twice 2^125, the largest level that is needed is beyond the floats.
  const F doubled = Select(middle < F::Set(0x1p125f), error_of(2.0f), least);
  const auto double_better = doubled < least;
  best = Select(double_better, middle * F::Set(2.0f), best);
  least = Select(double_better, doubled, least);
  best = Select(error_of(0.5f) < least, middle * F::Set(0.5f), best);
  return best;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
