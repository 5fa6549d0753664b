// SPDX-License-Identifier: Apache-2.0
// Several tokens at once, as floats: weights and activations are laid out in
// the order in which tiles read them, so that a tile is two streams that stay
// in the caches whatever the pitch of rows. Sums are kept as vectors between
// slabs, each advanced as dot-inl.h does it: the same bits. Compiled per CPU
// target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_FLOAT_TILE_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_FLOAT_TILE_INL_H_
#undef LODESTONE_INFERENCE_OPS_FLOAT_TILE_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_FLOAT_TILE_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "hwy/highway.h"
#include "inference/ops/dot-inl.h"
#include "inference/ops/float_tile.h"
#include "inference/ops/kernels.h"
#include "inference/quant/quantize.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// Sums, the weights of a step and an activation fill 32 registers or 16.
inline constexpr size_t kFloatTileRows = kManyRegisters ? 4 : 3;
inline constexpr size_t kFloatTileTokens = kManyRegisters ? 6 : 4;

HWY_INLINE FloatTile FloatTileOfTarget() {
  return {hn::Lanes(DF()), kFloatTileRows, kFloatTileTokens};
}

// Elements [begin, end) of a row, into every kStride-th vector from `out` on.
template <class Row, size_t kStride>
HWY_INLINE void SpreadRow(const std::byte* row, size_t begin, size_t end,
                          float* out) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t i = begin;
  for (; i + lanes <= end; i += lanes) {
    hn::Store(Row::Load(row, i), d, out);
    out += kStride * lanes;
  }
  if (i < end) hn::Store(LoadTail<Row>(row, i, end), d, out);
}

// Zeros in its place.
template <size_t kStride>
HWY_INLINE void SpreadZeros(size_t count, float* out) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < count; i += lanes) {
    hn::Store(hn::Zero(d), d, out);
    out += kStride * lanes;
  }
}

// Where row or token i has its first vector in a slab of `width` columns.
template <size_t kStride>
HWY_INLINE float* PlaceIn(float* slab, size_t i, size_t width) {
  const size_t in_tile = i % kStride;
  return slab + (i - in_tile) * width + in_tile * hn::Lanes(DF());
}

// Tokens from `begin` (a whole number of tiles) up to `end`.
HWY_INLINE void PackTokensImpl(const float* x, size_t num_tokens, size_t n,
                               size_t begin, size_t end, float* out) {
  const FloatTile tile = FloatTileOfTarget();
  for (size_t k = 0; k < n; k += kFloatSlabColumns) {
    const size_t stop = std::min(n, k + kFloatSlabColumns);
    const size_t width = FloatTile::RoundUp(stop - k, tile.lanes);
    float* const slab = out + tile.TokenFloats(num_tokens, k);
    for (size_t t = begin; t < FloatTile::RoundUp(end, kFloatTileTokens); ++t) {
      float* const to = PlaceIn<kFloatTileTokens>(slab, t, width);
      if (t < end) {
        SpreadRow<F32Row, kFloatTileTokens>(
            reinterpret_cast<const std::byte*>(x + t * n), k, stop, to);
      } else {
        SpreadZeros<kFloatTileTokens>(width, to);
      }
    }
  }
}

// Columns [begin, end) of one row, as floats in the layout of a slab.
HWY_INLINE void PackWeightRow(const FloatArgs& a, const std::byte* row,
                              size_t begin, size_t end, float* decoded,
                              float* out) {
  switch (a.dtype) {
    case verify::DType::kF32:
      return SpreadRow<F32Row, kFloatTileRows>(row, begin, end, out);
    case verify::DType::kF16:
      return SpreadRow<HalfRow, kFloatTileRows>(row, begin, end, out);
    case verify::DType::kBF16:
      return SpreadRow<Bf16Row, kFloatTileRows>(row, begin, end, out);
    default: {
      // Slabs begin with a block.
      const size_t count = end - begin;
      DecodeRow(a.dtype,
                {row + *verify::DTypeBytes(a.dtype, begin),
                 *verify::DTypeBytes(a.dtype, count)},
                {decoded, count});
      return SpreadRow<F32Row, kFloatTileRows>(
          reinterpret_cast<const std::byte*>(decoded), 0, count, out);
    }
  }
}

