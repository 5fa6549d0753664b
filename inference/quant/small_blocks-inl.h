// SPDX-License-Identifier: Apache-2.0
// Encoding of the types with blocks of 32: up to kGroupLanes blocks at a time,
// transposed (lanes-inl.h).

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_QUANT_SMALL_BLOCKS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_QUANT_SMALL_BLOCKS_INL_H_
#undef LODESTONE_INFERENCE_QUANT_SMALL_BLOCKS_INL_H_
#else
#define LODESTONE_INFERENCE_QUANT_SMALL_BLOCKS_INL_H_
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "hwy/highway.h"
#include "inference/quant/block_types.h"
#include "inference/quant/float_formats.h"
#include "inference/quant/lanes-inl.h"
#include "inference/quant/scale_search-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// Blocks to be packed. `x` and `w` are aligned to a vector, kBlockElements
// times kGroupLanes, element by element; `out` has `num_blocks` blocks.
struct BlockGroup {
  const float* x = nullptr;
  const float* w = nullptr;  // weights; used by the weighted forms alone
  size_t num_blocks = 0;     // lanes beyond are zeros
  std::byte* out = nullptr;
};

// One word of four codes for every four elements, lane by lane.
struct CodeWords {
  alignas(64) uint32_t word[kBlockElements / 4][kGroupLanes];
};

template <size_t kElements, class F, class ToCode>
HWY_INLINE void PackCodes(const float* x, size_t lane, CodeWords& to,
                          ToCode code) {
  using W = typename F::Words;
  const W byte = W::Set(0xffu);
  for (size_t k = 0; k < kElements / 4; ++k) {
    const float* const four = x + 4 * k * kGroupLanes;
    const W c0 = code(F::Load(four)) & byte;
    const W c1 = code(F::Load(four + kGroupLanes)) & byte;
    const W c2 = code(F::Load(four + 2 * kGroupLanes)) & byte;
    const W c3 = code(F::Load(four + 3 * kGroupLanes)) & byte;
    const W word =
        (c0 | ShiftLeft<8>(c1)) | (ShiftLeft<16>(c2) | ShiftLeft<24>(c3));
    word.Store(to.word[k] + lane);
  }
}

// What the small blocks are made of, lane by lane.
struct BlockParts {
  alignas(64) uint32_t scale[kGroupLanes];  // bits of halves
  alignas(64) uint32_t offset[kGroupLanes];
  alignas(64) uint32_t high_bits[kGroupLanes];
  alignas(64) uint32_t nibbles[kBlockElements / 8][kGroupLanes];
};

// Bit j of high_bits is bit 4 of code j.
template <class F>
HWY_INLINE void JoinNibbles(const CodeWords& codes, size_t lane,
                            BlockParts& parts) {
  using W = typename F::Words;
  const W low = W::Set(0x0f0f0f0fu);
  for (size_t k = 0; k < kBlockElements / 8; ++k) {
    const W first = W::Load(codes.word[k] + lane) & low;
    const W second = W::Load(codes.word[k + 4] + lane) & low;
    (first | ShiftLeft<4>(second)).Store(parts.nibbles[k] + lane);
  }
}

template <class F>
HWY_INLINE void JoinHighBits(const CodeWords& codes, size_t lane,
                             BlockParts& parts) {
  using W = typename F::Words;
  W all = W::Set(0);
  for (size_t k = 0; k < kBlockElements / 4; ++k) {
    // Bits 0, 8, 16 and 24 move to 28 and above; earlier words move down.
    const W bits =
        ShiftRight<4>(W::Load(codes.word[k] + lane)) & W::Set(0x01010101u);
    const W four = (ShiftLeft<28>(bits) | ShiftLeft<21>(bits)) |
                   (ShiftLeft<14>(bits) | ShiftLeft<7>(bits));
    all = ShiftRight<4>(all) | (four & W::Set(0xf0000000u));
  }
  all.Store(parts.high_bits + lane);
}

// A field of kBytes at `out`, of lane `lane`. Fields are stored where they
// belong in the row: put together in a block first, they would be read back
// while they are still being written.
template <size_t kBytes>
HWY_INLINE void StoreField(const uint32_t* lanes, size_t lane, std::byte* out) {
  std::memcpy(out, lanes + lane, kBytes);
}

HWY_INLINE void StoreNibbles(const BlockParts& parts, size_t lane,
                             std::byte* out) {
  for (size_t k = 0; k < kBlockElements / 8; ++k) {
    StoreField<4>(parts.nibbles[k], lane, out + 4 * k);
  }
}

