// SPDX-License-Identifier: Apache-2.0
// What becomes of integer sums of rows that are lanes: shared by the products
// of one and of several tokens, so that both give the same bits. Compiled per
// CPU target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_LANE_SUMS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_LANE_SUMS_INL_H_
#undef LODESTONE_INFERENCE_OPS_LANE_SUMS_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_LANE_SUMS_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "inference/ops/lane_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// Products of kLargest * 127, two by two, that fit 16 bits together: those are
// added before they are widened. Signed bytes leave no room.
template <class Type>
inline constexpr size_t kNarrowSums = Type::kLargest == 0
                                          ? 1
                                          : 32767 / (2 * 127 * Type::kLargest);

// A factor of weights as the products of the type take it.
template <class Type>
HWY_INLINE auto Prepare(VLB codes) {
  if constexpr (Type::kLargest == 0) {
    return PrepareSigned(codes);
  } else {
    return codes;
  }
}

// What the sums begin with: -(sum of activations) times the code of zero.
template <class Type>
HWY_INLINE VLI AddStart(VLI sum, int32_t minus_sum) {
  if constexpr (Type::kZero >= 32) {
    return sum;
  } else {
    return hn::Add(sum, hn::ShiftLeft<Type::kZero>(hn::Set(LI(), minus_sum)));
  }
}

HWY_INLINE VLF AddScaled(VLI sum, const float* scale, float x_scale,
                         VLF total) {
  const LF d;
  const VLF factor = hn::Mul(hn::Load(d, scale), hn::Set(d, x_scale));
  return hn::MulAdd(hn::ConvertTo(d, sum), factor, total);
}

HWY_INLINE VLF AddOffset(const float* offset, float x_sum, VLF total) {
  const LF d;
  return hn::MulAdd(hn::Load(d, offset), hn::Set(d, x_sum), total);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_LANE_SUMS_INL_H_
