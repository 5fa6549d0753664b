// SPDX-License-Identifier: Apache-2.0
// Attention of some queries over a run of keys that all of them see, compiled
// per CPU target. What a query gets does not depend on those beside it: every
// sum is of the same numbers in the same order, whether a tile is full or not.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_ATTEND_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_ATTEND_INL_H_
#undef LODESTONE_INFERENCE_OPS_ATTEND_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_ATTEND_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "hwy/highway.h"
#include "inference/ops/dot-inl.h"
#include "inference/ops/kernels.h"
#include "inference/ops/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// Four sums that one vector is multiplied into.
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

// Keys or values as halves.
struct HalfKvRow {
  // `i` is a multiple of the lanes.
  static HWY_INLINE VF Load(const std::byte* row, size_t i) {
    return HalfRow::Load(row, i);
  }
  // The last of `n`, then zeros.
  static HWY_INLINE VF Tail(const std::byte* row, size_t i, size_t n) {
    return LoadTail<HalfRow>(row, i, n);
  }
};

// Blocks of 32 signed bytes behind their scale. A vector lies within a block.
struct ByteKvRow {
  static HWY_INLINE VF Load(const std::byte* row, size_t i) {
    const DF d;
    const std::byte* block =
        row + KvBytes(KvType::kQ8_0, i / kKvBlock * kKvBlock);
    uint16_t bits;
    std::memcpy(&bits, block, sizeof(bits));
    const VF scale = FromHalf(d, hn::Set(DU16(), bits));
    const auto q = LoadBytes(DI8(), block + sizeof(bits) + i % kKvBlock);
    return hn::Mul(hn::ConvertTo(d, hn::PromoteTo(DI32(), q)), scale);
  }
  // Rows are whole blocks: there is no tail.
  static HWY_INLINE VF Tail(const std::byte*, size_t, size_t) {
    return hn::Zero(DF());
  }
};

#if HWY_TARGET == HWY_AVX3
// The sums of 16 vectors at once, bit for bit what Sum gives for each: halves,
// then quarters, then lanes two apart and one apart. Block k of the result has
// the sums of a[k], b[k], c[k] and d[k].
HWY_INLINE VF SumHalves(VF x, VF y) {
  const DF d;
  return hn::Add(hn::ConcatLowerLower(d, y, x), hn::ConcatUpperUpper(d, y, x));
}
HWY_INLINE VF SumQuarters(VF xz, VF yw) {
  return hn::Add(hn::OddEvenBlocks(hn::SwapAdjacentBlocks(yw), xz),
                 hn::OddEvenBlocks(yw, hn::SwapAdjacentBlocks(xz)));
}
// Sums of blocks: of r0, r1, r2 and r3.
HWY_INLINE VF SumsOfBlocks(const FourSums& s) {
  return SumQuarters(SumHalves(s.r0, s.r2), SumHalves(s.r1, s.r3));
}
HWY_INLINE VF Sum16(const FourSums& a, const FourSums& b, const FourSums& c,
                    const FourSums& e) {
  const DF d;
  const hn::Repartition<double, DF> d64;
  const VF va = SumsOfBlocks(a);
  const VF vb = SumsOfBlocks(b);
  const VF vc = SumsOfBlocks(c);
  const VF ve = SumsOfBlocks(e);
  // Lanes two apart: a0 + a2, b0 + b2, a1 + a3, b1 + b3 in each block.
  const auto ab = hn::BitCast(d64, hn::Add(hn::InterleaveLower(d, va, vb),
                                           hn::InterleaveUpper(d, va, vb)));
  const auto ce = hn::BitCast(d64, hn::Add(hn::InterleaveLower(d, vc, ve),
                                           hn::InterleaveUpper(d, vc, ve)));
  return hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, ab, ce)),
                 hn::BitCast(d, hn::InterleaveUpper(d64, ab, ce)));
}
#endif

// 16 sums fit 32 registers; elsewhere 8 sums leave room in 16.
inline constexpr size_t kTileKeys = kManyRegisters ? 4 : 2;

// One query against all keys: scores[j] = q . key[j] * scale.
template <class Row>
HWY_INLINE void ScoreOne(const AttendArgs& a, size_t row) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const size_t n = a.head_dim;
  const float* const q = a.q + row * n;
  float* const scores = a.scores + row * kAttentionBlockKeys;
  for (size_t key = 0; key < a.count; key += 4) {
    const size_t count = std::min<size_t>(4, a.count - key);
    const std::byte* const k0 = a.keys + key * a.row_bytes;
    const std::byte* const k1 = k0 + (count > 1 ? a.row_bytes : 0);
    const std::byte* const k2 = k1 + (count > 2 ? a.row_bytes : 0);
    const std::byte* const k3 = k2 + (count > 3 ? a.row_bytes : 0);
    FourSums s = ZeroSums();
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      Accumulate(Row::Load(k0, i), Row::Load(k1, i), Row::Load(k2, i),
                 Row::Load(k3, i), hn::LoadU(d, q + i), s);
    }
    if (i < n) {
      Accumulate(Row::Tail(k0, i, n), Row::Tail(k1, i, n), Row::Tail(k2, i, n),
                 Row::Tail(k3, i, n), LoadTail(q, i, n), s);
    }
    const VF of_keys[4] = {s.r0, s.r1, s.r2, s.r3};
    for (size_t j = 0; j < count; ++j) {
      scores[key + j] = Sum(of_keys[j]) * a.scale;
    }
  }
}

