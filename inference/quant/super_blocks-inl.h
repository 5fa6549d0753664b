// SPDX-License-Identifier: Apache-2.0
// Encoding of q4_k and q5_k. A lane is a sub-block; what a super-block
// decides for all its sub-blocks is added up over them in order.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_QUANT_SUPER_BLOCKS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_QUANT_SUPER_BLOCKS_INL_H_
#undef LODESTONE_INFERENCE_QUANT_SUPER_BLOCKS_INL_H_
#else
#define LODESTONE_INFERENCE_QUANT_SUPER_BLOCKS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "inference/quant/block_types.h"
#include "inference/quant/float_formats.h"
#include "inference/quant/lanes-inl.h"
#include "inference/quant/scale_search-inl.h"
#include "inference/quant/small_blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

using LaneFloats = float[kGroupLanes];

inline constexpr size_t kSubBlocks = 8;  // of q4_k and q5_k
inline constexpr float kMaxSubScale = 63.0f;

// Scale and min of a super-block are tried as if the largest of its sub-blocks
// stood at these of the levels 0..63.
inline constexpr float kTopLevels[] = {63.0f, 61.5f};

// Levels are chosen so many times, each for scales that fit the last ones.
inline constexpr size_t kRounds = 3;

// What is known of the sub-blocks; elements are held as z = x - low.
struct SubBlocks {
  alignas(64) LaneFloats low;
  alignas(64) LaneFloats w;  // totals
  alignas(64) LaneFloats z;
  alignas(64) LaneFloats n;  // sums of the levels chosen last
  alignas(64) LaneFloats nn;
  alignas(64) LaneFloats zn;
  alignas(64) LaneFloats scale;   // that fits these levels best
  alignas(64) LaneFloats amount;  // likewise; what is subtracted
};

// A way to store them. `scale` and `min` are the same for all sub-blocks of a
// super-block, and halves.
struct SubChoice {
  alignas(64) LaneFloats scale;
  alignas(64) LaneFloats min;
  alignas(64) LaneFloats sub_scale;  // 0..63
  alignas(64) LaneFloats sub_min;
  alignas(64) LaneFloats gain;
};

template <size_t kCount>
HWY_INLINE float SumOf(const float* lanes) {
  float sum = lanes[0];
  for (size_t i = 1; i < kCount; ++i) sum += lanes[i];
  return sum;
}

HWY_INLINE void CopySuperBlock(const SubChoice& from, size_t first,
                               SubChoice& to) {
  for (size_t s = first; s < first + kSubBlocks; ++s) {
    to.scale[s] = from.scale[s];
    to.min[s] = from.min[s];
    to.sub_scale[s] = from.sub_scale[s];
    to.sub_min[s] = from.sub_min[s];
    to.gain[s] = from.gain[s];
  }
}

HWY_INLINE float PlainRoundToHalf(float v) {
  return HalfToFloat(FloatToHalf(std::min(std::max(v, -65504.0f), 65504.0f)));
}

// A half that is 0 for 0 alone: with the smallest half as common scale there
// may still be levels for the sub-blocks where 0 would make all of them 0.
HWY_INLINE float RoundToHalfNotZero(float v) {
  const float half = PlainRoundToHalf(v);
  return half != 0 || v == 0 ? half : std::copysign(0x1p-24f, v);
}

// Sets what is common to the sub-blocks from `first` on.
HWY_INLINE void SetCommon(float scale, float min, size_t first,
                          SubChoice& choice) {
  for (size_t s = first; s < first + kSubBlocks; ++s) {
    choice.scale[s] = scale;
    choice.min[s] = min;
  }
}

template <class F>
HWY_INLINE OffsetTotals<F> LoadTotals(const SubBlocks& sub, size_t lane) {
  return {F::Load(sub.w + lane), F::Load(sub.z + lane)};
}

template <class F>
HWY_INLINE OffsetSums<F> LoadSums(const SubBlocks& sub, size_t lane) {
  return {F::Load(sub.n + lane), F::Load(sub.nn + lane),
          F::Load(sub.zn + lane)};
}

