// SPDX-License-Identifier: Apache-2.0
// One token: 16 rows are read as they lie. What holds it back is the number of
// instructions, not their units: so small blocks are taken four at a time where
// that needs fewer. Included by packed_avx512.cc alone, between its attributes.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "hwy/base.h"
#include "inference/ops/activations.h"
#include "inference/ops/ask_ahead.h"
#include "inference/ops/avx512_codes-inl.h"
#include "inference/ops/avx512_scales-inl.h"
#include "inference/ops/avx512_sums-inl.h"

namespace inference::avx512 {

// Adds what a sub-block without halves gives, from its integer sum.
template <class Type>
HWY_INLINE __m512 AddWhole(__m512i codes_sum, const LaneScales& scales,
                           size_t sub, const ActivationBlock& x, __m512 total) {
  const __m512i sum =
      _mm512_add_epi32(codes_sum, Start<Type::kZero>(x.minus_sum));
  total = AddScaled(sum, scales.scale[sub][0], x.scale, total);
  if constexpr (Type::kOffsets) {
    total = _mm512_fmadd_ps(_mm512_load_ps(scales.offset[sub][0]),
                            _mm512_set1_ps(x.sum), total);
  }
  return total;
}

template <class Type>
HWY_INLINE __m512 AddHalves(const HalfVectors& sums, const LaneScales& scales,
                            size_t sub, const ActivationBlock& x,
                            __m512 total) {
  const auto first =
      _mm512_add_epi32(sums.first, Start<Type::kZero>(MinusHalfSum(x, 0)));
  const auto second =
      _mm512_add_epi32(sums.second, Start<Type::kZero>(MinusHalfSum(x, 1)));
  total = AddScaled(first, scales.scale[sub][0], x.scale, total);
  total = AddScaled(second, scales.scale[sub][1], x.scale, total);
  if constexpr (Type::kOffsets) {
    total = _mm512_fmadd_ps(_mm512_load_ps(scales.offset[sub][0]),
                            _mm512_set1_ps(HalfSum(x, 0)), total);
    total = _mm512_fmadd_ps(_mm512_load_ps(scales.offset[sub][1]),
                            _mm512_set1_ps(HalfSum(x, 1)), total);
  }
  return total;
}

template <class Type, size_t kSub>
HWY_INLINE __m512 DirectSub(const RowBlocks& rows, const LaneScales& scales,
                            const ActivationBlock& x, __m512 total) {
  __m512i bytes = _mm512_broadcast_i64x4(
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.q)));
  if constexpr (Type::kSplit) {
    bytes = _mm512_shuffle_i32x4(bytes, bytes, 0x50);
  }
  __m512i v[8];
  HWY_UNROLL(8)
  for (size_t i = 0; i < 8; ++i) {
    const __m512i codes = Type::template Codes<kSub>(rows.at(kPairs[i][0]),
                                                     rows.at(kPairs[i][1]));
    v[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes, bytes);
  }
  const HalfVectors sums = FoldPairs<Type::kSplit>(v);
  if constexpr (Type::kHalves) {
    return AddHalves<Type>(sums, scales, kSub, x, total);
  } else {
    return AddWhole<Type>(_mm512_add_epi32(sums.first, sums.second), scales,
                          kSub, x, total);
  }
}

// Four blocks of each row: the sums of a row's blocks are the quarters of a
// vector, and are turned so that those of a block are one.
template <class Type>
HWY_INLINE __m512 DirectQuad(RowBlocks rows, const ActivationBlock* x,
                             __m512 total) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(x[0].q);
  const __m512i first = FourAt(bytes, sizeof(x[0]));
  const __m512i second = FourAt(bytes + 16, sizeof(x[0]));
  __m512i by_rows[4];  // rows 4i..4i+3: four lanes for each block
  HWY_UNROLL(4)
  for (size_t i = 0; i < 4; ++i) {
    __m512i v[4];
    HWY_UNROLL(4)
    for (size_t r = 0; r < 4; ++r) {
      const FourBlocks codes = Type::Quad(rows.at(4 * i + r));
      v[r] = _mm512_dpbusd_epi32(
          _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes.first, first),
          codes.second, second);
    }
    by_rows[i] = FoldFour(v[0], v[1], v[2], v[3]);
  }
  const __m512i low01 = _mm512_shuffle_i32x4(by_rows[0], by_rows[1], 0x44);
  const __m512i high01 = _mm512_shuffle_i32x4(by_rows[0], by_rows[1], 0xee);
  const __m512i low23 = _mm512_shuffle_i32x4(by_rows[2], by_rows[3], 0x44);
  const __m512i high23 = _mm512_shuffle_i32x4(by_rows[2], by_rows[3], 0xee);
  const __m512i sums[4] = {_mm512_shuffle_i32x4(low01, low23, 0x88),
                           _mm512_shuffle_i32x4(low01, low23, 0xdd),
                           _mm512_shuffle_i32x4(high01, high23, 0x88),
                           _mm512_shuffle_i32x4(high01, high23, 0xdd)};
  HWY_UNROLL(4)
  for (size_t b = 0; b < 4; ++b) {
    LaneScales scales;
    Type::Scales(rows, &scales);
    total = AddWhole<Type>(sums[b], scales, 0, x[b], total);
    rows.base += Type::kBlockBytes;
  }
  return total;
}

// 16 rows times one token. Rows are best apart by as many as are taken one
// after the other, so that each is a stream that goes on.
template <class Type, size_t... kSubs>
HWY_INLINE __m512 DirectSixteen(RowBlocks rows, size_t num_blocks,
                                const ActivationBlock* x,
                                std::index_sequence<kSubs...>) {
  __m512 total = _mm512_setzero_ps();
  size_t b = 0;
  if constexpr (requires { Type::Quad(rows.base); }) {
    for (; b + 4 <= num_blocks; b += 4) {
      AskAhead<4 * Type::kBlockBytes>(rows.base, rows.stride, kLaneRows);
      total = DirectQuad<Type>(rows, x, total);
      rows.base += 4 * Type::kBlockBytes;
      x += 4;
    }
  }
  LaneScales scales;
  for (; b < num_blocks; ++b) {
    AskAhead<Type::kBlockBytes>(rows.base, rows.stride, kLaneRows);
    Type::Scales(rows, &scales);
    ((total = DirectSub<Type, kSubs>(rows, scales, x[kSubs], total)), ...);
    rows.base += Type::kBlockBytes;
    x += sizeof...(kSubs);
  }
  return total;
}

}  // namespace inference::avx512
