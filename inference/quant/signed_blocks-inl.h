// SPDX-License-Identifier: Apache-2.0
// Encoding of q6_k: the 16 sub-blocks of a super-block are the lanes. A scale
// may have either sign, for there is one level more below zero than above.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_QUANT_SIGNED_BLOCKS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_QUANT_SIGNED_BLOCKS_INL_H_
#undef LODESTONE_INFERENCE_QUANT_SIGNED_BLOCKS_INL_H_
#else
#define LODESTONE_INFERENCE_QUANT_SIGNED_BLOCKS_INL_H_
#endif

#include <algorithm>
#include <array>
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
#include "inference/quant/super_blocks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

inline constexpr size_t kSmallSubElements = 16;
using Q6Levels = IntegerLevels<-32, 31>;
inline constexpr std::array kStartsQ6 = {-32.5f, -32.0f, -31.5f, -31.0f,
                                         30.5f,  31.0f,  31.5f,  32.0f};
// The largest of the scales is put at these of the levels -128..127.
inline constexpr float kSignedTopLevels[] = {127.0f, -128.0f, -127.0f, -126.0f,
                                             -124.0f};

struct SignedSubBlocks {
  alignas(64) LaneFloats xq;
  alignas(64) LaneFloats qq;
  alignas(64) LaneFloats scale;      // that fits best
  alignas(64) LaneFloats sub_scale;  // -128..127
  alignas(64) LaneFloats gain;
};

// sub_scale and gain for the common scale.
template <class F>
HWY_INLINE float ChooseSignedScales(float common, SignedSubBlocks& sub) {
  const F scale = F::Set(common);
  const F inverse = SafeInverse(scale);
  for (size_t lane = 0; lane < kGroupLanes; lane += F::kLanes) {
    const F level =
        Round(Clamp(F::Load(sub.scale + lane) * inverse, -128.0f, 127.0f));
    const ScaleSums<F> sums = {F::Load(sub.xq + lane), F::Load(sub.qq + lane)};
    level.Store(sub.sub_scale + lane);
    Gain(sums, scale * level).Store(sub.gain + lane);
  }
  return SumOf<kGroupLanes>(sub.gain);
}

// The levels for what is stored: their sums, the scales that fit them, and what
// is gained.
template <bool kWeighted, class F>
HWY_INLINE float ChooseSignedLevels(const BlockGroup& group, float common,
                                    SignedSubBlocks& sub) {
  for (size_t lane = 0; lane < kGroupLanes; lane += F::kLanes) {
    const F scale = F::Set(common) * F::Load(sub.sub_scale + lane);
    const auto sums = SumLevels<kWeighted, Q6Levels, kSmallSubElements>(
        group.x + lane, group.w + lane, SafeInverse(scale));
    sums.xq.Store(sub.xq + lane);
    sums.qq.Store(sub.qq + lane);
    Gain(sums, scale).Store(sub.gain + lane);
    const auto none = sums.qq < F::Set(1e-30f);
    Select(none, scale, sums.xq / Select(none, F::Set(1.0f), sums.qq))
        .Store(sub.scale + lane);
  }
  return SumOf<kGroupLanes>(sub.gain);
}

// The common scale that fits best what the sub-blocks have chosen.
HWY_INLINE float RefitSigned(const SignedSubBlocks& sub, float common) {
  float uu = 0;
  float ux = 0;
  for (size_t s = 0; s < kGroupLanes; ++s) {
    uu += sub.sub_scale[s] * sub.sub_scale[s] * sub.qq[s];
    ux += sub.sub_scale[s] * sub.xq[s];
  }
  return uu > 0 ? PlainRoundToHalf(ux / uu) : common;
}

struct SignedChoice {
  float scale = 0;
  alignas(64) LaneFloats sub_scale = {};
};

