// SPDX-License-Identifier: Apache-2.0
// Dot products of weight rows with activations, compiled per CPU target.
// One accumulator per (row, token), advanced in steps of one vector: so a row
// taken alone, in a tile, from the file or from a slab gives the same bits.
// Weights are loaded as bytes: their alignment is that of the file.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_DOT_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_DOT_INL_H_
#undef LODESTONE_INFERENCE_OPS_DOT_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_DOT_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "inference/ops/kernels.h"
#include "verify/base/load_bytes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that a block of 32 activations is a whole number of
// vectors.
using DF = hn::CappedTag<float, 16>;
using VF = hn::Vec<DF>;
using DU16 = hn::Rebind<uint16_t, DF>;
using DI8 = hn::Rebind<int8_t, DF>;
using DI32 = hn::Rebind<int32_t, DF>;
inline constexpr size_t kMaxLanes = 16;

// 32 vectors, where others have 16.
inline constexpr bool kManyRegisters =
    HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON;

using verify::HWY_NAMESPACE::LoadBytes;

template <class D>
HWY_INLINE hn::Vec<D> FromHalf(D d, hn::Vec<hn::Rebind<uint16_t, D>> bits) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
  return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, D>(), bits));
#else
  // Highway's own conversion makes infinity finite where the CPU has none.
  // The fields moved into place make a float 2^112 times too small, whether
  // the half is normal or not; infinity and NaN need all exponent bits.
  const hn::Rebind<uint32_t, D> du32;
  const hn::Rebind<int32_t, D> di32;
  const auto wide = hn::PromoteTo(du32, bits);
  const auto magnitude = hn::And(wide, hn::Set(du32, 0x7fffu));
  const auto scaled = hn::Mul(hn::BitCast(d, hn::ShiftLeft<13>(magnitude)),
                              hn::Set(d, 0x1p112f));
  const auto special = hn::IfThenElseZero(
      hn::Gt(hn::BitCast(di32, magnitude), hn::Set(di32, 0x7bff)),
      hn::Set(di32, 0x7f800000));
  const auto sign = hn::ShiftLeft<16>(hn::And(wide, hn::Set(du32, 0x8000u)));
  return hn::BitCast(d, hn::Or(hn::BitCast(du32, scaled),
                               hn::Or(hn::BitCast(du32, special), sign)));
#endif
}

// The three plain types: a vector of floats from element `i` of a row on.
struct F32Row {
  static constexpr size_t kElementBytes = 4;
  static HWY_INLINE VF Load(const std::byte* row, size_t i) {
    return LoadBytes(DF(), row + i * 4);
  }
};
struct HalfRow {
  static constexpr size_t kElementBytes = 2;
  static HWY_INLINE VF Load(const std::byte* row, size_t i) {
    return FromHalf(DF(), LoadBytes(DU16(), row + i * 2));
  }
};
struct Bf16Row {
  static constexpr size_t kElementBytes = 2;
  static HWY_INLINE VF Load(const std::byte* row, size_t i) {
    const hn::Rebind<uint32_t, DF> du32;
    const auto bits = LoadBytes(DU16(), row + i * 2);
    return hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(du32, bits)));
  }
};

// The last n - i < Lanes elements, then zeros.
template <class Row>
HWY_INLINE VF LoadTail(const std::byte* row, size_t i, size_t n) {
  alignas(64) std::byte padded[kMaxLanes * Row::kElementBytes] = {};
  std::memcpy(padded, row + i * Row::kElementBytes,
              (n - i) * Row::kElementBytes);
  return Row::Load(padded, 0);
}
HWY_INLINE VF LoadTail(const float* x, size_t i, size_t n) {
  return LoadTail<F32Row>(reinterpret_cast<const std::byte*>(x), i, n);
}

HWY_INLINE float Sum(VF v) { return hn::GetLane(hn::SumOfLanes(DF(), v)); }