// Every small block is its scale, what else there is of its type, nibbles.
template <class Block>
HWY_INLINE void StoreBlocks(const BlockParts& parts, const BlockGroup& group) {
  for (size_t b = 0; b < group.num_blocks; ++b) {
    std::byte* const out = group.out + b * sizeof(Block);
    if constexpr (std::is_same_v<Block, BlockMxfp4>) {
      StoreField<1>(parts.scale, b, out);
    } else {
      StoreField<2>(parts.scale, b, out);
    }
    if constexpr (std::is_same_v<Block, BlockQ4_1> ||
                  std::is_same_v<Block, BlockQ5_1>) {
      StoreField<2>(parts.offset, b, out + offsetof(Block, offset));
    }
    if constexpr (std::is_same_v<Block, BlockQ5_0> ||
                  std::is_same_v<Block, BlockQ5_1>) {
      StoreField<4>(parts.high_bits, b, out + offsetof(Block, high_bits));
    }
    StoreNibbles(parts, b, out + offsetof(Block, nibbles));
  }
}

// Where the element of the largest magnitude is put at first, in levels. Few
// for q4_0, which is to be fast. How they were found: docs/decisions/0008.
inline constexpr std::array kStartsQ4 = {-8.49f, -7.8f};
inline constexpr std::array kStartsQ5 = {-16.5f, -16.0f, -15.5f, -15.0f,
                                         15.0f,  15.5f,  16.0f};
inline constexpr std::array kStartsQ8 = {-127.0f, -127.5f, -126.5f, -126.0f};
inline constexpr std::array kStartsIq4 = {-134.0f, -127.0f, -120.0f, -112.0f,
                                          100.0f,  107.0f,  113.0f,  120.0f};

template <bool kWeighted, class Levels, const auto& kStarts, size_t kRepeats,
          class F>
HWY_INLINE void SearchScales(const BlockGroup& group, CodeWords& codes,
                             BlockParts& parts) {
  for (size_t lane = 0; lane < group.num_blocks; lane += F::kLanes) {
    const float* const x = group.x + lane;
    const auto fit =
        FitScale<kWeighted, Levels, kBlockElements, kRepeats, F, kStarts>(
            x, group.w + lane);
    // The codes are those for the scale as it is stored.
    const F scale = RoundToHalf(fit.scale);
    HalfBits(scale).Store(parts.scale + lane);
    const F inverse = SafeInverse(scale);
    PackCodes<kBlockElements, F>(x, lane, codes, [&](F v) HWY_ATTR {
      return Levels::Code(v * inverse);
    });
    JoinNibbles<F>(codes, lane, parts);
    if (Levels::kFiveBits) JoinHighBits<F>(codes, lane, parts);
  }
}

template <bool kWeighted, class F>
void EncodeQ4_0(const BlockGroup& group) {
  CodeWords codes;
  BlockParts parts;
  SearchScales<kWeighted, IntegerLevels<-8, 7>, kStartsQ4, 0, F>(group, codes,
                                                                 parts);
  StoreBlocks<BlockQ4_0>(parts, group);
}

template <bool kWeighted, class F>
void EncodeQ5_0(const BlockGroup& group) {
  CodeWords codes;
  BlockParts parts;
  SearchScales<kWeighted, IntegerLevels<-16, 15>, kStartsQ5, 2, F>(group, codes,
                                                                   parts);
  StoreBlocks<BlockQ5_0>(parts, group);
}

template <bool kWeighted, class F>
void EncodeIq4Nl(const BlockGroup& group) {
  CodeWords codes;
  BlockParts parts;
  SearchScales<kWeighted, Iq4Levels, kStartsIq4, 2, F>(group, codes, parts);
  StoreBlocks<BlockIq4Nl>(parts, group);
}

// Signed bytes as they are, not counted from the lowest level.
struct ByteLevels {
  static constexpr bool kFiveBits = false;

  template <class F>
  static HWY_INLINE F Nearest(F v) {
    return Round(Clamp(v, -127.0f, 127.0f));
  }
  template <class F>
  static HWY_INLINE F NearestWithin(F v, float) {
    return Nearest(v);
  }
  template <class F>
  static HWY_INLINE typename F::Words Code(F v) {
    return IntegerBits(Clamp(v, -127.0f, 127.0f));
  }
};

template <bool kWeighted, class F>
void EncodeQ8_0(const BlockGroup& group) {
  CodeWords codes;
  BlockParts parts;
  SearchScales<kWeighted, ByteLevels, kStartsQ8, 2, F>(group, codes, parts);
  for (size_t b = 0; b < group.num_blocks; ++b) {
    std::byte* const out = group.out + b * sizeof(BlockQ8_0);
    StoreField<2>(parts.scale, b, out);
    for (size_t k = 0; k < kBlockElements / 4; ++k) {
      StoreField<4>(codes.word[k], b, out + offsetof(BlockQ8_0, q) + 4 * k);
    }
  }
}

