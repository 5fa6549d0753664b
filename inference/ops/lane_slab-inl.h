// SPDX-License-Identifier: Apache-2.0
// Several tokens at once: rows are turned into a slab, where four elements of a
// vector of rows are a vector, and tiles of tokens run over it: each token
// broadcasts four of its bytes. Compiled per CPU target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_LANE_SLAB_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_LANE_SLAB_INL_H_
#undef LODESTONE_INFERENCE_OPS_LANE_SLAB_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_LANE_SLAB_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "hwy/highway.h"
#include "inference/ops/activations.h"
#include "inference/ops/lane_codes-inl.h"
#include "inference/ops/lane_rows-inl.h"
#include "inference/ops/lane_scales-inl.h"
#include "inference/ops/lane_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// Blocks of 32 that a slab holds of a row: with two groups of rows it stays in
// the second cache beside the activations.
inline constexpr size_t kLaneSlabBlocks = 128;
// Tokens and groups of rows whose sums stay in registers.
inline constexpr size_t kLaneTokens = 4;
inline constexpr size_t kLaneGroups = 2;

// Codes of 32 elements of a vector of rows: vector j has elements 4j..4j+3 of
// each row.
struct LaneCodes {
  alignas(32) uint8_t codes[8][4 * kLanes];
};
// Signed ones where products take magnitudes: those, and all bits of a byte
// where the code is negative. There a product takes the complement of its other
// factor, -x - 1, since that is the only way to turn a sign that all units of
// a CPU have; what is then missing is the sum of negative codes.
struct LaneMagnitudes {
  alignas(32) uint8_t magnitudes[8][4 * kLanes];
  uint8_t negative[8][4 * kLanes];
  int32_t missing[kLanes];  // -(sum of negative codes)
};

template <bool kHalves, bool kOffsets, bool kMagnitudes>
struct LaneSlab : std::conditional_t<kMagnitudes, LaneMagnitudes, LaneCodes> {
  float scale[kHalves ? 2 : 1][kLanes];
  float offset[kOffsets && kHalves ? 2 : 1][kLanes];  // if kOffsets
};
template <class Type>
inline constexpr bool kHasMagnitudes = Type::kLargest == 0 && kTakesMagnitudes;
template <class Type>
using LaneSlabOf =
    LaneSlab<Type::kHalves, Type::kOffsets, kHasMagnitudes<Type>>;

// Bytes of a vector of LaneMagnitudes.
struct TurnedBytes {
  HWY_INLINE TurnedBytes() {}
  HWY_INLINE TurnedBytes(VLB n, VLB m) : negative(n), magnitude(m) {}
  VLB negative;
  VLB magnitude;
};
HWY_INLINE VLB WithSigns(VLB x, const TurnedBytes& w) {
  return hn::Xor(x, w.negative);
}

// Vector j of a slab as the products take it.
template <class Type>
HWY_INLINE auto SlabFactor(const LaneSlabOf<Type>& slab, size_t j) {
  const LB d8;
  if constexpr (kHasMagnitudes<Type>) {
    return TurnedBytes(hn::Load(d8, slab.negative[j]),
                       hn::Load(d8, slab.magnitudes[j]));
  } else {
    return Prepare<Type>(hn::Load(d8, slab.codes[j]));
  }
}

template <class Type, size_t kSub>
HWY_INLINE void PackLanes(const LaneBlocks& rows, const LaneScales& scales,
                          LaneSlabOf<Type>* out) {
  const LB d8;
  const LU d32;
  Bytes32 v[kLanes];
  HWY_UNROLL(8)
  for (size_t r = 0; r < kLanes; ++r) {
    v[r] = Type::template Codes<kSub>(rows.at(r));
  }
  // Of four rows the first half, and of the next four; or both halves of four.
  VLU first[4];
  VLU second[4];
  HWY_UNROLL(4)
  for (size_t r = 0; r < 4; ++r) {
    const auto low = hn::BitCast(d32, v[r].v[0]);
    const auto high = hn::BitCast(d32, v[r + kLanes - 4].v[kRowParts - 1]);
    if constexpr (kRowParts == 1) {
      first[r] = FirstHalves(d32, low, high);
      second[r] = SecondHalves(d32, low, high);
    } else {
      first[r] = low;
      second[r] = high;
    }
  }
  const FourWords a = Transpose(first[0], first[1], first[2], first[3]);
  const FourWords b = Transpose(second[0], second[1], second[2], second[3]);
  VLS missing = hn::Zero(LS());
  const auto store = [&](VLU words_of_rows, size_t j) HWY_ATTR {
    const VLB codes = hn::BitCast(d8, words_of_rows);
    if constexpr (kHasMagnitudes<Type>) {
      const hn::RebindToSigned<LB> i8;
      const auto values = hn::BitCast(i8, codes);
      const auto negative =
          hn::BitCast(d8, hn::VecFromMask(i8, hn::Lt(values, hn::Zero(i8))));
      const VLB magnitudes = PrepareSigned(codes).magnitude;
      hn::Store(negative, d8, out->negative[j]);
      hn::Store(magnitudes, d8, out->magnitudes[j]);
      missing = hn::Sub(missing, Pairs(magnitudes, negative));
    } else {
      hn::Store(codes, d8, out->codes[j]);
    }
  };
  HWY_UNROLL(4)
  for (size_t j = 0; j < 4; ++j) {
    store(a.v[j], j);
    store(b.v[j], j + 4);
  }
  if constexpr (kHasMagnitudes<Type>) {
    hn::Store(AddPairs(missing), LI(), out->missing);
  }
  constexpr size_t kParts = Type::kHalves ? 2 : 1;
  for (size_t h = 0; h < kParts; ++h) {
    std::memcpy(out->scale[h], scales.scale[kSub][h], sizeof(out->scale[h]));
    if constexpr (Type::kOffsets) {
      std::memcpy(out->offset[h], scales.offset[kSub][h],
                  sizeof(out->offset[h]));
    }
  }
}

