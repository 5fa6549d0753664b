// SPDX-License-Identifier: Apache-2.0
// Integer sums of 16 rows and what becomes of them: shared by the products of
// one and of several tokens, so that both give the same bits. Included by
// packed_avx512.cc alone, between its attributes.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "hwy/base.h"

namespace inference::avx512 {

// The pairs of rows that are read as one vector, so that folding puts the sum
// of row r into lane r.
constexpr size_t kPairs[8][2] = {{0, 4},  {1, 5},  {2, 6},   {3, 7},
                                 {8, 12}, {9, 13}, {10, 14}, {11, 15}};

HWY_INLINE __m512i Fold(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b),
                          _mm512_unpackhi_epi32(a, b));
}
HWY_INLINE __m512i FoldFour(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = Fold(a, b);
  const __m512i cd = Fold(c, d);
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd),
                          _mm512_unpackhi_epi64(ab, cd));
}

// Of the first and of the second half of 32 elements, by row.
struct HalfVectors {
  __m512i first;
  __m512i second;
};
// The halves of rows from vectors with rows side by side, or split.
template <bool kSplit>
HWY_INLINE HalfVectors Halves(__m512i low, __m512i high) {
  return {_mm512_shuffle_i32x4(low, high, kSplit ? 0x44 : 0x88),
          _mm512_shuffle_i32x4(low, high, kSplit ? 0xee : 0xdd)};
}
template <bool kSplit>
HWY_INLINE HalfVectors FoldPairs(const __m512i (&v)[8]) {
  return Halves<kSplit>(FoldFour(v[0], v[1], v[2], v[3]),
                        FoldFour(v[4], v[5], v[6], v[7]));
}

// What the sums begin with: -(sum of activations) times the code of zero.
template <int kZero>
HWY_INLINE __m512i Start(int32_t minus_sum) {
  if constexpr (kZero >= 32) return _mm512_setzero_si512();
  return _mm512_slli_epi32(_mm512_set1_epi32(minus_sum), kZero);
}

HWY_INLINE __m512 AddScaled(__m512i sum, const float* scale, float x_scale,
                            __m512 total) {
  const __m512 factor =
      _mm512_mul_ps(_mm512_load_ps(scale), _mm512_set1_ps(x_scale));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, total);
}

}  // namespace inference::avx512