// sub_scale, sub_min and gain for the common scale and min, as far as the
// levels chosen last tell: the scales next to the best one, and for each the
// min that fits.
template <class F>
HWY_INLINE void ChooseSubScales(const SubBlocks& sub, SubChoice& choice) {
  const F zero = F::Set(0.0f);
  for (size_t lane = 0; lane < kGroupLanes; lane += F::kLanes) {
    const auto totals = LoadTotals<F>(sub, lane);
    const auto sums = LoadSums<F>(sub, lane);
    const F low = F::Load(sub.low + lane);
    const F scale = F::Load(choice.scale + lane);
    const F min = F::Load(choice.min + lane);
    const F exact = F::Load(sub.scale + lane) * SafeInverse(scale);
    const F inverse_min = SafeInverse(min);
    const F nearest = Round(Min(exact, F::Set(kMaxSubScale)));
    const F other =
        Select(nearest < exact, nearest + F::Set(1.0f), nearest - F::Set(1.0f));
    F best_scale = zero;
    F best_min = zero;
    F best_gain = F::Set(-3e38f);
    for (const F level : {nearest, Clamp(other, 0.0f, kMaxSubScale)}) {
      const F step = scale * level;
      const F amount = zero - (low + (totals.z - step * sums.n) / totals.w);
      const F min_level =
          Round(Clamp(amount * inverse_min, 0.0f, kMaxSubScale));
      const F offset = (zero - min * min_level) - low;
      const F gain = Gain(sums, totals, step, offset);
      const auto better = best_gain < gain;
      best_scale = Select(better, level, best_scale);
      best_min = Select(better, min_level, best_min);
      best_gain = Select(better, gain, best_gain);
    }
    best_scale.Store(choice.sub_scale + lane);
    best_min.Store(choice.sub_min + lane);
    best_gain.Store(choice.gain + lane);
  }
}

// Scale and offset, in elements z, that a choice gives.
template <class F>
struct StoredFit {
  F scale;
  F offset;
  F inverse;
  F start;
};

template <class F>
HWY_INLINE StoredFit<F> Stored(const SubBlocks& sub, const SubChoice& choice,
                               size_t lane) {
  const F zero = F::Set(0.0f);
  const F scale =
      F::Load(choice.scale + lane) * F::Load(choice.sub_scale + lane);
  const F offset =
      (zero - F::Load(choice.min + lane) * F::Load(choice.sub_min + lane)) -
      F::Load(sub.low + lane);
  const F inverse = SafeInverse(scale);
  return {scale, offset, inverse, zero - offset * inverse};
}

// The levels for what is stored: their sums, and what is gained.
template <bool kWeighted, int kHigh, class F>
HWY_INLINE void ChooseLevels(const float* z, const float* w, SubChoice& choice,
                             SubBlocks& sub) {
  for (size_t lane = 0; lane < kGroupLanes; lane += F::kLanes) {
    const auto stored = Stored<F>(sub, choice, lane);
    const auto totals = LoadTotals<F>(sub, lane);
    const auto sums = SumOffsetLevels<kWeighted, kHigh, kBlockElements>(
        z + lane, w + lane, stored.inverse, stored.start);
    Gain(sums, totals, stored.scale, stored.offset).Store(choice.gain + lane);
    sums.n.Store(sub.n + lane);
    sums.nn.Store(sub.nn + lane);
    sums.zn.Store(sub.zn + lane);
    const F square = totals.w * sums.nn;
    const F determinant = square - sums.n * sums.n;
    const auto flat = determinant < square * F::Set(1e-5f) + F::Set(1e-30f);
    const F scale = (totals.w * sums.zn - sums.n * totals.z) /
                    Select(flat, F::Set(1.0f), determinant);
    Select(flat, stored.scale, Max(scale, F::Set(0.0f)))
        .Store(sub.scale + lane);
  }
}

