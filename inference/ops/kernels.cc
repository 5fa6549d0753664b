// SPDX-License-Identifier: Apache-2.0
// Compiled per CPU target: Highway re-includes this file for each, then the
// last pass (HWY_ONCE) exports the table.

// Half the targets would cost build time and give nothing: SSSE3 lies between
// the plain loops and SSE4, AVX3_DL adds no instruction used here, and the
// scalable vectors of SVE cannot be members of a struct.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS                                                   \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | \
   HWY_RVV)
#endif

#include "inference/ops/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "inference/ops/kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Highway comes after foreach_target.
#include "hwy/highway.h"
#include "inference/ops/activations-inl.h"
#include "inference/ops/attend-inl.h"
#include "inference/ops/bf16_avx512.h"
#include "inference/ops/dot-inl.h"
#include "inference/ops/float_tile-inl.h"
#include "inference/ops/packed_avx512.h"
#include "inference/ops/packed_lanes.h"
#include "inference/ops/row-inl.h"
#include "inference/quant/linear_blocks.h"
#include "inference/quant/quantize.h"
#include "verify/base/check.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

using verify::DType;

void DecodeRowKernel(DType dtype, const std::byte* row, size_t n, float* out) {
  switch (dtype) {
    case DType::kF32:
      return DecodePlainRow<F32Row>(row, n, out);
    case DType::kF16:
      return DecodePlainRow<HalfRow>(row, n, out);
    case DType::kBF16:
      return DecodePlainRow<Bf16Row>(row, n, out);
    default:
      // Packed rows are decoded one by one: a token's embedding.
      return DecodeRow(dtype, {row, *verify::DTypeBytes(dtype, n)}, {out, n});
  }
}

void DotRowsKernel(DType dtype, const std::byte* rows, size_t row_bytes,
                   size_t num_rows, const float* x, size_t num_tokens, size_t n,
                   float* y, size_t y_stride) {
  switch (dtype) {
    case DType::kF32:
      return DotPlainRows<F32Row>(rows, row_bytes, num_rows, x, num_tokens, n,
                                  y, y_stride);
    case DType::kF16:
      return DotPlainRows<HalfRow>(rows, row_bytes, num_rows, x, num_tokens, n,
                                   y, y_stride);
    case DType::kBF16:
      return DotPlainRows<Bf16Row>(rows, row_bytes, num_rows, x, num_tokens, n,
                                   y, y_stride);
    default:
      CHECK(false);
  }
}

void PackTokensKernel(const float* x, size_t num_tokens, size_t n, size_t begin,
                      size_t end, float* out) {
  PackTokensImpl(x, num_tokens, n, begin, end, out);
}

void FloatMatMulKernel(const FloatArgs& args) { FloatMatMulImpl(args); }

void QuantizeRowKernel(const float* x, size_t n, ActivationBlock* out) {
  QuantizeRowImpl(x, n, out);
}

void RmsNormKernel(const float* x, const float* gain, size_t n, float eps,
                   float* out) {
  RmsNormImpl(x, gain, n, eps, out);
}

void SiluMultiplyKernel(float* gate, const float* up, size_t n) {
  SiluMultiplyImpl(gate, up, n);
}

void MultiplyAddKernel(float scale, const float* x, size_t n, float* y) {
  MultiplyAddImpl(scale, x, n, y);
}

void ToBf16Kernel(const float* x, size_t n, uint16_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = FloatToBf16(x[i]);
}

// Highway 1.0.3 rounds halves in its own way where the CPU has no conversion;
// the plain loop is the same everywhere and is not where time goes.
void StoreKvKernel(KvType type, const float* x, size_t n, std::byte* out) {
  if (type == KvType::kF16) {
    for (size_t i = 0; i < n; ++i) {
      const uint16_t half = FloatToHalf(x[i]);
      std::memcpy(out + i * sizeof(half), &half, sizeof(half));
    }
    return;
  }
  for (size_t block = 0; block < n; block += kKvBlock) {
    float largest = 0;
    for (size_t i = block; i < block + kKvBlock; ++i) {
      const float magnitude = std::fabs(x[i]);
      // A NaN makes the scale one, and with it the whole block.
      if (!(magnitude <= largest)) largest = magnitude;
      if (std::isnan(magnitude)) break;
    }
    const uint16_t scale = FloatToHalf(largest / 127.0f);
    const float factor = HalfToFloat(scale);
    const float inverse = factor > 0 ? 1.0f / factor : 0.0f;
    std::memcpy(out, &scale, sizeof(scale));
    out += sizeof(scale);
    for (size_t i = block; i < block + kKvBlock; ++i) {
      // Infinity times nothing would be a NaN that has no byte.
      const float scaled = std::isfinite(x[i]) ? x[i] * inverse : 1.0f;
      const float nearest = std::nearbyint(std::clamp(scaled, -127.0f, 127.0f));
      *out++ = static_cast<std::byte>(static_cast<int8_t>(nearest));
    }
  }
}

