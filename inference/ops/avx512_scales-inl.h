// SPDX-License-Identifier: Apache-2.0
// Scales of packed blocks for 16 rows at once, whose lanes they are. Included
// by packed_avx512.cc alone, between its attributes.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/base.h"

namespace inference::avx512 {

// Rows whose sums are the lanes of a vector.
inline constexpr size_t kLaneRows = 16;

// Where row r of 16 has its block: base + r * stride.
struct RowBlocks {
  const std::byte* base;
  size_t stride;
  HWY_INLINE const std::byte* at(size_t r) const { return base + r * stride; }
};

// Scales and offsets of up to 8 sub-blocks of 32 elements for 16 rows.
struct LaneScales {
  alignas(64) float scale[8][2][kLaneRows];   // [sub][half][row]
  alignas(64) float offset[8][2][kLaneRows];  // the same
};

HWY_INLINE __m128i Load16(const std::byte* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

HWY_INLINE uint16_t LoadU16(const std::byte* p) {
  uint16_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

// Eight halves, one of each row from `first` on.
HWY_INLINE __m128i EightHalves(const RowBlocks& rows, size_t first,
                               size_t offset) {
  __m128i v = _mm_cvtsi32_si128(LoadU16(rows.at(first) + offset));
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 1) + offset), 1);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 2) + offset), 2);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 3) + offset), 3);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 4) + offset), 4);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 5) + offset), 5);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 6) + offset), 6);
  return _mm_insert_epi16(v, LoadU16(rows.at(first + 7) + offset), 7);
}

// The halves that 16 rows have at `offset` of their blocks, as floats.
HWY_INLINE __m512 LaneHalves(const RowBlocks& rows, size_t offset) {
  return _mm512_cvtph_ps(_mm256_inserti128_si256(
      _mm256_castsi128_si256(EightHalves(rows, 0, offset)),
      EightHalves(rows, 8, offset), 1));
}

// 16 bytes at one place of four rows that are four apart.
HWY_INLINE __m512i FourRows(const RowBlocks& rows, size_t first,
                            size_t offset) {
  __m512i v = _mm512_castsi128_si512(Load16(rows.at(first) + offset));
  v = _mm512_inserti32x4(v, Load16(rows.at(first + 4) + offset), 1);
  v = _mm512_inserti32x4(v, Load16(rows.at(first + 8) + offset), 2);
  return _mm512_inserti32x4(v, Load16(rows.at(first + 12) + offset), 3);
}

// The 16 bytes that 16 rows have at `offset`, as vectors of one word a row.
struct LaneWords {
  __m512i v[4];
};
HWY_INLINE LaneWords LoadLaneWords(const RowBlocks& rows, size_t offset) {
  const __m512i r0 = FourRows(rows, 0, offset);
  const __m512i r1 = FourRows(rows, 1, offset);
  const __m512i r2 = FourRows(rows, 2, offset);
  const __m512i r3 = FourRows(rows, 3, offset);
  const __m512i low01 = _mm512_unpacklo_epi32(r0, r1);
  const __m512i high01 = _mm512_unpackhi_epi32(r0, r1);
  const __m512i low23 = _mm512_unpacklo_epi32(r2, r3);
  const __m512i high23 = _mm512_unpackhi_epi32(r2, r3);
  return {{_mm512_unpacklo_epi64(low01, low23),
           _mm512_unpackhi_epi64(low01, low23),
           _mm512_unpacklo_epi64(high01, high23),
           _mm512_unpackhi_epi64(high01, high23)}};
}

// The lower half of each word as a float.
HWY_INLINE __m512 LowHalves(__m512i words) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words));
}

// Byte kRow of `bytes` and those after it, from the rows of these numbers.
template <int kRow = 0>
HWY_INLINE __m128i InsertBytes(const RowBlocks& rows, size_t offset,
                               __m128i bytes) {
  if constexpr (kRow == kLaneRows) {
    return bytes;
  } else {
    const auto byte = static_cast<uint8_t>(rows.at(kRow)[offset]);
    return InsertBytes<kRow + 1>(rows, offset,
                                 _mm_insert_epi8(bytes, byte, kRow));
  }
}

// The byte that 16 rows have at `offset`, as words.
HWY_INLINE __m512i LaneBytes(const RowBlocks& rows, size_t offset) {
  return _mm512_cvtepu8_epi32(InsertBytes(rows, offset, _mm_setzero_si128()));
}

// 2^(e - 128): half the power that an exponent of mxfp4 means, where levels
// are doubled. 0 and 1 give subnormals, 255 NaN.
HWY_INLINE __m512 HalfPowers(__m512i exponents) {
  const __m512i one = _mm512_set1_epi32(1);
  __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(exponents, one), 23);
  bits = _mm512_mask_mov_epi32(
      bits, _mm512_cmple_epu32_mask(exponents, one),
      _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), exponents));
  bits = _mm512_mask_mov_epi32(
      bits, _mm512_cmpeq_epi32_mask(exponents, _mm512_set1_epi32(255)),
      _mm512_set1_epi32(0x7fc00000));
  return _mm512_castsi512_ps(bits);
}

