// SPDX-License-Identifier: Apache-2.0
// Rows of packed weights as lanes: the sums of eight rows (four, where vectors
// have 16 bytes) are the lanes of a vector, so one scale product serves them
// all and nothing is summed across lanes but small integers. Here: the vectors,
// and products of bytes. Compiled per CPU target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_LANE_ROWS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_LANE_ROWS_INL_H_
#undef LODESTONE_INFERENCE_OPS_LANE_ROWS_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_LANE_ROWS_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "inference/ops/dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// A lane for each row: floats, integers, and the same bits as smaller ones.
using LF = hn::CappedTag<float, 8>;
using LI = hn::RebindToSigned<LF>;
using LU = hn::RebindToUnsigned<LF>;
using LB = hn::Repartition<uint8_t, LI>;
using LS = hn::Repartition<int16_t, LI>;
using LQ = hn::Repartition<uint64_t, LI>;
using VLF = hn::Vec<LF>;
using VLI = hn::Vec<LI>;
using VLU = hn::Vec<LU>;
using VLB = hn::Vec<LB>;
using VLS = hn::Vec<LS>;

inline constexpr size_t kLanes = hn::MaxLanes(LF());
static_assert(kLanes == 4 || kLanes == 8);

// 32 bytes of one row, which are one vector or two.
inline constexpr size_t kRowParts = 8 / kLanes;
struct Bytes32 {
  // One that the compiler makes by itself would lack the CPU target.
  HWY_INLINE Bytes32() {}
  VLB v[kRowParts];
};

HWY_INLINE Bytes32 Load32(const std::byte* p) {
  Bytes32 out;
  for (size_t i = 0; i < kRowParts; ++i) {
    out.v[i] = LoadBytes(LB(), p + 4 * kLanes * i);
  }
  return out;
}
HWY_INLINE Bytes32 Load32(const int8_t* p) {
  return Load32(reinterpret_cast<const std::byte*>(p));
}

// Where row r of kLanes has its block.
struct LaneBlocks {
  const std::byte* base;
  size_t stride;
  HWY_INLINE const std::byte* at(size_t r) const { return base + r * stride; }
};

// Products of unsigned bytes of `w` and signed ones of `x`, neighbours added.
// Requires that no sum is beyond 16 bits.
HWY_INLINE VLS Pairs(VLB w, VLB x) {
#if HWY_TARGET == HWY_AVX2
  return VLS{_mm256_maddubs_epi16(w.raw, x.raw)};
#elif HWY_TARGET == HWY_SSE4
  return VLS{_mm_maddubs_epi16(w.raw, x.raw)};
#elif HWY_TARGET == HWY_NEON
  // No code is above 127.
  const int8x16_t a = vreinterpretq_s8_u8(w.raw);
  const int8x16_t b = vreinterpretq_s8_u8(x.raw);
  return VLS(vpaddq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)),
                        vmull_high_s8(a, b)));
#else
  const LS d;
  const auto w16 = hn::BitCast(d, w);
  const auto x16 = hn::BitCast(d, x);
  const auto even = hn::Mul(hn::And(w16, hn::Set(d, 0xff)),
                            hn::ShiftRight<8>(hn::ShiftLeft<8>(x16)));
  const hn::RebindToUnsigned<LS> du;
  const auto high = hn::BitCast(d, hn::ShiftRight<8>(hn::BitCast(du, w16)));
  return hn::Add(even, hn::Mul(high, hn::ShiftRight<8>(x16)));
#endif
}

// Whether products of signed bytes take one factor by its magnitude.
inline constexpr bool kTakesMagnitudes = HWY_TARGET != HWY_NEON;

// A signed factor, and what products need of it. |w| may be 128, |x| may not.
struct SignedBytes {
  HWY_INLINE SignedBytes() {}
  HWY_INLINE SignedBytes(VLB v, VLB m) : value(v), magnitude(m) {}
  VLB value;
  VLB magnitude;  // where the products take one factor unsigned
};
HWY_INLINE SignedBytes PrepareSigned(VLB w) {
#if HWY_TARGET == HWY_NEON
  return {w, w};
#else
  const hn::RebindToSigned<LB> d;
  return {w, hn::BitCast(LB(), hn::Abs(hn::BitCast(d, w)))};
#endif
}
// `x` as it is multiplied with the magnitudes of `w`: with the sign of the
// product.
HWY_INLINE VLB WithSigns(VLB x, const SignedBytes& w) {
#if HWY_TARGET == HWY_AVX2
  return VLB{_mm256_sign_epi8(x.raw, w.value.raw)};
#elif HWY_TARGET == HWY_SSE4
  return VLB{_mm_sign_epi8(x.raw, w.value.raw)};
#elif HWY_TARGET == HWY_NEON
  (void)w;
  return x;
#else
  const hn::RebindToSigned<LB> d;
  const auto signed_x = hn::BitCast(d, x);
  const auto zero = hn::Zero(d);
  const auto negative = hn::Lt(hn::BitCast(d, w.value), zero);
  return hn::BitCast(
      LB(), hn::IfThenElse(negative, hn::Sub(zero, signed_x), signed_x));
#endif
}
HWY_INLINE VLS Pairs(const SignedBytes& w, VLB x) {
  return Pairs(w.magnitude, WithSigns(x, w));
}

