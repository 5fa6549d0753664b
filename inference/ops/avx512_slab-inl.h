// SPDX-License-Identifier: Apache-2.0
// Several tokens at once: 32 rows are turned into a slab, where four elements
// of 16 rows are a vector, and tiles of tokens run over it. Included by
// packed_avx512.cc alone, between its attributes.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "hwy/base.h"
#include "inference/ops/activations.h"
#include "inference/ops/avx512_codes-inl.h"
#include "inference/ops/avx512_scales-inl.h"
#include "inference/ops/avx512_sums-inl.h"

namespace inference::avx512 {

// Blocks of 32 that a slab holds of a row: with 32 rows it stays in the second
// cache beside the activations.
constexpr size_t kSlabBlocks = 128;
// Tokens whose sums stay in registers, for 32 rows.
constexpr size_t kTileTokens = 6;

// 32 elements of 16 rows: vector j has elements 4j..4j+3 of each row.
template <bool kHalves, bool kOffsets>
struct SlabBlock {
  alignas(64) uint8_t codes[8][64];
  float scale[kHalves ? 2 : 1][kLaneRows];
  float offset[kOffsets && kHalves ? 2 : 1][kLaneRows];  // if kOffsets
};

template <class Type>
using SlabOf = SlabBlock<Type::kHalves, Type::kOffsets>;

// Codes of 16 rows to vectors of four elements a row.
template <class Type, size_t kSub>
HWY_INLINE void PackSub(const RowBlocks& rows, const LaneScales& scales,
                        SlabOf<Type>* out) {
  __m512i v[8];
  HWY_UNROLL(8)
  for (size_t i = 0; i < 8; ++i) {
    v[i] = Type::template Codes<kSub>(rows.at(kPairs[i][0]),
                                      rows.at(kPairs[i][1]));
  }
  __m512i quads[2][4];
  HWY_UNROLL(2)
  for (size_t g = 0; g < 2; ++g) {
    const __m512i* const w = v + 4 * g;
    const __m512i low01 = _mm512_unpacklo_epi32(w[0], w[1]);
    const __m512i high01 = _mm512_unpackhi_epi32(w[0], w[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(w[2], w[3]);
    const __m512i high23 = _mm512_unpackhi_epi32(w[2], w[3]);
    quads[g][0] = _mm512_unpacklo_epi64(low01, low23);
    quads[g][1] = _mm512_unpackhi_epi64(low01, low23);
    quads[g][2] = _mm512_unpacklo_epi64(high01, high23);
    quads[g][3] = _mm512_unpackhi_epi64(high01, high23);
  }
  HWY_UNROLL(4)
  for (size_t j = 0; j < 4; ++j) {
    const HalfVectors halves = Halves<Type::kSplit>(quads[0][j], quads[1][j]);
    _mm512_store_si512(out->codes[j], halves.first);
    _mm512_store_si512(out->codes[j + 4], halves.second);
  }
  constexpr size_t kScales = Type::kHalves ? 2 : 1;
  for (size_t h = 0; h < kScales; ++h) {
    std::memcpy(out->scale[h], scales.scale[kSub][h], sizeof(out->scale[h]));
    if constexpr (Type::kOffsets) {
      std::memcpy(out->offset[h], scales.offset[kSub][h],
                  sizeof(out->offset[h]));
    }
  }
}

template <class Type, size_t... kSubs>
HWY_INLINE void PackSixteen(RowBlocks rows, size_t num_blocks,
                            SlabOf<Type>* slab, std::index_sequence<kSubs...>) {
  LaneScales scales;
  for (size_t b = 0; b < num_blocks; ++b) {
    Type::Scales(rows, &scales);
    (PackSub<Type, kSubs>(rows, scales, slab + kSubs), ...);
    rows.base += Type::kBlockBytes;
    slab += sizeof...(kSubs);
  }
}

// Sums of kGroups * 16 rows and kTokens tokens over half or all of a block.
template <size_t kTokens, size_t kGroups>
struct TileSums {
  __m512i v[kGroups][kTokens];
};

template <class Slab, size_t kTokens, size_t kGroups>
HWY_INLINE void AddProducts(const Slab* const (&slabs)[kGroups],
                            const ActivationBlock* x, size_t x_stride,
                            size_t begin, size_t end,
                            TileSums<kTokens, kGroups>& sums) {
  HWY_UNROLL(8)
  for (size_t j = begin; j < end; ++j) {
    __m512i w[kGroups];
    HWY_UNROLL(2)
    for (size_t g = 0; g < kGroups; ++g) {
      w[g] = _mm512_load_si512(slabs[g]->codes[j]);
    }
    HWY_UNROLL(6)
    for (size_t t = 0; t < kTokens; ++t) {
      int32_t four;
      std::memcpy(&four, x[t * x_stride].q + 4 * j, sizeof(four));
      const __m512i bytes = _mm512_set1_epi32(four);
      HWY_UNROLL(2)
      for (size_t g = 0; g < kGroups; ++g) {
        sums.v[g][t] = _mm512_dpbusd_epi32(sums.v[g][t], w[g], bytes);
      }
    }
  }
}

// y[t * y_stride + 16 g + lane], added to what is there unless `first`.
template <class Slab, bool kHalves, bool kOffsets, size_t kTokens,
          size_t kGroups>
HWY_NOINLINE void SlabTile(const Slab* slab, size_t slab_stride,
                           size_t num_blocks, __m128i zero,
                           const ActivationBlock* x, size_t x_stride,
                           bool first, float* y, size_t y_stride,
                           const __mmask16 (&lanes)[2]) {
  __m512 totals[kGroups][kTokens];
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t t = 0; t < kTokens; ++t) {
      totals[g][t] =
          first ? _mm512_setzero_ps()
                : _mm512_maskz_loadu_ps(lanes[g], y + t * y_stride + 16 * g);
    }
  }
  for (size_t b = 0; b < num_blocks; ++b) {
    const Slab* slabs[kGroups];
    for (size_t g = 0; g < kGroups; ++g) slabs[g] = slab + g * slab_stride + b;
    TileSums<kTokens, kGroups> sums;
    constexpr size_t kParts = kHalves ? 2 : 1;
    HWY_UNROLL(2)
    for (size_t h = 0; h < kParts; ++h) {
      HWY_UNROLL(6)
      for (size_t t = 0; t < kTokens; ++t) {
        const ActivationBlock& a = x[t * x_stride + b];
        const int32_t minus = kHalves ? MinusHalfSum(a, h) : a.minus_sum;
        // A count of 32 and more gives zero.
        const __m512i start = _mm512_sll_epi32(_mm512_set1_epi32(minus), zero);
        for (size_t g = 0; g < kGroups; ++g) sums.v[g][t] = start;
      }
      AddProducts<Slab, kTokens, kGroups>(slabs, x + b, x_stride,
                                          kHalves ? 4 * h : 0,
                                          kHalves ? 4 * h + 4 : 8, sums);
      HWY_UNROLL(6)
      for (size_t t = 0; t < kTokens; ++t) {
        const float x_scale = x[t * x_stride + b].scale;
        for (size_t g = 0; g < kGroups; ++g) {
          totals[g][t] = AddScaled(sums.v[g][t], slabs[g]->scale[h], x_scale,
                                   totals[g][t]);
        }
      }
    }
    if constexpr (kOffsets) {
      HWY_UNROLL(6)
      for (size_t t = 0; t < kTokens; ++t) {
        const ActivationBlock& a = x[t * x_stride + b];
        for (size_t h = 0; h < kParts; ++h) {
          const float sum = kHalves ? HalfSum(a, h) : a.sum;
          for (size_t g = 0; g < kGroups; ++g) {
            totals[g][t] = _mm512_fmadd_ps(_mm512_load_ps(slabs[g]->offset[h]),
                                           _mm512_set1_ps(sum), totals[g][t]);
          }
        }
      }
    }
  }
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t t = 0; t < kTokens; ++t) {
      _mm512_mask_storeu_ps(y + t * y_stride + 16 * g, lanes[g], totals[g][t]);
    }
  }
}