// Scale and min of a super-block that fit best what its sub-blocks have
// chosen.
HWY_INLINE void RefitCommon(const SubBlocks& sub, size_t first,
                            SubChoice& choice) {
  float uu = 0;
  float uv = 0;
  float vv = 0;
  float ux = 0;
  float vx = 0;
  for (size_t s = first; s < first + kSubBlocks; ++s) {
    // x is near scale * u * n - min * v.
    const float u = choice.sub_scale[s];
    const float v = choice.sub_min[s];
    uu += u * u * sub.nn[s];
    uv -= u * v * sub.n[s];
    vv += v * v * sub.w[s];
    ux += u * (sub.zn[s] + sub.low[s] * sub.n[s]);
    vx -= v * (sub.z[s] + sub.low[s] * sub.w[s]);
  }
  float scale = choice.scale[first];
  float min = choice.min[first];
  const float determinant = uu * vv - uv * uv;
  if (determinant > 1e-5f * (uu * vv)) {
    scale = (ux * vv - vx * uv) / determinant;
    min = (vx * uu - ux * uv) / determinant;
  } else if (uu > 0) {
    scale = (ux - min * uv) / uu;
  }
  SetCommon(PlainRoundToHalf(std::max(scale, 0.0f)),
            PlainRoundToHalf(std::max(min, 0.0f)), first, choice);
}

template <size_t kCount>
HWY_INLINE float MaxOf(const float* lanes) {
  float max = lanes[0];
  for (size_t i = 1; i < kCount; ++i) max = std::max(max, lanes[i]);
  return max;
}

template <bool kWeighted, int kHigh, class F>
HWY_INLINE void FitSubBlocks(const float* x, const float* w, float* moved,
                             SubBlocks& sub) {
  const F zero = F::Set(0.0f);
  for (size_t lane = 0; lane < kGroupLanes; lane += F::kLanes) {
    float* const z = moved + lane;
    // From zero on: an offset is only ever subtracted.
    const auto bounds = FindBounds<kBlockElements>(x + lane, zero);
    const F low = Min(bounds.low, zero);
    const F high = Max(bounds.high, zero);
    MoveToZero<kBlockElements>(x + lane, low, z);
    const auto totals =
        SumElements<kWeighted, kBlockElements>(z, w + lane, zero);
    const auto fit = FitOffset<kWeighted, kHigh, kBlockElements, 2>(
        z, w + lane, totals, high - low, zero - low);
    low.Store(sub.low + lane);
    totals.w.Store(sub.w + lane);
    totals.z.Store(sub.z + lane);
    fit.sums.n.Store(sub.n + lane);
    fit.sums.nn.Store(sub.nn + lane);
    fit.sums.zn.Store(sub.zn + lane);
    fit.scale.Store(sub.scale + lane);
    Max(zero - (fit.offset + low), zero).Store(sub.amount + lane);
  }
}

// Searches the scales of two super-blocks: each as if the others were not
// there.
template <bool kWeighted, int kHigh, class F>
HWY_INLINE void FitSuperBlocks(const float* x, const float* w, float* moved,
                               SubBlocks& sub, SubChoice& best) {
  FitSubBlocks<kWeighted, kHigh, F>(x, w, moved, sub);
  SubChoice choice;
  SubChoice first_choice;
  LaneFloats most = {};
  bool any = false;
  for (const float scale_level : kTopLevels) {
    for (const float min_level : kTopLevels) {
      for (size_t s = 0; s < kGroupLanes; s += kSubBlocks) {
        SetCommon(
            RoundToHalfNotZero(MaxOf<kSubBlocks>(sub.scale + s) / scale_level),
            RoundToHalfNotZero(MaxOf<kSubBlocks>(sub.amount + s) / min_level),
            s, choice);
      }
      ChooseSubScales<F>(sub, choice);
      for (size_t s = 0; s < kGroupLanes; s += kSubBlocks) {
        const float gain = SumOf<kSubBlocks>(choice.gain + s);
        if (any && gain <= most[s]) continue;
        most[s] = gain;
        CopySuperBlock(choice, s, first_choice);
      }
      any = true;
    }
  }
  choice = first_choice;
  for (size_t round = 0; round < kRounds; ++round) {
    ChooseLevels<kWeighted, kHigh, F>(moved, w, choice, sub);
    for (size_t s = 0; s < kGroupLanes; s += kSubBlocks) {
      const float gain = SumOf<kSubBlocks>(choice.gain + s);
      if (round != 0 && gain <= most[s]) continue;
      most[s] = gain;
      CopySuperBlock(choice, s, best);
    }
    if (round + 1 == kRounds) break;
    for (size_t s = 0; s < kGroupLanes; s += kSubBlocks) {
      RefitCommon(sub, s, choice);
    }
    ChooseSubScales<F>(sub, choice);
  }
}