// Rows and tokens of one tile over `steps` vectors, added to `sums`.
HWY_NOINLINE void RunFloatTile(const float* HWY_RESTRICT w,
                               const float* HWY_RESTRICT x, size_t steps,
                               bool is_first, float* HWY_RESTRICT sums) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  VF v[kFloatTileRows][kFloatTileTokens];
  HWY_UNROLL(4)
  for (size_t r = 0; r < kFloatTileRows; ++r) {
    HWY_UNROLL(6)
    for (size_t t = 0; t < kFloatTileTokens; ++t) {
      v[r][t] = is_first
                    ? hn::Zero(d)
                    : hn::Load(d, sums + (r * kFloatTileTokens + t) * lanes);
    }
  }
  for (; steps > 0; --steps) {
    VF weights[kFloatTileRows];
    HWY_UNROLL(4)
    for (size_t r = 0; r < kFloatTileRows; ++r) {
      weights[r] = hn::Load(d, w + r * lanes);
    }
    HWY_UNROLL(6)
    for (size_t t = 0; t < kFloatTileTokens; ++t) {
      const VF activations = hn::Load(d, x + t * lanes);
      HWY_UNROLL(4)
      for (size_t r = 0; r < kFloatTileRows; ++r) {
        v[r][t] = hn::MulAdd(weights[r], activations, v[r][t]);
      }
    }
    w += kFloatTileRows * lanes;
    x += kFloatTileTokens * lanes;
  }
  HWY_UNROLL(4)
  for (size_t r = 0; r < kFloatTileRows; ++r) {
    HWY_UNROLL(6)
    for (size_t t = 0; t < kFloatTileTokens; ++t) {
      hn::Store(v[r][t], d, sums + (r * kFloatTileTokens + t) * lanes);
    }
  }
}

HWY_INLINE void FloatMatMulImpl(const FloatArgs& a) {
  constexpr size_t kTileSums = kFloatTileRows * kFloatTileTokens;
  const FloatTile tile = FloatTileOfTarget();
  const size_t rows = FloatTile::RoundUp(a.num_rows, kFloatTileRows);
  const size_t tokens = FloatTile::RoundUp(a.num_tokens, kFloatTileTokens);
  float* const slab = a.scratch;
  float* const sums = slab + tile.SlabFloats(a.num_rows, a.n);
  float* const decoded = sums + tile.SumFloats(a.num_rows, a.num_tokens);
  for (size_t k = 0; k < a.n; k += kFloatSlabColumns) {
    const size_t stop = std::min(a.n, k + kFloatSlabColumns);
    const size_t width = FloatTile::RoundUp(stop - k, tile.lanes);
    for (size_t r = 0; r < rows; ++r) {
      float* const out = PlaceIn<kFloatTileRows>(slab, r, width);
      if (r < a.num_rows) {
        PackWeightRow(a, a.rows + r * a.row_bytes, k, stop, decoded, out);
      } else {
        SpreadZeros<kFloatTileRows>(width, out);
      }
    }
    const float* const x = a.x + tile.TokenFloats(a.num_tokens, k);
    float* at = sums;
    for (size_t t = 0; t < tokens; t += kFloatTileTokens) {
      for (size_t r = 0; r < rows; r += kFloatTileRows) {
        RunFloatTile(slab + r * width, x + t * width, width / tile.lanes,
                     k == 0, at);
        at += kTileSums * tile.lanes;
      }
    }
  }
  const DF d;
  for (size_t t = 0; t < a.num_tokens; ++t) {
    const size_t first = t / kFloatTileTokens * kFloatTileTokens;
    const float* const of_tokens =
        sums + (first * rows + (t - first)) * tile.lanes;
    for (size_t r = 0; r < a.num_rows; ++r) {
      const size_t row_tile = r / kFloatTileRows;
      const size_t at = row_tile * kTileSums +
                        (r - row_tile * kFloatTileRows) * kFloatTileTokens;
      a.y[t * a.y_stride + r] = Sum(hn::Load(d, of_tokens + at * tile.lanes));
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_FLOAT_TILE_INL_H_
