// SPDX-License-Identifier: Apache-2.0
// Highway re-includes this file for each CPU target; the last pass (HWY_ONCE)
// chooses among them at run time.

// Targets that would give nothing here, as in the engine's kernels.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS                                                   \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | \
   HWY_RVV)
#endif

#include "verify/structure/number_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "verify/structure/number_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Highway comes after foreach_target.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "hwy/highway.h"
#include "verify/base/load_bytes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace verify {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
using D16 = hn::Rebind<uint16_t, DF>;

HWY_INLINE VI LoadHalves(const std::byte* at) {
  return hn::PromoteTo(DI(), LoadBytes(D16(), at));
}

// Each type: bytes of an element, its bits in a lane, the mask of the
// magnitude, and the number that the bits stand for; vector and plain form.
struct Bf16Element {
  static constexpr size_t kBytes = 2;
  static constexpr int32_t kMagnitude = 0x7FFF;
  static constexpr DType kDType = DType::kBF16;
  static HWY_INLINE VI Load(const std::byte* at) { return LoadHalves(at); }
  static HWY_INLINE VF Number(VI bits, VI /*magnitude*/) {
    return hn::BitCast(DF(), hn::ShiftLeft<16>(bits));
  }
  static float Number(uint32_t bits) {
    return std::bit_cast<float>(bits << 16);
  }
};

struct HalfElement {
  static constexpr size_t kBytes = 2;
  static constexpr int32_t kMagnitude = 0x7FFF;
  static constexpr DType kDType = DType::kF16;
  static HWY_INLINE VI Load(const std::byte* at) { return LoadHalves(at); }
  // The exponent moves from bias 15 to bias 127. A denormal gets an exponent
  // one higher and loses the bit that this makes it have too much.
  static HWY_INLINE VF Number(VI bits, VI magnitude) {
    const DF d;
    const DI di;
    const VI shifted = hn::ShiftLeft<13>(magnitude);
    const VF normal =
        hn::BitCast(d, hn::Add(shifted, hn::Set(di, (127 - 15) << 23)));
    const VF denormal =
        hn::Sub(hn::BitCast(d, hn::Add(shifted, hn::Set(di, (127 - 14) << 23))),
                hn::Set(d, 0x1p-14f));
    const auto is_denormal =
        hn::RebindMask(d, hn::Lt(magnitude, hn::Set(di, 0x400)));
    const VI sign = hn::ShiftLeft<16>(hn::AndNot(hn::Set(di, 0x7FFF), bits));
    return hn::Or(hn::IfThenElse(is_denormal, denormal, normal),
                  hn::BitCast(d, sign));
  }
  static float Number(uint32_t bits) {
    const uint32_t magnitude = bits & 0x7FFF;
    const float number =
        magnitude < 0x400
            ? static_cast<float>(magnitude) * 0x1p-24f
            : std::bit_cast<float>((magnitude << 13) + ((127u - 15) << 23));
    return (bits & 0x8000) != 0 ? -number : number;
  }
};

struct FloatElement {
  static constexpr size_t kBytes = 4;
  static constexpr int32_t kMagnitude = 0x7FFF'FFFF;
  static constexpr DType kDType = DType::kF32;
  static HWY_INLINE VI Load(const std::byte* at) { return LoadBytes(DI(), at); }
  static HWY_INLINE VF Number(VI bits, VI /*magnitude*/) {
    return hn::BitCast(DF(), bits);
  }
  static float Number(uint32_t bits) { return std::bit_cast<float>(bits); }
};

template <typename Element>
uint32_t BitsAt(const std::byte* at) {
  if constexpr (Element::kBytes == 2) {
    uint16_t bits = 0;
    std::memcpy(&bits, at, sizeof(bits));
    return bits;
  } else {
    uint32_t bits = 0;
    std::memcpy(&bits, at, sizeof(bits));
    return bits;
  }
}