// Four queries against kTileKeys keys (the last ones again where there are
// fewer): the same scores, with keys decoded once for all four.
template <class Row>
HWY_INLINE void ScoreTile(const AttendArgs& a, size_t row, size_t key) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const size_t n = a.head_dim;
  constexpr size_t kRows = 4;
  const size_t count = std::min<size_t>(kTileKeys, a.count - key);
  const float* const q0 = a.q + row * n;
  const float* const q1 = q0 + n;
  const float* const q2 = q1 + n;
  const float* const q3 = q2 + n;
  const std::byte* const k0 = a.keys + key * a.row_bytes;
  const std::byte* const k1 = k0 + (count > 1 ? a.row_bytes : 0);
  const std::byte* const k2 = k1 + (count > 2 ? a.row_bytes : 0);
  const std::byte* const k3 = k2 + (count > 3 ? a.row_bytes : 0);
  FourSums s0 = ZeroSums();
  FourSums s1 = ZeroSums();
  FourSums s2 = ZeroSums();
  FourSums s3 = ZeroSums();
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF v0 = hn::LoadU(d, q0 + i);
    const VF v1 = hn::LoadU(d, q1 + i);
    const VF v2 = hn::LoadU(d, q2 + i);
    const VF v3 = hn::LoadU(d, q3 + i);
    Accumulate(v0, v1, v2, v3, Row::Load(k0, i), s0);
    Accumulate(v0, v1, v2, v3, Row::Load(k1, i), s1);
    if constexpr (kManyRegisters) {
      Accumulate(v0, v1, v2, v3, Row::Load(k2, i), s2);
      Accumulate(v0, v1, v2, v3, Row::Load(k3, i), s3);
    }
  }
  if (i < n) {
    const VF v0 = LoadTail(q0, i, n);
    const VF v1 = LoadTail(q1, i, n);
    const VF v2 = LoadTail(q2, i, n);
    const VF v3 = LoadTail(q3, i, n);
    Accumulate(v0, v1, v2, v3, Row::Tail(k0, i, n), s0);
    Accumulate(v0, v1, v2, v3, Row::Tail(k1, i, n), s1);
    if constexpr (kManyRegisters) {
      Accumulate(v0, v1, v2, v3, Row::Tail(k2, i, n), s2);
      Accumulate(v0, v1, v2, v3, Row::Tail(k3, i, n), s3);
    }
  }
  float* const scores = a.scores + row * kAttentionBlockKeys + key;
#if HWY_TARGET == HWY_AVX3
  alignas(64) float sums[16];
  hn::Store(hn::Mul(Sum16(s0, s1, s2, s3), hn::Set(d, a.scale)), d, sums);
  for (size_t r = 0; r < kRows; ++r) {
    std::memcpy(scores + r * kAttentionBlockKeys, sums + 4 * r,
                count * sizeof(float));
  }
#else
  const FourSums* const all[4] = {&s0, &s1, &s2, &s3};
  for (size_t j = 0; j < count; ++j) {
    const VF of_rows[4] = {all[j]->r0, all[j]->r1, all[j]->r2, all[j]->r3};
    for (size_t r = 0; r < kRows; ++r) {
      scores[r * kAttentionBlockKeys + j] = Sum(of_rows[r]) * a.scale;
    }
  }
#endif
}

// scores -> exp(scores - max); NaN scores stay NaN.
HWY_INLINE void AttendWeights(const AttendArgs& a, size_t row) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  float* scores = a.scores + row * kAttentionBlockKeys;
  VF largest = hn::Set(d, -std::numeric_limits<float>::infinity());
  size_t j = 0;
  for (; j + lanes <= a.count; j += lanes) {
    const VF v = hn::LoadU(d, scores + j);
    // A NaN is not the largest, and is seen in the sum.
    largest = hn::IfThenElse(hn::Gt(v, largest), v, largest);
  }
  float max = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; lanes > 1 && j < a.count; ++j) {
    max = scores[j] > max ? scores[j] : max;
  }
  const VF shift = hn::Set(d, max);
  VF total = hn::Zero(d);
  for (j = 0; j + lanes <= a.count; j += lanes) {
    const VF e = ExpNoOverflow(hn::Sub(hn::LoadU(d, scores + j), shift));
    hn::StoreU(e, d, scores + j);
    total = hn::Add(total, e);
  }
  float sum = Sum(total);
  if (j < a.count) {
    alignas(64) float padded[kMaxLanes] = {};
    hn::Store(ExpNoOverflow(hn::Sub(LoadTail(scores, j, a.count), shift)), d,
              padded);
    for (size_t s = 0; j + s < a.count; ++s) {
      scores[j + s] = padded[s];
      sum += padded[s];
    }
  }
  a.max[row] = max;
  a.sum[row] = sum;
}

