// SPDX-License-Identifier: Apache-2.0
// Dot products of weight rows with activations, compiled per CPU target.
// One accumulator per (row, token), advanced in steps of one vector: so a row
// taken alone, in a tile, from the file or from a decoded panel gives the same
// bits. Weights are loaded as bytes: their alignment is that of the file.

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

template <class Row>
HWY_INLINE void DotFour(const std::byte* rows, size_t row_bytes, const float* x,
                        size_t n, float* out) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const std::byte* row0 = rows;
  const std::byte* row1 = row0 + row_bytes;
  const std::byte* row2 = row1 + row_bytes;
  const std::byte* row3 = row2 + row_bytes;
  VF sum0 = hn::Zero(d);
  VF sum1 = hn::Zero(d);
  VF sum2 = hn::Zero(d);
  VF sum3 = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF v = hn::LoadU(d, x + i);
    sum0 = hn::MulAdd(Row::Load(row0, i), v, sum0);
    sum1 = hn::MulAdd(Row::Load(row1, i), v, sum1);
    sum2 = hn::MulAdd(Row::Load(row2, i), v, sum2);
    sum3 = hn::MulAdd(Row::Load(row3, i), v, sum3);
  }
  if (i < n) {
    const VF v = LoadTail(x, i, n);
    sum0 = hn::MulAdd(LoadTail<Row>(row0, i, n), v, sum0);
    sum1 = hn::MulAdd(LoadTail<Row>(row1, i, n), v, sum1);
    sum2 = hn::MulAdd(LoadTail<Row>(row2, i, n), v, sum2);
    sum3 = hn::MulAdd(LoadTail<Row>(row3, i, n), v, sum3);
  }
  out[0] = Sum(sum0);
  out[1] = Sum(sum1);
  out[2] = Sum(sum2);
  out[3] = Sum(sum3);
}

template <class Row>
HWY_INLINE float DotOne(const std::byte* row, const float* x, size_t n) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  VF sum = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    sum = hn::MulAdd(Row::Load(row, i), hn::LoadU(d, x + i), sum);
  }
  if (i < n) {
    sum = hn::MulAdd(LoadTail<Row>(row, i, n), LoadTail(x, i, n), sum);
  }
  return Sum(sum);
}

template <class Row>
HWY_INLINE void DotPlainRows(const std::byte* rows, size_t row_bytes,
                             size_t num_rows, const float* x, size_t n,
                             float* out) {
  size_t r = 0;
  for (; r + 4 <= num_rows; r += 4) {
    DotFour<Row>(rows + r * row_bytes, row_bytes, x, n, out + r);
  }
  for (; r < num_rows; ++r) {
    out[r] = DotOne<Row>(rows + r * row_bytes, x, n);
  }
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

// Four sums, one for each row of a tile, for one token.
struct FourSums {
  VF r0, r1, r2, r3;
};
HWY_INLINE FourSums ZeroSums() {
  const DF d;
  return {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
}
HWY_INLINE void Accumulate(VF w0, VF w1, VF w2, VF w3, VF x, FourSums& sums) {
  sums.r0 = hn::MulAdd(w0, x, sums.r0);
  sums.r1 = hn::MulAdd(w1, x, sums.r1);
  sums.r2 = hn::MulAdd(w2, x, sums.r2);
  sums.r3 = hn::MulAdd(w3, x, sums.r3);
}
HWY_INLINE void StoreSums(const FourSums& sums, float* y) {
  y[0] = Sum(sums.r0);
  y[1] = Sum(sums.r1);
  y[2] = Sum(sums.r2);
  y[3] = Sum(sums.r3);
}

// Four panel rows with kTokens (1, 2 or 4) tokens.
template <size_t kTokens>
HWY_INLINE void PanelTile(const float* panel, const float* x, size_t n,
                          float* y, size_t y_stride) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const float* row1 = panel + n;
  const float* row2 = row1 + n;
  const float* row3 = row2 + n;
  FourSums t0 = ZeroSums();
  FourSums t1 = ZeroSums();
  FourSums t2 = ZeroSums();
  FourSums t3 = ZeroSums();
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF w0 = hn::LoadU(d, panel + i);
    const VF w1 = hn::LoadU(d, row1 + i);
    const VF w2 = hn::LoadU(d, row2 + i);
    const VF w3 = hn::LoadU(d, row3 + i);
    Accumulate(w0, w1, w2, w3, hn::LoadU(d, x + i), t0);
    if constexpr (kTokens > 1) {
      Accumulate(w0, w1, w2, w3, hn::LoadU(d, x + n + i), t1);
    }
    if constexpr (kTokens > 2) {
      Accumulate(w0, w1, w2, w3, hn::LoadU(d, x + 2 * n + i), t2);
      Accumulate(w0, w1, w2, w3, hn::LoadU(d, x + 3 * n + i), t3);
    }
  }
  if (i < n) {
    const VF w0 = LoadTail(panel, i, n);
    const VF w1 = LoadTail(row1, i, n);
    const VF w2 = LoadTail(row2, i, n);
    const VF w3 = LoadTail(row3, i, n);
    Accumulate(w0, w1, w2, w3, LoadTail(x, i, n), t0);
    if constexpr (kTokens > 1) {
      Accumulate(w0, w1, w2, w3, LoadTail(x + n, i, n), t1);
    }
    if constexpr (kTokens > 2) {
      Accumulate(w0, w1, w2, w3, LoadTail(x + 2 * n, i, n), t2);
      Accumulate(w0, w1, w2, w3, LoadTail(x + 3 * n, i, n), t3);
    }
  }
  StoreSums(t0, y);
  if constexpr (kTokens > 1) StoreSums(t1, y + y_stride);
  if constexpr (kTokens > 2) {
    StoreSums(t2, y + 2 * y_stride);
    StoreSums(t3, y + 3 * y_stride);
  }
}

HWY_INLINE void PanelMatMulImpl(const float* panel, size_t num_rows,
                                const float* x, size_t num_tokens, size_t n,
                                float* y, size_t y_stride) {
  // 16 sums fit 32 registers; elsewhere 8 sums leave room in 16.
  constexpr size_t kTile = HWY_TARGET == HWY_AVX3 ? 4 : 2;
  size_t t = 0;
  for (; t < num_tokens;) {
    const size_t step = num_tokens - t >= kTile ? kTile : 1;
    const float* xt = x + t * n;
    float* yt = y + t * y_stride;
    size_t r = 0;
    for (; r + 4 <= num_rows; r += 4) {
      if (step == kTile) {
        PanelTile<kTile>(panel + r * n, xt, n, yt + r, y_stride);
      } else {
        PanelTile<1>(panel + r * n, xt, n, yt + r, y_stride);
      }
    }
    for (; r < num_rows; ++r) {
      const auto* row = reinterpret_cast<const std::byte*>(panel + r * n);
      for (size_t s = 0; s < step; ++s) {
        yt[s * y_stride + r] = DotOne<F32Row>(row, xt + s * n, n);
      }
    }
    t += step;
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_DOT_INL_H_