// Has the compiler make `v` here. GCC puts off sums that it could as well add
// up at once, until their parts fill more registers than there are.
template <class V>
HWY_INLINE void MakeHere(V& v) {
#if HWY_ARCH_X86
  asm("" : "+x"(v.raw));
#elif HWY_TARGET == HWY_NEON
  asm("" : "+w"(v.raw));
#endif
}
// These two, and in the order of such calls.
template <class V>
HWY_INLINE void MakeHere(V& a, V& b) {
#if HWY_ARCH_X86
  asm volatile("" : "+x"(a.raw), "+x"(b.raw));
#elif HWY_TARGET == HWY_NEON
  asm volatile("" : "+w"(a.raw), "+w"(b.raw));
#endif
}

// Neighbours of 16 bits added.
HWY_INLINE VLI AddPairs(VLS v) {
#if HWY_TARGET == HWY_AVX2
  return VLI{_mm256_madd_epi16(v.raw, _mm256_set1_epi16(1))};
#elif HWY_TARGET == HWY_SSE4
  return VLI{_mm_madd_epi16(v.raw, _mm_set1_epi16(1))};
#elif HWY_TARGET == HWY_NEON
  return VLI(vpaddlq_s16(v.raw));
#else
  const auto words = hn::BitCast(LI(), v);
  return hn::Add(hn::ShiftRight<16>(hn::ShiftLeft<16>(words)),
                 hn::ShiftRight<16>(words));
#endif
}

// Each group of four lanes: the sums of a's four, of b's, of c's and of d's.
HWY_INLINE VLI FoldPair(VLI a, VLI b) {
  return hn::Add(hn::InterleaveLower(LI(), a, b),
                 hn::InterleaveUpper(LI(), a, b));
}
HWY_INLINE VLI FoldFour(VLI a, VLI b, VLI c, VLI d) {
  const LQ d64;
  const auto ab = hn::BitCast(d64, FoldPair(a, b));
  const auto cd = hn::BitCast(d64, FoldPair(c, d));
  return hn::Add(hn::BitCast(LI(), hn::InterleaveLower(d64, ab, cd)),
                 hn::BitCast(LI(), hn::InterleaveUpper(d64, ab, cd)));
}

// In each group of four lanes: word j of a, b, c and d becomes vector j.
struct FourWords {
  VLU v[4];
};
HWY_INLINE FourWords Transpose(VLU a, VLU b, VLU c, VLU d) {
  const LU d32;
  const LQ d64;
  const auto low_ab = hn::BitCast(d64, hn::InterleaveLower(d32, a, b));
  const auto high_ab = hn::BitCast(d64, hn::InterleaveUpper(d32, a, b));
  const auto low_cd = hn::BitCast(d64, hn::InterleaveLower(d32, c, d));
  const auto high_cd = hn::BitCast(d64, hn::InterleaveUpper(d32, c, d));
  return {{hn::BitCast(d32, hn::InterleaveLower(d64, low_ab, low_cd)),
           hn::BitCast(d32, hn::InterleaveUpper(d64, low_ab, low_cd)),
           hn::BitCast(d32, hn::InterleaveLower(d64, high_ab, high_cd)),
           hn::BitCast(d32, hn::InterleaveUpper(d64, high_ab, high_cd))}};
}

// The first halves of two vectors, and the second ones.
template <class D, class V>
HWY_INLINE V FirstHalves(D d, V a, V b) {
  return hn::ConcatLowerLower(d, b, a);
}
template <class D, class V>
HWY_INLINE V SecondHalves(D d, V a, V b) {
  return hn::ConcatUpperUpper(d, b, a);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_LANE_ROWS_INL_H_
