// SPDX-License-Identifier: Apache-2.0
// Row operations (norm, activation, scaled addition, halves), compiled per CPU
// target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_ROW_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_ROW_INL_H_
#undef LODESTONE_INFERENCE_OPS_ROW_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_ROW_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "inference/ops/dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// e^x for x <= 88; NaN stays NaN (Highway's Exp makes it zero, which would
// hide a broken weight).
HWY_INLINE VF ExpNoOverflow(VF x) {
  const DF d;
  return hn::IfThenElse(hn::Eq(x, x), hn::Exp(d, x), x);
}

HWY_INLINE void RmsNormImpl(const float* x, const float* gain, size_t n,
                            float eps, float* out) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  VF squares = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF v = hn::LoadU(d, x + i);
    squares = hn::MulAdd(v, v, squares);
  }
  if (i < n) {
    const VF v = LoadTail(x, i, n);
    squares = hn::MulAdd(v, v, squares);
  }
  const float mean = Sum(squares) / static_cast<float>(n);
  const float factor = 1.0f / std::sqrt(mean + eps);
  const VF scale = hn::Set(d, factor);
  i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF v = hn::Mul(hn::LoadU(d, x + i), scale);
    hn::StoreU(hn::Mul(v, hn::LoadU(d, gain + i)), d, out + i);
  }
  for (; i < n; ++i) out[i] = x[i] * factor * gain[i];
}

HWY_INLINE VF Silu(VF x) {
  const DF d;
  // exp(88) is finite; beyond it silu is zero to within 1e-36.
  const VF e = ExpNoOverflow(hn::Min(hn::Neg(x), hn::Set(d, 88.0f)));
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), e));
}

HWY_INLINE void SiluMultiplyImpl(float* gate, const float* up, size_t n) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF value = Silu(hn::LoadU(d, gate + i));
    hn::StoreU(hn::Mul(value, hn::LoadU(d, up + i)), d, gate + i);
  }
  if (i < n) {
    alignas(64) float padded[kMaxLanes];
    const VF value = Silu(LoadTail(gate, i, n));
    hn::Store(hn::Mul(value, LoadTail(up, i, n)), d, padded);
    std::memcpy(gate + i, padded, (n - i) * sizeof(float));
  }
}

HWY_INLINE void MultiplyAddImpl(float scale, const float* x, size_t n,
                                float* y) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const VF factor = hn::Set(d, scale);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const VF sum = hn::MulAdd(factor, hn::LoadU(d, x + i), hn::LoadU(d, y + i));
    hn::StoreU(sum, d, y + i);
  }
  if (i < n) {
    alignas(64) float padded[kMaxLanes];
    const VF sum = hn::MulAdd(factor, LoadTail(x, i, n), LoadTail(y, i, n));
    hn::Store(sum, d, padded);
    std::memcpy(y + i, padded, (n - i) * sizeof(float));
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_ROW_INL_H_