// out[r] = sum over j of weight[r][j] * value[j], one vector of the head for
// four queries at a time.
template <class Row, bool kTail>
HWY_INLINE void AttendValuesAt(const AttendArgs& a, size_t row, size_t i) {
  const DF d;
  const size_t rows = std::min<size_t>(4, a.num_queries - row);
  const float* const w0 = a.scores + row * kAttentionBlockKeys;
  const float* const w1 = w0 + (rows > 1 ? kAttentionBlockKeys : 0);
  const float* const w2 = w1 + (rows > 2 ? kAttentionBlockKeys : 0);
  const float* const w3 = w2 + (rows > 3 ? kAttentionBlockKeys : 0);
  FourSums sums = ZeroSums();
  for (size_t j = 0; j < a.count; ++j) {
    const std::byte* value = a.values + j * a.row_bytes;
    VF v;
    if constexpr (kTail) {
      v = Row::Tail(value, i, a.head_dim);
    } else {
      v = Row::Load(value, i);
    }
    Accumulate(hn::Set(d, w0[j]), hn::Set(d, w1[j]), hn::Set(d, w2[j]),
               hn::Set(d, w3[j]), v, sums);
  }
  const VF of_rows[4] = {sums.r0, sums.r1, sums.r2, sums.r3};
  for (size_t r = 0; r < rows; ++r) {
    float* out = a.out + (row + r) * a.head_dim + i;
    if constexpr (kTail) {
      alignas(64) float padded[kMaxLanes] = {};
      hn::Store(of_rows[r], d, padded);
      std::memcpy(out, padded, (a.head_dim - i) * sizeof(float));
    } else {
      hn::StoreU(of_rows[r], d, out);
    }
  }
}

// Eight queries and two vectors of the head: each value is decoded once for
// twice as many products. Sums are those of AttendValuesAt.
template <class Row>
HWY_INLINE void AttendValuesOfEight(const AttendArgs& a, size_t row, size_t i) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const float* const w = a.scores + row * kAttentionBlockKeys;
  FourSums low0 = ZeroSums();
  FourSums low1 = ZeroSums();
  FourSums high0 = ZeroSums();
  FourSums high1 = ZeroSums();
  for (size_t j = 0; j < a.count; ++j) {
    const std::byte* value = a.values + j * a.row_bytes;
    const VF v0 = Row::Load(value, i);
    const VF v1 = Row::Load(value, i + lanes);
    const auto weight = [&](size_t r) HWY_ATTR {
      return hn::Set(d, w[r * kAttentionBlockKeys + j]);
    };
    const VF w0 = weight(0);
    const VF w1 = weight(1);
    const VF w2 = weight(2);
    const VF w3 = weight(3);
    Accumulate(w0, w1, w2, w3, v0, low0);
    Accumulate(w0, w1, w2, w3, v1, low1);
    const VF w4 = weight(4);
    const VF w5 = weight(5);
    const VF w6 = weight(6);
    const VF w7 = weight(7);
    Accumulate(w4, w5, w6, w7, v0, high0);
    Accumulate(w4, w5, w6, w7, v1, high1);
  }
  float* out = a.out + row * a.head_dim + i;
  const auto store = [&](const FourSums& s, float* to) HWY_ATTR {
    hn::StoreU(s.r0, d, to);
    hn::StoreU(s.r1, d, to + a.head_dim);
    hn::StoreU(s.r2, d, to + 2 * a.head_dim);
    hn::StoreU(s.r3, d, to + 3 * a.head_dim);
  };
  store(low0, out);
  store(low1, out + lanes);
  store(high0, out + 4 * a.head_dim);
  store(high1, out + 4 * a.head_dim + lanes);
}

template <class Row>
HWY_INLINE void AttendRows(const AttendArgs& a) {
  const size_t lanes = hn::Lanes(DF());
  const size_t in_tiles = a.num_queries / 4 * 4;
  for (size_t key = 0; key < a.count; key += kTileKeys) {
    for (size_t row = 0; row < in_tiles; row += 4) ScoreTile<Row>(a, row, key);
  }
  for (size_t row = in_tiles; row < a.num_queries; ++row) ScoreOne<Row>(a, row);
  for (size_t row = 0; row < a.num_queries; ++row) AttendWeights(a, row);
  size_t row = 0;
  if (kManyRegisters && a.head_dim % (2 * lanes) == 0) {
    for (; row + 8 <= a.num_queries; row += 8) {
      for (size_t i = 0; i < a.head_dim; i += 2 * lanes) {
        AttendValuesOfEight<Row>(a, row, i);
      }
    }
  }
  for (; row < a.num_queries; row += 4) {
    size_t i = 0;
    for (; i + lanes <= a.head_dim; i += lanes) {
      AttendValuesAt<Row, false>(a, row, i);
    }
    if (i < a.head_dim) AttendValuesAt<Row, true>(a, row, i);
  }
}

HWY_INLINE void AttendImpl(const AttendArgs& a) {
  if (a.type == KvType::kQ8_0) return AttendRows<ByteKvRow>(a);
  AttendRows<HalfKvRow>(a);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_ATTEND_INL_H_
