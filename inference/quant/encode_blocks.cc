// SPDX-License-Identifier: Apache-2.0
// Compiled per CPU target: Highway re-includes this file for each, then the
// last pass (HWY_ONCE) exports the table. Built without contraction of products
// and sums, which would make bytes depend on the target (CMakeLists.txt).

// The same choice as in inference/ops/kernels.cc, for the same reasons.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS                                                   \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | \
   HWY_RVV)
#endif

#include "inference/quant/encode_blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "inference/quant/encode_blocks.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Highway comes after foreach_target.
#include "hwy/highway.h"
#include "inference/quant/encode_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

bool EncodeRowOnTarget(verify::DType dtype, std::span<const float> values,
                       std::span<const float> importance,
                       std::span<std::byte> out) {
  return EncodePackedRow(dtype, values, importance, out);
}

bool HasEncoder(verify::DType dtype) {
  return FindGroupEncoder<false, FloatLanes>(dtype) != nullptr;
}

const BlockEncoder& GetBlockEncoder() {
  static constexpr BlockEncoder kEncoder = {
      .target = std::string_view(HWY_STR(HWY_NAMESPACE)).substr(2),  // "N_AVX2"
      .encode_row = EncodeRowOnTarget,
  };
  return kEncoder;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inference {

bool HasBlockEncoder(verify::DType dtype) {
  return HWY_STATIC_DISPATCH(HasEncoder)(dtype);
}

std::vector<const BlockEncoder*> RunnableBlockEncoders() {
  std::vector<const BlockEncoder*> found;
  const auto supported = hwy::SupportedTargets();
  // Best first.
#if HWY_TARGETS & HWY_AVX3
  if (supported & HWY_AVX3) found.push_back(&N_AVX3::GetBlockEncoder());
#endif
#if HWY_TARGETS & HWY_AVX2
  if (supported & HWY_AVX2) found.push_back(&N_AVX2::GetBlockEncoder());
#endif
#if HWY_TARGETS & HWY_SSE4
  if (supported & HWY_SSE4) found.push_back(&N_SSE4::GetBlockEncoder());
#endif
#if HWY_TARGETS & HWY_NEON
  if (supported & HWY_NEON) found.push_back(&N_NEON::GetBlockEncoder());
#endif
  // The target that the compiler's own flags allow is always there.
  const BlockEncoder* plain = &HWY_STATIC_DISPATCH(GetBlockEncoder)();
  if (found.empty() || found.back() != plain) found.push_back(plain);
  return found;
}

const BlockEncoder& BestBlockEncoder() {
  static const BlockEncoder* const kBest = RunnableBlockEncoders().front();
  return *kBest;
}

}  // namespace inference
#endif  // HWY_ONCE