template <class Type, size_t... kSubs>
HWY_INLINE void PackSlab(LaneBlocks rows, size_t num_blocks,
                         LaneSlabOf<Type>* slab,
                         std::index_sequence<kSubs...>) {
  LaneScales scales;
  for (size_t b = 0; b < num_blocks; ++b) {
    Type::Scales(rows, &scales);
    (PackLanes<Type, kSubs>(rows, scales, slab + kSubs), ...);
    rows.base += Type::kBlockBytes;
    slab += sizeof...(kSubs);
  }
}

// What all groups have, of token t where there are several, before what comes
// next: a step that waits for a unit of the CPU waits for the step before it
// too, if the groups do not take turns.
template <class V>
HWY_INLINE void MakeGroups(V (&v)[1]) {
  MakeHere(v[0]);
}
template <class V>
HWY_INLINE void MakeGroups(V (&v)[2]) {
  MakeHere(v[0], v[1]);
}
template <class V, size_t kTokens>
HWY_INLINE void MakeGroups(V (&v)[1][kTokens], size_t t) {
  MakeHere(v[0][t]);
}
template <class V, size_t kTokens>
HWY_INLINE void MakeGroups(V (&v)[2][kTokens], size_t t) {
  MakeHere(v[0][t], v[1][t]);
}

// Signed codes of groups times the bytes of token t: there is room for two
// products in 16 bits and no more.
template <class Factor, size_t kTokens, size_t kGroups>
HWY_INLINE void AddSigned(const Factor (&w)[kGroups], VLB x,
                          VLI (&sums)[kGroups][kTokens], size_t t) {
  VLB signs[kGroups];
  HWY_UNROLL(2)
  for (size_t g = 0; g < kGroups; ++g) signs[g] = WithSigns(x, w[g]);
  MakeGroups(signs);
  VLS products[kGroups];
  HWY_UNROLL(2)
  for (size_t g = 0; g < kGroups; ++g) {
    products[g] = Pairs(w[g].magnitude, signs[g]);
  }
  MakeGroups(products);
  VLI wide[kGroups];
  HWY_UNROLL(2)
  for (size_t g = 0; g < kGroups; ++g) wide[g] = AddPairs(products[g]);
  MakeGroups(wide);
  HWY_UNROLL(2)
  for (size_t g = 0; g < kGroups; ++g) {
    sums[g][t] = hn::Add(sums[g][t], wide[g]);
  }
  MakeGroups(sums, t);
}

// Sums of groups of rows and tokens, over half or all of a block.
template <class Type, size_t kTokens, size_t kGroups>
HWY_INLINE void SlabSums(const LaneSlabOf<Type>* const (&slabs)[kGroups],
                         const ActivationBlock* x, size_t x_stride,
                         size_t begin, size_t end,
                         VLI (&sums)[kGroups][kTokens]) {
  // 16-bit sums as long as they fit, then wider ones.
  constexpr size_t kRun = HWY_MIN(kNarrowSums<Type>, size_t{8});
  const LB d8;
  const LI d32;
  VLS narrow[kGroups][kTokens];
  if constexpr (Type::kLargest == 0) {
    HWY_UNROLL(2)
    for (size_t g = 0; g < kGroups; ++g) {
      HWY_UNROLL(4)
      for (size_t t = 0; t < kTokens; ++t) {
        if constexpr (kHasMagnitudes<Type>) {
          sums[g][t] = hn::Load(d32, slabs[g]->missing);
        } else {
          sums[g][t] = hn::Zero(d32);
        }
      }
    }
  }
  HWY_UNROLL(8)
  for (size_t j = begin; j < end; ++j) {
    const size_t at = (j - begin) % kRun;
    decltype(SlabFactor<Type>(*slabs[0], 0)) w[kGroups];
    HWY_UNROLL(2)
    for (size_t g = 0; g < kGroups; ++g) {
      w[g] = SlabFactor<Type>(*slabs[g], j);
    }
    HWY_UNROLL(4)
    for (size_t t = 0; t < kTokens; ++t) {
      int32_t four;
      std::memcpy(&four, x[t * x_stride].q + 4 * j, sizeof(four));
      const auto bytes = hn::BitCast(d8, hn::Set(d32, four));
      if constexpr (Type::kLargest == 0) {
        AddSigned(w, bytes, sums, t);
      } else {
        HWY_UNROLL(2)
        for (size_t g = 0; g < kGroups; ++g) {
          const auto products = Pairs(w[g], bytes);
          narrow[g][t] = at == 0 ? products : hn::Add(narrow[g][t], products);
          MakeHere(narrow[g][t]);
          if (at + 1 == kRun || j + 1 == end) {
            const auto wide = AddPairs(narrow[g][t]);
            sums[g][t] = j - begin < kRun ? wide : hn::Add(sums[g][t], wide);
            MakeHere(sums[g][t]);
          }
        }
      }
    }
  }
}