template <bool kWeighted, class F>
HWY_INLINE SignedChoice FitSignedBlock(const BlockGroup& group) {
  SignedSubBlocks sub;
  for (size_t lane = 0; lane < kGroupLanes; lane += F::kLanes) {
    const auto fit =
        FitScale<kWeighted, Q6Levels, kSmallSubElements, 2, F, kStartsQ6>(
            group.x + lane, group.w + lane);
    fit.scale.Store(sub.scale + lane);
    fit.sums.xq.Store(sub.xq + lane);
    fit.sums.qq.Store(sub.qq + lane);
  }
  float extreme = sub.scale[0];
  for (const float scale : sub.scale) {
    if (std::abs(scale) > std::abs(extreme)) extreme = scale;
  }
  float common = 0;
  float most = 0;
  for (const float level : kSignedTopLevels) {
    const float scale = RoundToHalfNotZero(extreme / level);
    const float gain = ChooseSignedScales<F>(scale, sub);
    if (gain <= most) continue;
    most = gain;
    common = scale;
  }

  SignedChoice best;
  most = 0;
  for (size_t round = 0; round < 2; ++round) {
    ChooseSignedScales<F>(common, sub);
    const float gain = ChooseSignedLevels<kWeighted, F>(group, common, sub);
    if (gain > most) {
      most = gain;
      best.scale = common;
      std::copy(sub.sub_scale, sub.sub_scale + kGroupLanes, best.sub_scale);
    }
    common = RefitSigned(sub, common);
  }
  return best;
}

// Four quarters of 32 elements, that is of two sub-blocks, in each half: low
// nibbles of the quarters 0 and 2, of 1 and 3, then pairs of all four.
HWY_INLINE void StoreSixBits(const CodeWords& codes, std::byte* out) {
  constexpr uint32_t kNibbles = 0x0f0f0f0fu;
  constexpr uint32_t kPairs = 0x03030303u;
  for (size_t half = 0; half < 2; ++half) {
    std::byte* const nibbles = out + offsetof(BlockQ6K, nibbles) + 64 * half;
    std::byte* const pairs = out + offsetof(BlockQ6K, high_pairs) + 32 * half;
    for (size_t k = 0; k < 8; ++k) {
      uint32_t q[4];
      uint32_t high = 0;
      for (size_t quarter = 0; quarter < 4; ++quarter) {
        q[quarter] = codes.word[k % 4][8 * half + 2 * quarter + k / 4];
        high |= (q[quarter] >> 4 & kPairs) << (2 * quarter);
      }
      const uint32_t even = (q[0] & kNibbles) | (q[2] & kNibbles) << 4;
      const uint32_t odd = (q[1] & kNibbles) | (q[3] & kNibbles) << 4;
      std::memcpy(nibbles + 4 * k, &even, sizeof(even));
      std::memcpy(nibbles + 32 + 4 * k, &odd, sizeof(odd));
      std::memcpy(pairs + 4 * k, &high, sizeof(high));
    }
  }
}

// A group of sub-blocks of 16 elements is one block.
template <bool kWeighted, class F>
void EncodeQ6K(const BlockGroup& group) {
  const SignedChoice choice = FitSignedBlock<kWeighted, F>(group);
  CodeWords codes;
  for (size_t lane = 0; lane < kGroupLanes; lane += F::kLanes) {
    const F inverse =
        SafeInverse(F::Set(choice.scale) * F::Load(choice.sub_scale + lane));
    PackCodes<kSmallSubElements, F>(
        group.x + lane, lane, codes,
        [&](F v) HWY_ATTR { return Q6Levels::Code(v * inverse); });
  }
  StoreSixBits(codes, group.out);
  for (size_t s = 0; s < kGroupLanes; ++s) {
    const auto scale = static_cast<int8_t>(choice.sub_scale[s]);
    std::memcpy(group.out + offsetof(BlockQ6K, scales) + s, &scale, 1);
  }
  const uint16_t scale = FloatToHalf(choice.scale);
  std::memcpy(group.out + offsetof(BlockQ6K, scale), &scale, sizeof(scale));
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