template <bool kWeighted, class F>
void EncodeMxfp4(const BlockGroup& group) {
  CodeWords codes;
  BlockParts parts;
  for (size_t lane = 0; lane < group.num_blocks; lane += F::kLanes) {
    const float* const x = group.x + lane;
    const F scale = FitPowerOfTwo<kWeighted>(x, group.w + lane, F());
    // The sign is clear; 2^-127 has the exponent 0 of subnormals.
    ShiftRight<23>(Bits(scale)).Store(parts.scale + lane);
    const F inverse = F::Set(1.0f) / scale;
    PackCodes<kBlockElements, F>(x, lane, codes, [&](F v) HWY_ATTR {
      return Fp4Levels::Code(v * inverse);
    });
    JoinNibbles<F>(codes, lane, parts);
  }
  StoreBlocks<BlockMxfp4>(parts, group);
}

// `moved` = x - smallest, element by element.
template <size_t kElements, class F>
HWY_INLINE void MoveToZero(const float* x, F smallest, float* moved) {
  for (size_t i = 0; i < kElements; ++i) {
    (F::Load(x + i * kGroupLanes) - smallest).Store(moved + i * kGroupLanes);
  }
}

template <class F>
struct Bounds {
  F low;
  F high;
};

template <size_t kElements, class F>
HWY_INLINE Bounds<F> FindBounds(const float* x, F) {
  const F first = F::Load(x);
  const F second = F::Load(x + kGroupLanes);
  Bounds<F> bounds[2] = {{first, first}, {second, second}};
  for (size_t i = 2; i < kElements; i += 2) {
    for (size_t j = 0; j < 2; ++j) {
      const F value = F::Load(x + (i + j) * kGroupLanes);
      bounds[j].low = Min(bounds[j].low, value);
      bounds[j].high = Max(bounds[j].high, value);
    }
  }
  return {Min(bounds[0].low, bounds[1].low),
          Max(bounds[0].high, bounds[1].high)};
}

// q4_1 and q5_1.
template <bool kWeighted, int kHigh, class F>
HWY_INLINE void SearchOffsets(const BlockGroup& group, BlockParts& parts) {
  alignas(64) float moved[kBlockElements * kGroupLanes];
  CodeWords codes;
  for (size_t lane = 0; lane < group.num_blocks; lane += F::kLanes) {
    float* const z = moved + lane;
    const float* const w = group.w + lane;
    const F zero = F::Set(0.0f);
    const auto bounds = FindBounds<kBlockElements>(group.x + lane, zero);
    MoveToZero<kBlockElements>(group.x + lane, bounds.low, z);
    const auto totals = SumElements<kWeighted, kBlockElements>(z, w, zero);
    const auto fit = FitOffset<kWeighted, kHigh, kBlockElements, 2>(
        z, w, totals, bounds.high - bounds.low, F::Set(1e30f));
    // The offset as it is stored, then the scale that fits it best, as stored:
    // that of the fit, or one more step from there.
    F scale = RoundToHalf(fit.scale);
    const F offset = RoundToHalf(bounds.low + fit.offset);
    const F shift = offset - bounds.low;
    F best_scale = scale;
    F best_gain = F::Set(-3e38f);
    for (size_t i = 0; i < 2; ++i) {
      const F inverse = SafeInverse(scale);
      const auto sums = SumOffsetLevels<kWeighted, kHigh, kBlockElements>(
          z, w, inverse, zero - shift * inverse);
      const F gain = Gain(sums, totals, scale, shift);
      const auto better = best_gain < gain;
      best_scale = Select(better, scale, best_scale);
      best_gain = Select(better, gain, best_gain);
      const auto none = sums.nn < F::Set(1e-30f);
      const F next =
          (sums.zn - shift * sums.n) / Select(none, F::Set(1.0f), sums.nn);
      scale = RoundToHalf(Max(next, zero));
    }
    HalfBits(best_scale).Store(parts.scale + lane);
    HalfBits(offset).Store(parts.offset + lane);
    const F inverse = SafeInverse(best_scale);
    const F start = zero - shift * inverse;
    PackCodes<kBlockElements, F>(z, lane, codes, [&](F v) HWY_ATTR {
      return IntegerLevels<0, kHigh>::Code(v * inverse + start);
    });
    JoinNibbles<F>(codes, lane, parts);
    if (kHigh > 15) JoinHighBits<F>(codes, lane, parts);
  }
}

template <bool kWeighted, class F>
void EncodeQ4_1(const BlockGroup& group) {
  BlockParts parts;
  SearchOffsets<kWeighted, 15, F>(group, parts);
  StoreBlocks<BlockQ4_1>(parts, group);
}

template <bool kWeighted, class F>
void EncodeQ5_1(const BlockGroup& group) {
  BlockParts parts;
  SearchOffsets<kWeighted, 31, F>(group, parts);
  StoreBlocks<BlockQ5_1>(parts, group);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