// A slab and the tokens it is multiplied with. y[t * y_stride + lane of group],
// added to what is there unless `first`.
template <class Type>
struct LaneTile {
  const LaneSlabOf<Type>* slab = nullptr;  // groups are slab_stride apart
  size_t slab_stride = 0;
  size_t num_blocks = 0;
  const ActivationBlock* x = nullptr;
  size_t x_stride = 0;
  bool first = false;
  float* y = nullptr;
  size_t y_stride = 0;
};

template <class Type, size_t kTokens, size_t kGroups>
HWY_NOINLINE void RunTile(const LaneTile<Type>& a, size_t token) {
  const LF d;
  const ActivationBlock* const x = a.x + token * a.x_stride;
  float* const y = a.y + token * a.y_stride;
  // In memory: what has to be in registers are the integer sums.
  alignas(32) float totals[kGroups][kTokens][kLanes];
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t t = 0; t < kTokens; ++t) {
      hn::Store(
          a.first ? hn::Zero(d) : hn::LoadU(d, y + t * a.y_stride + kLanes * g),
          d, totals[g][t]);
    }
  }
  for (size_t b = 0; b < a.num_blocks; ++b) {
    const LaneSlabOf<Type>* slabs[kGroups];
    for (size_t g = 0; g < kGroups; ++g) {
      slabs[g] = a.slab + g * a.slab_stride + b;
    }
    constexpr size_t kParts = Type::kHalves ? 2 : 1;
    VLI sums[kParts][kGroups][kTokens];
    HWY_UNROLL(2)
    for (size_t h = 0; h < kParts; ++h) {
      SlabSums<Type, kTokens, kGroups>(slabs, x + b, a.x_stride,
                                       Type::kHalves ? 4 * h : 0,
                                       Type::kHalves ? 4 * h + 4 : 8, sums[h]);
    }
    HWY_UNROLL(4)
    for (size_t t = 0; t < kTokens; ++t) {
      const ActivationBlock& block = x[t * a.x_stride + b];
      HWY_UNROLL(2)
      for (size_t g = 0; g < kGroups; ++g) {
        VLF total = hn::Load(d, totals[g][t]);
        for (size_t h = 0; h < kParts; ++h) {
          const int32_t minus =
              Type::kHalves ? MinusHalfSum(block, h) : block.minus_sum;
          total = AddScaled(AddStart<Type>(sums[h][g][t], minus),
                            slabs[g]->scale[h], block.scale, total);
        }
        if constexpr (Type::kOffsets) {
          for (size_t h = 0; h < kParts; ++h) {
            const float sum = Type::kHalves ? HalfSum(block, h) : block.sum;
            total = AddOffset(slabs[g]->offset[h], sum, total);
          }
        }
        hn::Store(total, d, totals[g][t]);
      }
    }
  }
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t t = 0; t < kTokens; ++t) {
      hn::StoreU(hn::Load(d, totals[g][t]), d, y + t * a.y_stride + kLanes * g);
    }
  }
}

// The last tokens, fewer than a tile has.
template <class Type, size_t kTokens, size_t kGroups>
HWY_INLINE void RunRest(const LaneTile<Type>& a, size_t t, size_t count) {
  if constexpr (kTokens > 0) {
    if (count == kTokens) return RunTile<Type, kTokens, kGroups>(a, t);
    RunRest<Type, kTokens - 1, kGroups>(a, t, count);
  }
}

// All tokens with a slab.
template <class Type, size_t kGroups>
HWY_INLINE void RunTokens(const LaneTile<Type>& a, size_t num_tokens) {
  size_t t = 0;
  for (; t + kLaneTokens <= num_tokens; t += kLaneTokens) {
    RunTile<Type, kLaneTokens, kGroups>(a, t);
  }
  RunRest<Type, kLaneTokens - 1, kGroups>(a, t, num_tokens - t);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_LANE_SLAB_INL_H_
