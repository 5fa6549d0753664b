// SPDX-License-Identifier: Apache-2.0
// Scales of packed blocks for a vector of rows at once, whose lanes they are.
// Compiled per CPU target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_LANE_SCALES_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_LANE_SCALES_INL_H_
#undef LODESTONE_INFERENCE_OPS_LANE_SCALES_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_LANE_SCALES_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "inference/ops/dot-inl.h"
#include "inference/ops/lane_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// Scales and offsets of up to 8 sub-blocks of 32 elements.
struct LaneScales {
  alignas(64) float scale[8][2][kLanes];   // [sub][half][row]
  alignas(64) float offset[8][2][kLanes];  // the same
};

HWY_INLINE void StoreLanes(VLF v, float* out) { hn::Store(v, LF(), out); }

HWY_INLINE uint16_t HalfAt(const std::byte* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof(bits));
  return bits;
}

// The halves that the rows have at `offset` of their blocks, as floats.
HWY_INLINE VLF LaneHalves(const LaneBlocks& rows, size_t offset) {
  using D16 = hn::Rebind<uint16_t, LF>;
#if HWY_TARGET == HWY_AVX2
  // Half r is taken from 16 bytes that begin 2 r before it, and so lie within
  // the rows: no block with a half is shorter than 14 bytes.
  const auto at = [&](size_t r) {
    return _mm_loadu_si128(
        reinterpret_cast<const __m128i*>(rows.at(r) + offset - 2 * r));
  };
  // Two chains that do not wait for each other.
  __m128i low = at(0);
  __m128i high = at(4);
  low = _mm_blend_epi16(low, at(1), 1 << 1);
  high = _mm_blend_epi16(high, at(5), 1 << 5);
  low = _mm_blend_epi16(low, at(2), 1 << 2);
  high = _mm_blend_epi16(high, at(6), 1 << 6);
  low = _mm_blend_epi16(low, at(3), 1 << 3);
  high = _mm_blend_epi16(high, at(7), 1 << 7);
  return FromHalf(LF(), hn::Vec<D16>{_mm_blend_epi16(low, high, 0xf0)});
#else
  alignas(16) uint16_t halves[kLanes];
  for (size_t r = 0; r < kLanes; ++r) halves[r] = HalfAt(rows.at(r) + offset);
  return FromHalf(LF(), hn::Load(D16(), halves));
#endif
}

// The 16 bytes that the rows have at `offset`, as vectors of one word a row.
HWY_INLINE FourWords LaneWords(const LaneBlocks& rows, size_t offset) {
  const LU d;
  const auto load = [&](size_t row) {
    if constexpr (kLanes == 4) {
      return LoadBytes(d, rows.at(row) + offset);
    } else {
      const hn::Half<LU> half;
      return hn::Combine(d, LoadBytes(half, rows.at(row + 4) + offset),
                         LoadBytes(half, rows.at(row) + offset));
    }
  };
  return Transpose(load(0), load(1), load(2), load(3));
}

// The byte that the rows have at `offset`, as words.
HWY_INLINE VLU LaneByteWords(const LaneBlocks& rows, size_t offset) {
  alignas(32) uint32_t words[kLanes];
  for (size_t r = 0; r < kLanes; ++r) {
    words[r] = static_cast<uint8_t>(rows.at(r)[offset]);
  }
  return hn::Load(LU(), words);
}

// The lower half of each word as a float.
HWY_INLINE VLF LowHalves(VLU words) {
  const hn::Rebind<uint16_t, LF> d16;
  const auto low = hn::BitCast(LI(), hn::And(words, hn::Set(LU(), 0xffffu)));
  return FromHalf(LF(), hn::DemoteTo(d16, low));
}

HWY_INLINE VLF ToFloats(VLU words) {
  return hn::ConvertTo(LF(), hn::BitCast(LI(), words));
}

// 2^(e - 128): half the power that an exponent of mxfp4 means, where levels
// are doubled. 0 and 1 give subnormals, 255 NaN.
HWY_INLINE VLF HalfPowers(VLU exponents) {
  const LU d;
  const auto one = hn::Set(d, 1u);
  const auto signed_exponents = hn::BitCast(LI(), exponents);
  VLU bits = hn::ShiftLeft<23>(hn::Sub(exponents, one));
  const auto small = hn::MaskFromVec(hn::BitCast(
      d, hn::VecFromMask(LI(), hn::Lt(signed_exponents, hn::Set(LI(), 2)))));
  // 2^-128 and 2^-127.
  const auto subnormal = hn::IfThenElse(
      hn::Eq(exponents, one), hn::Set(d, 0x00400000u), hn::Set(d, 0x00200000u));
  bits = hn::IfThenElse(small, subnormal, bits);
  bits = hn::IfThenElse(hn::Eq(exponents, hn::Set(d, 255u)),
                        hn::Set(d, 0x7fc00000u), bits);
  return hn::BitCast(LF(), bits);
}

// The bits of each word from kShift on that `mask` names, as a float.
template <int kShift>
HWY_INLINE VLF Field(VLU words, uint32_t mask) {
  return ToFloats(hn::And(hn::ShiftRight<kShift>(words), hn::Set(LU(), mask)));
}