// What vectors leave over, one by one.
template <typename Element>
void AddTail(const std::byte* data, size_t begin, size_t end, uint32_t first,
             RunStats& stats) {
  constexpr MagnitudeBits kBits = MagnitudeBitsOf(Element::kDType);
  for (size_t i = begin; i < end; ++i) {
    const uint32_t bits = BitsAt<Element>(data + i * Element::kBytes);
    const uint32_t magnitude = bits & uint32_t{Element::kMagnitude};
    const float number = Element::Number(bits);
    stats.max_bits = std::max(stats.max_bits, magnitude);
    stats.num_zero += magnitude == 0 ? 1 : 0;
    stats.num_denormal +=
        magnitude != 0 && magnitude < kBits.first_normal ? 1 : 0;
    stats.same &= bits == first;
    stats.min = i == 0 ? number : std::min(stats.min, number);
    stats.max = i == 0 ? number : std::max(stats.max, number);
    stats.sum += number;
    stats.sum_squares += number * number;
  }
}

template <typename Element>
RunStats ScanRunOf(const std::byte* data, size_t count) {
  const DF d;
  const DI di;
  const size_t lanes = hn::Lanes(d);
  const uint32_t first = BitsAt<Element>(data);
  RunStats stats;
  if (count < lanes) {
    AddTail<Element>(data, 0, count, first, stats);
    return stats;
  }
  constexpr MagnitudeBits kBits = MagnitudeBitsOf(Element::kDType);
  const VI first_bits = hn::Set(di, static_cast<int32_t>(first));
  const VI magnitude_mask = hn::Set(di, Element::kMagnitude);
  const VI normal = hn::Set(di, static_cast<int32_t>(kBits.first_normal));
  VI differs = hn::Zero(di);
  VI most = hn::Zero(di);
  // Masks are -1 in a lane that is meant, so counts go down.
  VI zeros = hn::Zero(di);
  VI small = hn::Zero(di);
  VF sum = hn::Zero(d);
  VF squares = hn::Zero(d);
  VF lowest = hn::Set(d, Element::Number(first));
  VF highest = lowest;
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const VI bits = Element::Load(data + i * Element::kBytes);
    const VI magnitude = hn::And(bits, magnitude_mask);
    const VF number = Element::Number(bits, magnitude);
    differs = hn::Or(differs, hn::Xor(bits, first_bits));
    most = hn::Max(most, magnitude);
    zeros =
        hn::Add(zeros, hn::VecFromMask(di, hn::Eq(magnitude, hn::Zero(di))));
    small = hn::Add(small, hn::VecFromMask(di, hn::Lt(magnitude, normal)));
    lowest = hn::Min(lowest, number);
    highest = hn::Max(highest, number);
    sum = hn::Add(sum, number);
    squares = hn::MulAdd(number, number, squares);
  }
  stats.max_bits = static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, most)));
  const int32_t num_zero = -hn::GetLane(hn::SumOfLanes(di, zeros));
  const int32_t num_small = -hn::GetLane(hn::SumOfLanes(di, small));
  stats.num_zero = static_cast<uint32_t>(num_zero);
  stats.num_denormal = static_cast<uint32_t>(num_small - num_zero);
  stats.same = hn::AllTrue(di, hn::Eq(differs, hn::Zero(di)));
  stats.min = hn::GetLane(hn::MinOfLanes(d, lowest));
  stats.max = hn::GetLane(hn::MaxOfLanes(d, highest));
  stats.sum = hn::GetLane(hn::SumOfLanes(d, sum));
  stats.sum_squares = hn::GetLane(hn::SumOfLanes(d, squares));
  AddTail<Element>(data, i, count, first, stats);
  return stats;
}

RunStats ScanRunTarget(DType dtype, const std::byte* data, size_t count) {
  switch (dtype) {
    case DType::kBF16:
      return ScanRunOf<Bf16Element>(data, count);
    case DType::kF16:
      return ScanRunOf<HalfElement>(data, count);
    default:
      return ScanRunOf<FloatElement>(data, count);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace verify
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace verify {

HWY_EXPORT(ScanRunTarget);

RunStats ScanRun(DType dtype, const std::byte* data, size_t num_elements) {
  return HWY_DYNAMIC_DISPATCH(ScanRunTarget)(dtype, data, num_elements);
}

}  // namespace verify
#endif  // HWY_ONCE
