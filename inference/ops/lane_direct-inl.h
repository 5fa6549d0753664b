// SPDX-License-Identifier: Apache-2.0
// One token: a vector of rows is read as it lies, and the partial sums of each
// row are folded to a lane. Compiled per CPU target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_LANE_DIRECT_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_LANE_DIRECT_INL_H_
#undef LODESTONE_INFERENCE_OPS_LANE_DIRECT_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_LANE_DIRECT_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <utility>

#include "hwy/highway.h"
#include "inference/ops/activations.h"
#include "inference/ops/ask_ahead.h"
#include "inference/ops/lane_codes-inl.h"
#include "inference/ops/lane_rows-inl.h"
#include "inference/ops/lane_scales-inl.h"
#include "inference/ops/lane_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// Integer sums of the first and of the second 16 elements, a lane for each row;
// where a type has no halves, `first` is the sum of both.
struct LaneSums {
  VLI first;
  VLI second;
};

// Partial sums of eight rows: what lies in the first half of each vector, and
// in the second. Where a vector has 32 bytes.
HWY_INLINE LaneSums FoldEight(const VLI (&v)[8]) {
  const VLI low = FoldFour(v[0], v[1], v[2], v[3]);
  const VLI high = FoldFour(v[4], v[5], v[6], v[7]);
  return {FirstHalves(LI(), low, high), SecondHalves(LI(), low, high)};
}

template <class Type, size_t kSub>
HWY_INLINE LaneSums DirectSums(const LaneBlocks& rows, const Bytes32& x) {
  if constexpr (kRowParts == 1) {
    VLI v[8];
    HWY_UNROLL(8)
    for (size_t r = 0; r < 8; ++r) {
      const Bytes32 codes = Type::template Codes<kSub>(rows.at(r));
      v[r] = AddPairs(Pairs(Prepare<Type>(codes.v[0]), x.v[0]));
    }
    const LaneSums sums = FoldEight(v);
    if constexpr (Type::kHalves) return sums;
    return {hn::Add(sums.first, sums.second), sums.second};
  } else {
    VLI first[4];
    VLI second[4];
    HWY_UNROLL(4)
    for (size_t r = 0; r < 4; ++r) {
      const Bytes32 codes = Type::template Codes<kSub>(rows.at(r));
      const auto a = Pairs(Prepare<Type>(codes.v[0]), x.v[0]);
      const auto b =
          Pairs(Prepare<Type>(codes.v[kRowParts - 1]), x.v[kRowParts - 1]);
      if constexpr (Type::kHalves) {
        first[r] = AddPairs(a);
        second[r] = AddPairs(b);
      } else if constexpr (kNarrowSums<Type> >= 2) {
        first[r] = AddPairs(hn::Add(a, b));
      } else {
        first[r] = hn::Add(AddPairs(a), AddPairs(b));
      }
    }
    const VLI sum = FoldFour(first[0], first[1], first[2], first[3]);
    if constexpr (!Type::kHalves) return {sum, sum};
    return {sum, FoldFour(second[0], second[1], second[2], second[3])};
  }
}

// Sums of two blocks that follow each other, or of sub-blocks kSub and
// kSub + 1: the partial sums of the first lie in the first half of a vector, so
// that half as many have to be folded.
template <class Type, size_t kSub>
HWY_INLINE LaneSums SumsOfTwo(const LaneBlocks& rows,
                              const ActivationBlock* x) {
  constexpr size_t kDistance = sizeof(ActivationBlock);
  const auto* const q = reinterpret_cast<const std::byte*>(x);
  static_assert(offsetof(ActivationBlock, q) == 0);
  const TwoBlocks bytes = {TwoAt<kDistance>(q), TwoAt<kDistance>(q + 16)};
  VLI v[8];
  HWY_UNROLL(8)
  for (size_t r = 0; r < 8; ++r) {
    const TwoBlocks codes = Type::template Two<kSub>(rows.at(r));
    const auto first = Pairs(Prepare<Type>(codes.first), bytes.first);
    const auto second = Pairs(Prepare<Type>(codes.second), bytes.second);
    if constexpr (kNarrowSums<Type> >= 2) {
      v[r] = AddPairs(hn::Add(first, second));
    } else {
      v[r] = hn::Add(AddPairs(first), AddPairs(second));
    }
  }
  return FoldEight(v);
}