// Scales of sub-blocks kSub and kSub + 4 of q4_k and q5_k.
template <size_t kSub>
HWY_INLINE void SixBitScalesAt(const FourWords& words, VLF scale, VLF minus_min,
                               LaneScales* out) {
  constexpr int kByte = 8 * static_cast<int>(kSub);
  const LU d;
  const auto four = hn::Set(d, 15u);
  const auto six = hn::Set(d, 0x30u);
  const auto high = hn::ShiftRight<kByte>(words.v[3]);
  // The upper two bits of the last four lie above the first four.
  const auto last_scale = hn::Or(
      hn::And(high, four), hn::And(hn::ShiftRight<kByte + 2>(words.v[1]), six));
  const auto last_min =
      hn::Or(hn::And(hn::ShiftRight<4>(high), four),
             hn::And(hn::ShiftRight<kByte + 2>(words.v[2]), six));
  StoreLanes(hn::Mul(scale, Field<kByte>(words.v[1], 63)), out->scale[kSub][0]);
  StoreLanes(hn::Mul(minus_min, Field<kByte>(words.v[2], 63)),
             out->offset[kSub][0]);
  StoreLanes(hn::Mul(scale, ToFloats(last_scale)), out->scale[kSub + 4][0]);
  StoreLanes(hn::Mul(minus_min, ToFloats(last_min)), out->offset[kSub + 4][0]);
}

// Scales and mins of q4_k and q5_k, which begin alike: two halves, then twelve
// bytes.
HWY_INLINE void SixBitScales(const LaneBlocks& rows, LaneScales* out) {
  const FourWords words = LaneWords(rows, 0);
  const VLF scale = LowHalves(words.v[0]);
  const VLF minus_min = hn::Neg(LowHalves(hn::ShiftRight<16>(words.v[0])));
  SixBitScalesAt<0>(words, scale, minus_min, out);
  SixBitScalesAt<1>(words, scale, minus_min, out);
  SixBitScalesAt<2>(words, scale, minus_min, out);
  SixBitScalesAt<3>(words, scale, minus_min, out);
}

// Signed byte kByte of each word times `scale`.
template <int kByte>
HWY_INLINE void StoreSignedScale(VLU words, VLF scale, float* out) {
  const auto value = hn::ShiftRight<24>(
      hn::BitCast(LI(), hn::ShiftLeft<24 - 8 * kByte>(words)));
  StoreLanes(hn::Mul(scale, hn::ConvertTo(LF(), value)), out);
}

// Sixteen signed bytes of each row times `scale`, those of the halves of eight
// sub-blocks.
HWY_INLINE void HalfScales(const FourWords& words, VLF scale, LaneScales* out) {
  HWY_UNROLL(4)
  for (size_t w = 0; w < 4; ++w) {
    StoreSignedScale<0>(words.v[w], scale, out->scale[2 * w][0]);
    StoreSignedScale<1>(words.v[w], scale, out->scale[2 * w][1]);
    StoreSignedScale<2>(words.v[w], scale, out->scale[2 * w + 1][0]);
    StoreSignedScale<3>(words.v[w], scale, out->scale[2 * w + 1][1]);
  }
}

// Twelve bytes of q3_k at `offset` as sixteen signed bytes a row: four bits in
// a nibble of the first eight, two in the last four, less 32. The four bytes
// before them are read too and not used.
HWY_INLINE FourWords SixBitSignedScales(const LaneBlocks& rows, size_t offset) {
  const FourWords words = LaneWords(rows, offset - 4);
  const LU d;
  const LB d8;
  const auto nibble = hn::Set(d, 0x0f0f0f0fu);
  const auto pair = hn::Set(d, 0x30303030u);
  const auto less = hn::Set(d8, uint8_t{32});
  const auto join = [&](VLU low, VLU high) {
    const auto six = hn::Or(hn::And(low, nibble), hn::And(high, pair));
    return hn::BitCast(d, hn::Sub(hn::BitCast(d8, six), less));
  };
  const auto pairs = words.v[3];
  return {{join(words.v[1], hn::ShiftLeft<4>(pairs)),
           join(words.v[2], hn::ShiftLeft<2>(pairs)),
           join(hn::ShiftRight<4>(words.v[1]), pairs),
           join(hn::ShiftRight<4>(words.v[2]), hn::ShiftRight<2>(pairs))}};
}

// Byte kByte of each word: four bits of a scale, above them four of a min.
template <int kByte>
HWY_INLINE void FourBitScaleAt(VLU words, VLF scale, VLF minus_min,
                               float* out_scale, float* out_offset) {
  StoreLanes(hn::Mul(scale, Field<8 * kByte>(words, 15)), out_scale);
  StoreLanes(hn::Mul(minus_min, Field<8 * kByte + 4>(words, 15)), out_offset);
}

// Sixteen bytes of q2_k a row, those of the halves of eight sub-blocks.
HWY_INLINE void FourBitScales(const FourWords& words, VLF scale, VLF min,
                              LaneScales* out) {
  const VLF minus_min = hn::Neg(min);
  HWY_UNROLL(4)
  for (size_t w = 0; w < 4; ++w) {
    const VLU in = words.v[w];
    const size_t s = 2 * w;
    FourBitScaleAt<0>(in, scale, minus_min, out->scale[s][0],
                      out->offset[s][0]);
    FourBitScaleAt<1>(in, scale, minus_min, out->scale[s][1],
                      out->offset[s][1]);
    FourBitScaleAt<2>(in, scale, minus_min, out->scale[s + 1][0],
                      out->offset[s + 1][0]);
    FourBitScaleAt<3>(in, scale, minus_min, out->scale[s + 1][1],
                      out->offset[s + 1][1]);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_LANE_SCALES_INL_H_