void AttendKernel(const AttendArgs& args) { AttendImpl(args); }

inline constexpr int64_t kPackedTarget =
    HWY_TARGET == HWY_AVX3 ? HWY_AVX2 : HWY_TARGET;

const Kernels& GetKernels() {
  static const Kernels kKernels = {
      .target = std::string_view(HWY_STR(HWY_NAMESPACE)).substr(2),  // "N_AVX2"
      .float_tile = FloatTileOfTarget(),
      .decode_row = DecodeRowKernel,
      .dot_rows = DotRowsKernel,
      .pack_tokens = PackTokensKernel,
      .float_matmul = FloatMatMulKernel,
      .quantize_row = QuantizeRowKernel,
      .packed_matmul = PackedMatMulOn<kPackedTarget>,
      .bf16_matmul = nullptr,
      .rms_norm = RmsNormKernel,
      .silu_multiply = SiluMultiplyKernel,
      .multiply_add = MultiplyAddKernel,
      .to_bf16 = ToBf16Kernel,
      .store_kv = StoreKvKernel,
      .attend = AttendKernel,
  };
  return kKernels;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inference {
#if HWY_TARGETS & HWY_AVX3
namespace {

// AVX3 with products that Highway's target lacks.
const Kernels& Avx3WithVnni() {
  static const Kernels kKernels = [] {
    Kernels kernels = N_AVX3::GetKernels();
    kernels.target = "AVX3_VNNI";
    kernels.packed_matmul = PackedMatMulAvx512;
    return kernels;
  }();
  return kKernels;
}

const Kernels& Avx3WithBf16() {
  static const Kernels kKernels = [] {
    Kernels kernels = Avx3WithVnni();
    kernels.target = "AVX3_BF16";
    kernels.bf16_matmul = Bf16MatMulAvx512;
    return kernels;
  }();
  return kKernels;
}

}  // namespace
#endif

bool IsPackedWeight(verify::DType dtype) {
  return FindLinearReader(dtype) != nullptr;
}

size_t PackedScratchBytes(size_t num_rows, size_t row_bytes) {
  size_t bytes = LaneScratchBytes(num_rows, row_bytes);
#if HWY_TARGETS & HWY_AVX3
  bytes = std::max(bytes, PackedScratchBytesAvx512(num_rows, row_bytes));
#endif
  return bytes;
}

std::vector<const Kernels*> RunnableKernels() {
  std::vector<const Kernels*> found;
  const auto supported = hwy::SupportedTargets();
  // Best first.
#if HWY_TARGETS & HWY_AVX3
  if (supported & HWY_AVX3) {
    if (HasAvx512Vnni() && HasAvx512Bf16()) found.push_back(&Avx3WithBf16());
    if (HasAvx512Vnni()) found.push_back(&Avx3WithVnni());
    found.push_back(&N_AVX3::GetKernels());
  }
#endif
#if HWY_TARGETS & HWY_AVX2
  if (supported & HWY_AVX2) found.push_back(&N_AVX2::GetKernels());
#endif
#if HWY_TARGETS & HWY_SSE4
  if (supported & HWY_SSE4) found.push_back(&N_SSE4::GetKernels());
#endif
#if HWY_TARGETS & HWY_NEON
  if (supported & HWY_NEON) found.push_back(&N_NEON::GetKernels());
#endif
  // The target that the compiler's own flags allow is always there.
  const Kernels* plain = &HWY_STATIC_DISPATCH(GetKernels)();
  if (found.empty() || found.back() != plain) found.push_back(plain);
  return found;
}

const Kernels& BestKernels() {
  static const Kernels* const kBest = RunnableKernels().front();
  return *kBest;
}

}  // namespace inference
#endif  // HWY_ONCE