// The bits of each word from kShift on that `mask` names, as a float.
template <int kShift>
HWY_INLINE __m512 Field(__m512i words, int mask) {
  return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(words, kShift),
                                             _mm512_set1_epi32(mask)));
}

// Scales of sub-blocks kSub and kSub + 4 of q4_k and q5_k.
template <size_t kSub>
HWY_INLINE void SixBitScalesAt(const LaneWords& words, __m512 scale,
                               __m512 minus_min, LaneScales* out) {
  constexpr int kByte = 8 * static_cast<int>(kSub);
  const __m512i six = _mm512_set1_epi32(0x30);
  const __m512i high = _mm512_srli_epi32(words.v[3], kByte);
  // The upper two bits of the last four lie above the first four.
  const __m512i last_scale = _mm512_or_si512(
      _mm512_and_si512(high, _mm512_set1_epi32(15)),
      _mm512_and_si512(_mm512_srli_epi32(words.v[1], kByte + 2), six));
  const __m512i last_min = _mm512_or_si512(
      _mm512_and_si512(_mm512_srli_epi32(high, 4), _mm512_set1_epi32(15)),
      _mm512_and_si512(_mm512_srli_epi32(words.v[2], kByte + 2), six));
  _mm512_store_ps(out->scale[kSub][0],
                  _mm512_mul_ps(scale, Field<kByte>(words.v[1], 63)));
  _mm512_store_ps(out->offset[kSub][0],
                  _mm512_mul_ps(minus_min, Field<kByte>(words.v[2], 63)));
  _mm512_store_ps(out->scale[kSub + 4][0],
                  _mm512_mul_ps(scale, _mm512_cvtepi32_ps(last_scale)));
  _mm512_store_ps(out->offset[kSub + 4][0],
                  _mm512_mul_ps(minus_min, _mm512_cvtepi32_ps(last_min)));
}

// Scales and mins of q4_k and q5_k, which begin alike: two halves, then twelve
// bytes.
HWY_INLINE void SixBitScales(const RowBlocks& rows, LaneScales* out) {
  const LaneWords words = LoadLaneWords(rows, 0);
  const __m512 scale = LowHalves(words.v[0]);
  const __m512 minus_min = _mm512_sub_ps(
      _mm512_setzero_ps(), LowHalves(_mm512_srli_epi32(words.v[0], 16)));
  SixBitScalesAt<0>(words, scale, minus_min, out);
  SixBitScalesAt<1>(words, scale, minus_min, out);
  SixBitScalesAt<2>(words, scale, minus_min, out);
  SixBitScalesAt<3>(words, scale, minus_min, out);
}

// Signed byte kByte of each word times `scale`.
template <int kByte>
HWY_INLINE void StoreSignedScale(__m512i words, __m512 scale, float* out) {
  const __m512i value =
      _mm512_srai_epi32(_mm512_slli_epi32(words, 24 - 8 * kByte), 24);
  _mm512_store_ps(out, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(value)));
}

// Sixteen signed bytes of each row times `scale`, those of the halves of eight
// sub-blocks.
HWY_INLINE void HalfScales(const LaneWords& words, __m512 scale,
                           LaneScales* out) {
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
HWY_INLINE LaneWords SixBitSignedScales(const RowBlocks& rows, size_t offset) {
  const LaneWords words = LoadLaneWords(rows, offset - 4);
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i pair = _mm512_set1_epi8(0x30);
  const __m512i less = _mm512_set1_epi8(32);
  const auto join = [&](__m512i low, __m512i high) {
    return _mm512_sub_epi8(_mm512_or_si512(_mm512_and_si512(low, nibble),
                                           _mm512_and_si512(high, pair)),
                           less);
  };
  const __m512i pairs = words.v[3];
  return {
      {join(words.v[1], _mm512_slli_epi32(pairs, 4)),
       join(words.v[2], _mm512_slli_epi32(pairs, 2)),
       join(_mm512_srli_epi32(words.v[1], 4), pairs),
       join(_mm512_srli_epi32(words.v[2], 4), _mm512_srli_epi32(pairs, 2))}};
}

// Byte kByte of each word: four bits of a scale, above them four of a min.
template <int kByte>
HWY_INLINE void FourBitScaleAt(__m512i words, __m512 scale, __m512 minus_min,
                               float* out_scale, float* out_offset) {
  _mm512_store_ps(out_scale, _mm512_mul_ps(scale, Field<8 * kByte>(words, 15)));
  _mm512_store_ps(out_offset,
                  _mm512_mul_ps(minus_min, Field<8 * kByte + 4>(words, 15)));
}

// Sixteen bytes of q2_k a row, those of the halves of eight sub-blocks.
HWY_INLINE void FourBitScales(const LaneWords& words, __m512 scale, __m512 min,
                              LaneScales* out) {
  const __m512 minus_min = _mm512_sub_ps(_mm512_setzero_ps(), min);
  HWY_UNROLL(4)
  for (size_t w = 0; w < 4; ++w) {
    const auto& in = words.v[w];
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

}  // namespace inference::avx512