// Adds what a sub-block without halves gives.
template <class Type>
HWY_INLINE VLF AddWhole(VLI sum, const LaneScales& scales, size_t sub,
                        const ActivationBlock& x, VLF total) {
  total = AddScaled(AddStart<Type>(sum, x.minus_sum), scales.scale[sub][0],
                    x.scale, total);
  if constexpr (Type::kOffsets) {
    total = AddOffset(scales.offset[sub][0], x.sum, total);
  }
  return total;
}

// Whether sub-blocks are taken two at a time.
template <class Type>
inline constexpr bool kSubsByTwo =
    kRowParts == 1 && HasTwo<Type>&& Type::kSubBlocks > 1;

// Sub-block kSub of a block; by two, an even one brings the next with it.
template <class Type, size_t kSub>
HWY_INLINE VLF DirectSub(const LaneBlocks& rows, const LaneScales& scales,
                         const ActivationBlock* x, VLF total) {
  if constexpr (kSubsByTwo<Type> && kSub % 2 != 0) {
    return total;
  } else if constexpr (kSubsByTwo<Type>) {
    const LaneSums sums = SumsOfTwo<Type, kSub>(rows, x);
    total = AddWhole<Type>(sums.first, scales, kSub, x[0], total);
    return AddWhole<Type>(sums.second, scales, kSub + 1, x[1], total);
  } else {
    const LaneSums sums = DirectSums<Type, kSub>(rows, Load32(x->q));
    if constexpr (!Type::kHalves) {
      return AddWhole<Type>(sums.first, scales, kSub, *x, total);
    }
    total = AddScaled(AddStart<Type>(sums.first, MinusHalfSum(*x, 0)),
                      scales.scale[kSub][0], x->scale, total);
    total = AddScaled(AddStart<Type>(sums.second, MinusHalfSum(*x, 1)),
                      scales.scale[kSub][1], x->scale, total);
    if constexpr (Type::kOffsets) {
      total = AddOffset(scales.offset[kSub][0], HalfSum(*x, 0), total);
      total = AddOffset(scales.offset[kSub][1], HalfSum(*x, 1), total);
    }
    return total;
  }
}

// Vectors of rows side by side. Rows are as many streams, and memory is read
// faster by sixteen than by eight; but only codes that need no work leave
// registers for them.
template <class Type>
inline constexpr size_t kDirectGroups =
    Type::kSubBlocks == 1 && !HasTwo<Type> ? 2 : 1;

// kGroups vectors of rows times one token. Rows are best apart by as many as
// are taken one after the other, so that each is a stream that goes on.
template <class Type, size_t kGroups, size_t... kSubs>
HWY_INLINE void DirectRows(LaneBlocks rows, size_t num_blocks,
                           const ActivationBlock* x, float* sums,
                           std::index_sequence<kSubs...>) {
  const LF d;
  VLF totals[kGroups];
  for (size_t g = 0; g < kGroups; ++g) totals[g] = hn::Zero(d);
  LaneScales scales;
  size_t b = 0;
  if constexpr (kRowParts == 1 && HasTwo<Type> && Type::kSubBlocks == 1) {
    for (; b + 2 <= num_blocks; b += 2) {
      AskAhead<Type::kBlockBytes>(rows.base, rows.stride, kGroups * kLanes);
      HWY_UNROLL(2)
      for (size_t g = 0; g < kGroups; ++g) {
        LaneBlocks group = {rows.base + g * kLanes * rows.stride, rows.stride};
        const LaneSums two = SumsOfTwo<Type, 0>(group, x);
        Type::Scales(group, &scales);
        totals[g] = AddWhole<Type>(two.first, scales, 0, x[0], totals[g]);
        group.base += Type::kBlockBytes;
        Type::Scales(group, &scales);
        totals[g] = AddWhole<Type>(two.second, scales, 0, x[1], totals[g]);
      }
      rows.base += 2 * Type::kBlockBytes;
      x += 2;
    }
  }
  for (; b < num_blocks; ++b) {
    AskAhead<Type::kBlockBytes>(rows.base, rows.stride, kGroups * kLanes);
    HWY_UNROLL(2)
    for (size_t g = 0; g < kGroups; ++g) {
      const LaneBlocks group = {rows.base + g * kLanes * rows.stride,
                                rows.stride};
      Type::Scales(group, &scales);
      ((totals[g] =
            DirectSub<Type, kSubs>(group, scales, x + kSubs, totals[g])),
       ...);
    }
    rows.base += Type::kBlockBytes;
    x += sizeof...(kSubs);
  }
  for (size_t g = 0; g < kGroups; ++g) {
    hn::Store(totals[g], d, sums + g * kLanes);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_LANE_DIRECT_INL_H_
