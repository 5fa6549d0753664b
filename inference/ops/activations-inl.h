// SPDX-License-Identifier: Apache-2.0
// Activations turned into blocks of bytes. Compiled per CPU target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_ACTIVATIONS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_ACTIVATIONS_INL_H_
#undef LODESTONE_INFERENCE_OPS_ACTIVATIONS_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_ACTIVATIONS_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "inference/ops/activations.h"
#include "inference/ops/dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

HWY_INLINE void QuantizeBlock(const float* x, ActivationBlock* out) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  VF largest = hn::Zero(d);
  VF differences = hn::Zero(d);
  for (size_t i = 0; i < kActivationElements; i += lanes) {
    const VF v = hn::LoadU(d, x + i);
    largest = hn::Max(largest, hn::Abs(v));
    // Zero, or NaN where an element is not finite; a maximum may lose a NaN.
    differences = hn::Add(differences, hn::Sub(v, v));
  }
  const float max = hn::GetLane(hn::MaxOfLanes(d, largest));
  out->scale = max / 127.0f + Sum(differences);
  // Blocks next to nothing are nothing: their inverse is beyond a float.
  const VF inverse = hn::Set(d, max > 1e-36f ? 127.0f / max : 0.0f);
  const hn::RebindToSigned<DF> i32;
  const hn::Rebind<int8_t, DF> i8;
  int32_t sums[2];
  for (size_t half = 0; half < 2; ++half) {
    auto sum = hn::Zero(i32);
    for (size_t i = 16 * half; i < 16 * half + 16; i += lanes) {
      const auto q = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse));
      // What is not finite has any code.
      const auto code =
          hn::Min(hn::Max(q, hn::Set(i32, -127)), hn::Set(i32, 127));
      hn::StoreU(hn::DemoteTo(i8, code), i8, out->q + i);
      sum = hn::Add(sum, code);
    }
    sums[half] = hn::GetLane(hn::SumOfLanes(i32, sum));
  }
  out->minus_sum = -(sums[0] + sums[1]);
  out->minus_half_sum = -sums[0];
  out->sum = out->scale * static_cast<float>(sums[0] + sums[1]);
}

HWY_INLINE void QuantizeRowImpl(const float* x, size_t n,
                                ActivationBlock* out) {
  for (size_t b = 0; b < n / kActivationElements; ++b) {
    QuantizeBlock(x + b * kActivationElements, out + b);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_ACTIVATIONS_INL_H_
