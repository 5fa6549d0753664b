// SPDX-License-Identifier: Apache-2.0
// Attention of the query heads that share a kv head over a run of keys in
// half precision, compiled per CPU target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_ATTEND_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_ATTEND_INL_H_
#undef LODESTONE_INFERENCE_OPS_ATTEND_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_ATTEND_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "inference/ops/dot-inl.h"
#include "inference/ops/kernels.h"
#include "inference/ops/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

HWY_INLINE const std::byte* HalfBytes(const uint16_t* p) {
  return reinterpret_cast<const std::byte*>(p);
}

// scores[g][j] = q[g] . key[j] * scale, four heads at a time so that a key is
// decoded once for all of them.
HWY_INLINE void AttendScores(const AttendArgs& a) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const size_t n = a.head_dim;
  size_t g = 0;
  for (; g + 4 <= a.group; g += 4) {
    const float* q0 = a.q + g * n;
    const float* q1 = q0 + n;
    const float* q2 = q1 + n;
    const float* q3 = q2 + n;
    float* scores = a.scores + g * kAttentionBlockKeys;
    for (size_t j = 0; j < a.count; ++j) {
      const std::byte* key = HalfBytes(a.keys + j * a.stride);
      FourSums sums = ZeroSums();
      size_t i = 0;
      for (; i + lanes <= n; i += lanes) {
        const VF k = HalfRow::Load(key, i);
        Accumulate(hn::LoadU(d, q0 + i), hn::LoadU(d, q1 + i),
                   hn::LoadU(d, q2 + i), hn::LoadU(d, q3 + i), k, sums);
      }
      if (i < n) {
        const VF k = LoadTail<HalfRow>(key, i, n);
        Accumulate(LoadTail(q0, i, n), LoadTail(q1, i, n), LoadTail(q2, i, n),
                   LoadTail(q3, i, n), k, sums);
      }
      scores[j] = Sum(sums.r0) * a.scale;
      scores[kAttentionBlockKeys + j] = Sum(sums.r1) * a.scale;
      scores[2 * kAttentionBlockKeys + j] = Sum(sums.r2) * a.scale;
      scores[3 * kAttentionBlockKeys + j] = Sum(sums.r3) * a.scale;
    }
  }
  for (; g < a.group; ++g) {
    for (size_t j = 0; j < a.count; ++j) {
      a.scores[g * kAttentionBlockKeys + j] =
          a.scale *
          DotOne<HalfRow>(HalfBytes(a.keys + j * a.stride), a.q + g * n, n);
    }
  }
}

// scores -> exp(scores - max); NaN scores stay NaN.
HWY_INLINE void AttendWeights(const AttendArgs& a, size_t g) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  float* scores = a.scores + g * kAttentionBlockKeys;
  float max = scores[0];
  for (size_t j = 1; j < a.count; ++j) {
    if (scores[j] > max) max = scores[j];
  }
  const VF shift = hn::Set(d, max);
  VF total = hn::Zero(d);
  size_t j = 0;
  for (; j + lanes <= a.count; j += lanes) {
    const VF e = ExpNoOverflow(hn::Sub(hn::LoadU(d, scores + j), shift));
    hn::StoreU(e, d, scores + j);
    total = hn::Add(total, e);
  }
  float sum = Sum(total);
  if (j < a.count) {
    alignas(64) float padded[kMaxLanes];
    hn::Store(ExpNoOverflow(hn::Sub(LoadTail(scores, j, a.count), shift)), d,
              padded);
    for (size_t s = 0; j + s < a.count; ++s) {
      scores[j + s] = padded[s];
      sum += padded[s];
    }
  }
  a.max[g] = max;
  a.sum[g] = sum;
}

// out[g] = sum over j of weight[g][j] * value[j], one vector of the head for
// four query heads at a time.
template <bool kTail>
HWY_INLINE void AttendValuesAt(const AttendArgs& a, size_t g, size_t heads,
                               size_t i) {
  const DF d;
  const float* w0 = a.scores + g * kAttentionBlockKeys;
  const float* w1 = heads > 1 ? w0 + kAttentionBlockKeys : w0;
  const float* w2 = heads > 2 ? w1 + kAttentionBlockKeys : w0;
  const float* w3 = heads > 3 ? w2 + kAttentionBlockKeys : w0;
  FourSums sums = ZeroSums();
  for (size_t j = 0; j < a.count; ++j) {
    const std::byte* value = HalfBytes(a.values + j * a.stride);
    VF v;
    if constexpr (kTail) {
      v = LoadTail<HalfRow>(value, i, a.head_dim);
    } else {
      v = HalfRow::Load(value, i);
    }
    Accumulate(hn::Set(d, w0[j]), hn::Set(d, w1[j]), hn::Set(d, w2[j]),
               hn::Set(d, w3[j]), v, sums);
  }
  const VF rows[4] = {sums.r0, sums.r1, sums.r2, sums.r3};
  for (size_t h = 0; h < heads; ++h) {
    float* out = a.out + (g + h) * a.head_dim + i;
    if constexpr (kTail) {
      alignas(64) float padded[kMaxLanes];
      hn::Store(rows[h], d, padded);
      std::memcpy(out, padded, (a.head_dim - i) * sizeof(float));
    } else {
      hn::StoreU(rows[h], d, out);
    }
  }
}

HWY_INLINE void AttendImpl(const AttendArgs& a) {
  const size_t lanes = hn::Lanes(DF());
  AttendScores(a);
  for (size_t g = 0; g < a.group; ++g) AttendWeights(a, g);
  for (size_t g = 0; g < a.group; g += 4) {
    const size_t heads = a.group - g < 4 ? a.group - g : 4;
    size_t i = 0;
    for (; i + lanes <= a.head_dim; i += lanes) {
      AttendValuesAt<false>(a, g, heads, i);
    }
    if (i < a.head_dim) AttendValuesAt<true>(a, g, heads, i);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_ATTEND_INL_H_