// Some rows, so many `apart`, with some tokens. Sums of every row and token
// stay in registers.
template <class Row, size_t kRows, size_t kTokens>
HWY_INLINE void DotTile(const std::byte* rows, size_t row_bytes, size_t apart,
                        const float* x, size_t n, float* y, size_t y_stride) {
  const size_t stride = apart * row_bytes;
  const DF d;
  const size_t lanes = hn::Lanes(d);
  VF sums[kRows][kTokens];
  HWY_UNROLL(8)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (size_t t = 0; t < kTokens; ++t) sums[r][t] = hn::Zero(d);
  }
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    VF w[kRows];
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) {
      w[r] = Row::Load(rows + r * stride, i);
    }
    HWY_UNROLL(4)
    for (size_t t = 0; t < kTokens; ++t) {
      const VF v = hn::LoadU(d, x + t * n + i);
      HWY_UNROLL(8)
      for (size_t r = 0; r < kRows; ++r) {
        sums[r][t] = hn::MulAdd(w[r], v, sums[r][t]);
      }
    }
  }
  if (i < n) {
    for (size_t t = 0; t < kTokens; ++t) {
      const VF v = LoadTail(x + t * n, i, n);
      for (size_t r = 0; r < kRows; ++r) {
        sums[r][t] =
            hn::MulAdd(LoadTail<Row>(rows + r * stride, i, n), v, sums[r][t]);
      }
    }
  }
  HWY_UNROLL(4)
  for (size_t t = 0; t < kTokens; ++t) {
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) {
      y[t * y_stride + r * apart] = Sum(sums[r][t]);
    }
  }
}

// Groups of rows as they lie, with tokens that are at most kTokens at a time:
// the rows are still near when the next tokens come.
template <class Row, size_t kRows, size_t kTokens>
HWY_INLINE size_t DotGroups(const std::byte* rows, size_t row_bytes, size_t r,
                            size_t num_rows, const float* x, size_t num_tokens,
                            size_t n, float* y, size_t y_stride) {
  for (; r + kRows <= num_rows; r += kRows) {
    const std::byte* const group = rows + r * row_bytes;
    size_t t = 0;
    for (; t + kTokens <= num_tokens; t += kTokens) {
      DotTile<Row, kRows, kTokens>(group, row_bytes, 1, x + t * n, n,
                                   y + t * y_stride + r, y_stride);
    }
    if constexpr (kTokens > 2) {
      if (t + 2 <= num_tokens) {
        DotTile<Row, kRows, 2>(group, row_bytes, 1, x + t * n, n,
                               y + t * y_stride + r, y_stride);
        t += 2;
      }
    }
    if (t < num_tokens) {
      DotTile<Row, kRows, 1>(group, row_bytes, 1, x + t * n, n,
                             y + t * y_stride + r, y_stride);
    }
  }
  return r;
}

template <class Row>
HWY_INLINE void DotPlainRows(const std::byte* rows, size_t row_bytes,
                             size_t num_rows, const float* x, size_t num_tokens,
                             size_t n, float* y, size_t y_stride) {
  size_t r = 0;
  if (num_tokens == 1) {
    // As fast as the weights come: in so many streams, each of which goes on
    // from row to row.
    const size_t apart = num_rows / kRowStreams;
    for (size_t i = 0; i < apart; ++i) {
      DotTile<Row, kRowStreams, 1>(rows + i * row_bytes, row_bytes, apart, x, n,
                                   y + i, y_stride);
    }
    r = kRowStreams * apart;
  } else {
    // 12 sums, 3 weights and an activation fill 16 registers.
    r = DotGroups<Row, 3, 4>(rows, row_bytes, r, num_rows, x, num_tokens, n, y,
                             y_stride);
  }
  DotGroups<Row, 1, 1>(rows, row_bytes, r, num_rows, x, num_tokens, n, y,
                       y_stride);
}

template <class Row>
HWY_INLINE void DecodePlainRow(const std::byte* row, size_t n, float* out) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(Row::Load(row, i), d, out + i);
  if (i < n) {
    alignas(64) float padded[kMaxLanes];
    hn::Store(LoadTail<Row>(row, i, n), d, padded);
    std::memcpy(out + i, padded, (n - i) * sizeof(float));
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_DOT_INL_H_
