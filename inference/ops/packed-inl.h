// SPDX-License-Identifier: Apache-2.0
// Packed weights times quantised activations on any CPU: blocks are unpacked to
// signed bytes, multiplied as 16-bit integers and summed exactly; scales come
// in as floats once a block. Compiled per CPU target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_PACKED_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_PACKED_INL_H_
#undef LODESTONE_INFERENCE_OPS_PACKED_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_PACKED_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "inference/ops/activations.h"
#include "inference/ops/dot-inl.h"
#include "inference/ops/kernels.h"
#include "inference/quant/linear_blocks.h"
#include "verify/base/check.h"

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
  int32_t sums[2] = {0, 0};
  alignas(64) int32_t codes[kMaxLanes];
  for (size_t i = 0; i < kActivationElements; i += lanes) {
    const auto q = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse));
    hn::Store(q, hn::RebindToSigned<DF>(), codes);
    for (size_t j = 0; j < lanes; ++j) {
      // What is not finite has any code.
      const int32_t code = codes[j] < -127  ? -127
                           : codes[j] > 127 ? 127
                                            : codes[j];
      out->q[i + j] = static_cast<int8_t>(code);
      sums[(i + j) / 16] += code;
    }
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

// Exact sums of products of signed bytes: 16 elements from `w` and `x` on.
using D16 = hn::CappedTag<int16_t, 16>;
using D8 = hn::Rebind<int8_t, D16>;
using D32 = hn::Repartition<int32_t, D16>;
using V32 = hn::Vec<D32>;
HWY_INLINE V32 DotHalf(const int8_t* w, const int8_t* x, V32 sum) {
  const D16 d16;
  const size_t lanes = hn::Lanes(d16);
  V32 other = hn::Zero(D32());
  for (size_t i = 0; i < 16; i += lanes) {
    sum = hn::ReorderWidenMulAccumulate(
        D32(), hn::PromoteTo(d16, hn::LoadU(D8(), w + i)),
        hn::PromoteTo(d16, hn::LoadU(D8(), x + i)), sum, other);
  }
  return hn::Add(sum, other);
}

// A row of `num_blocks` blocks times one token. Lanes are summed at the end:
// no sum across a vector for each block.
HWY_INLINE float DotLinear(const LinearBlock* w, const ActivationBlock* x,
                           size_t num_blocks) {
  using DF32 = hn::RebindToFloat<D32>;
  const DF32 df;
  auto total = hn::Zero(df);
  float offsets = 0;
  for (size_t b = 0; b < num_blocks; ++b) {
    for (size_t h = 0; h < 2; ++h) {
      const V32 dot =
          DotHalf(w[b].q + 16 * h, x[b].q + 16 * h, hn::Zero(D32()));
      total = hn::MulAdd(hn::ConvertTo(df, dot),
                         hn::Set(df, w[b].scale[h] * x[b].scale), total);
    }
    const auto first = static_cast<float>(-x[b].minus_half_sum) * x[b].scale;
    offsets += w[b].offset[0] * first + w[b].offset[1] * (x[b].sum - first);
  }
  return hn::GetLane(hn::SumOfLanes(df, total)) + offsets;
}

HWY_INLINE void PackedMatMulImpl(const PackedArgs& a) {
  const LinearReader* const reader = FindLinearReader(a.dtype);
  CHECK(reader != nullptr);
  const size_t num_linear = a.n / kActivationElements;
  auto* const row = reinterpret_cast<LinearBlock*>(a.scratch);
  for (size_t r = a.begin; r < a.end; ++r) {
    const std::byte* block = a.rows + r * a.row_bytes;
    for (size_t b = 0; b < num_linear; b += reader->num_linear) {
      reader->read(block, row + b);
      block += reader->block_bytes;
    }
    for (size_t t = 0; t < a.num_tokens; ++t) {
      a.y[t * a.y_stride + r] =
          DotLinear(row, a.x + t * num_linear, num_linear);
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_PACKED_INL_H_