// Six bits of every sub-block, as PackedScaleAndMin in decode_blocks.cc reads
// them.
HWY_INLINE void StoreSubScales(const float* scales, const float* mins,
                               uint8_t* packed) {
  for (size_t s = 0; s < 4; ++s) {
    const auto scale = static_cast<uint32_t>(scales[s]);
    const auto min = static_cast<uint32_t>(mins[s]);
    const auto scale4 = static_cast<uint32_t>(scales[s + 4]);
    const auto min4 = static_cast<uint32_t>(mins[s + 4]);
    packed[s] = static_cast<uint8_t>(scale | scale4 >> 4 << 6);
    packed[s + 4] = static_cast<uint8_t>(min | min4 >> 4 << 6);
    packed[s + 8] = static_cast<uint8_t>((scale4 & 15u) | (min4 & 15u) << 4);
  }
}

// Nibbles of sub-blocks 2g and 2g + 1 share the bytes from 32 g on.
HWY_INLINE void StoreSuperNibbles(const CodeWords& codes, size_t first,
                                  uint8_t* nibbles) {
  for (size_t pair = 0; pair < kSubBlocks / 2; ++pair) {
    const size_t s = first + 2 * pair;
    for (size_t k = 0; k < 8; ++k) {
      const uint32_t word = (codes.word[k][s] & 0x0f0f0f0fu) |
                            (codes.word[k][s + 1] & 0x0f0f0f0fu) << 4;
      std::memcpy(nibbles + 32 * pair + 4 * k, &word, sizeof(word));
    }
  }
}

// Bit s of byte l: bit 4 of element l of sub-block s.
HWY_INLINE void StoreSuperHighBits(const CodeWords& codes, size_t first,
                                   uint8_t* high_bits) {
  for (size_t k = 0; k < 8; ++k) {
    uint32_t word = 0;
    for (size_t s = 0; s < kSubBlocks; ++s) {
      word |= (codes.word[k][first + s] >> 4 & 0x01010101u) << s;
    }
    std::memcpy(high_bits + 4 * k, &word, sizeof(word));
  }
}

// Elements of `group` are those of sub-blocks; num_blocks counts super-blocks.
template <bool kWeighted, int kHigh, class F, class Block, class Fill>
HWY_INLINE void EncodeWithMins(const BlockGroup& group, Fill fill) {
  alignas(64) float moved[kBlockElements * kGroupLanes];
  SubBlocks sub;
  SubChoice choice;
  FitSuperBlocks<kWeighted, kHigh, F>(group.x, group.w, moved, sub, choice);
  CodeWords codes;
  for (size_t lane = 0; lane < kGroupLanes; lane += F::kLanes) {
    const auto stored = Stored<F>(sub, choice, lane);
    PackCodes<kBlockElements, F>(moved + lane, lane, codes, [&](F v) HWY_ATTR {
      return IntegerLevels<0, kHigh>::Code(v * stored.inverse + stored.start);
    });
  }
  for (size_t b = 0; b < group.num_blocks; ++b) {
    const size_t first = b * kSubBlocks;
    Block block;
    block.scale = FloatToHalf(choice.scale[first]);
    block.min = FloatToHalf(choice.min[first]);
    StoreSubScales(choice.sub_scale + first, choice.sub_min + first,
                   block.scales_and_mins);
    fill(codes, first, block);
    std::memcpy(group.out + b * sizeof(Block), &block, sizeof(Block));
  }
}

template <bool kWeighted, class F>
void EncodeQ4K(const BlockGroup& group) {
  EncodeWithMins<kWeighted, 15, F, BlockQ4K>(
      group, [](const CodeWords& codes, size_t first, BlockQ4K& block)
                 HWY_ATTR { StoreSuperNibbles(codes, first, block.nibbles); });
}

template <bool kWeighted, class F>
void EncodeQ5K(const BlockGroup& group) {
  EncodeWithMins<kWeighted, 31, F, BlockQ5K>(
      group,
      [](const CodeWords& codes, size_t first, BlockQ5K& block) HWY_ATTR {
        StoreSuperNibbles(codes, first, block.nibbles);
        StoreSuperHighBits(codes, first, block.high_bits);
      });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