// A slab and the tokens it is multiplied with.
template <class Slab>
struct SlabArgs {
  const Slab* slab = nullptr;  // groups are slab_stride apart
  size_t slab_stride = 0;
  size_t num_blocks = 0;
  __m128i zero;  // as Shape::kZero
  const ActivationBlock* x = nullptr;
  size_t x_stride = 0;
  bool first = false;  // nothing is in y yet
  float* y = nullptr;
  size_t y_stride = 0;
  __mmask16 lanes[2] = {0, 0};
};

template <class Slab, bool kHalves, bool kOffsets, size_t kTokens,
          size_t kGroups>
HWY_INLINE void TileAt(const SlabArgs<Slab>& a, size_t t) {
  SlabTile<Slab, kHalves, kOffsets, kTokens, kGroups>(
      a.slab, a.slab_stride, a.num_blocks, a.zero, a.x + t * a.x_stride,
      a.x_stride, a.first, a.y + t * a.y_stride, a.y_stride, a.lanes);
}

// All tokens with a slab, six at a time.
template <class Slab, bool kHalves, bool kOffsets, size_t kGroups>
void SlabTokens(const SlabArgs<Slab>& a, size_t num_tokens) {
  size_t t = 0;
  for (; t + kTileTokens <= num_tokens; t += kTileTokens) {
    TileAt<Slab, kHalves, kOffsets, kTileTokens, kGroups>(a, t);
  }
  switch (num_tokens - t) {
    case 1:
      return TileAt<Slab, kHalves, kOffsets, 1, kGroups>(a, t);
    case 2:
      return TileAt<Slab, kHalves, kOffsets, 2, kGroups>(a, t);
    case 3:
      return TileAt<Slab, kHalves, kOffsets, 3, kGroups>(a, t);
    case 4:
      return TileAt<Slab, kHalves, kOffsets, 4, kGroups>(a, t);
    case 5:
      return TileAt<Slab, kHalves, kOffsets, 5, kGroups>(a, t);
    default:
      return;
  }
}

}  // namespace inference::avx512
