// SPDX-License-Identifier: Apache-2.0
// Rows of packed types: refusals, weights, groups of blocks, and q8_0 without
// weights, which needs no search.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_QUANT_ENCODE_ROW_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_QUANT_ENCODE_ROW_INL_H_
#undef LODESTONE_INFERENCE_QUANT_ENCODE_ROW_INL_H_
#else
#define LODESTONE_INFERENCE_QUANT_ENCODE_ROW_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "hwy/highway.h"
#include "inference/quant/block_types.h"
#include "inference/quant/float_formats.h"
#include "inference/quant/lanes-inl.h"
#include "inference/quant/signed_blocks-inl.h"
#include "inference/quant/small_blocks-inl.h"
#include "inference/quant/super_blocks-inl.h"
#include "verify/checkpoint/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

using verify::DType;

// Largest magnitude, as bits: ordered like the magnitudes, NaN above all.
HWY_INLINE uint32_t MaxMagnitude(std::span<const float> values) {
  const LaneWordTag d;
  const size_t lanes = hn::Lanes(d);
  const auto mask = hn::Set(d, 0x7fffffffu);
  const auto magnitudes = [&](size_t i) HWY_ATTR {
    const auto v = hn::LoadU(LaneTag(), values.data() + i);
    return hn::And(hn::BitCast(d, v), mask);
  };
  auto max0 = hn::Zero(d);
  auto max1 = max0;
  auto max2 = max0;
  auto max3 = max0;
  size_t i = 0;
  for (; i + 4 * lanes <= values.size(); i += 4 * lanes) {
    max0 = hn::Max(max0, magnitudes(i));
    max1 = hn::Max(max1, magnitudes(i + lanes));
    max2 = hn::Max(max2, magnitudes(i + 2 * lanes));
    max3 = hn::Max(max3, magnitudes(i + 3 * lanes));
  }
  alignas(64) uint32_t found[kGroupLanes];
  hn::Store(hn::Max(hn::Max(max0, max1), hn::Max(max2, max3)), d, found);
  uint32_t most = *std::max_element(found, found + lanes);
  for (; i < values.size(); ++i) {
    most = std::max(most, std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu);
  }
  return most;
}

// Largest magnitude that is taken: wherever a search puts it among the levels,
// the scale still fits a half.
HWY_INLINE float MaxEncodable(DType dtype) {
  constexpr float kMaxHalf = 65504.0f;
  switch (dtype) {
    case DType::kQ8_0:
      return kMaxHalf * 126;
    case DType::kQ4_0:
      return kMaxHalf * 7;
    case DType::kQ5_0:
      return kMaxHalf * 15;
    case DType::kIQ4NL:
      return kMaxHalf * 89;
    case DType::kQ4K:
    case DType::kQ5K:
      return kMaxHalf * 63;
    case DType::kQ6K:
      return kMaxHalf * 127 * 31;
    case DType::kMXFP4:
      return 0x1.fffffep127f;
    default:
      return kMaxHalf;  // an offset of q4_1 or q5_1
  }
}

// Weights of one unit of `count` relative to the largest of them. None is
// zero: what carries no weight is still rounded to what is nearest.
inline void ScaleWeights(const float* from, size_t count, float* to) {
  float max = 0;
  for (size_t i = 0; i < count; ++i) max = std::max(max, from[i]);
  const bool usable = max > 1e-37f;
  for (size_t i = 0; i < count; ++i) {
    to[i] = std::max(usable ? from[i] / max : 1.0f, 0x1p-20f);
  }
}

// One lane for each run of kElements; a block has kUnit elements. The next
// group is transposed before one is searched: vectors are not to be read while
// the pieces that they are made of are still being written.
template <size_t kElements, size_t kUnit, class Encode>
HWY_INLINE void EncodeGroups(std::span<const float> values,
                             std::span<const float> importance,
                             size_t block_bytes, std::byte* out,
                             Encode encode) {
  constexpr size_t kGroup = kElements * kGroupLanes;
  alignas(64) float x[2][kGroup];
  alignas(64) float w[2][kGroup];
  alignas(64) float relative[kGroup];
  const auto transpose = [&](size_t begin, size_t to) HWY_ATTR {
    if (begin >= values.size()) return;
    const size_t count = std::min(kGroup, values.size() - begin);
    Transpose<kElements>(values.data() + begin, count / kElements, x[to]);
    if (importance.empty()) return;
    std::fill(relative, relative + kGroup, 1.0f);
    for (size_t i = 0; i < count; i += kUnit) {
      ScaleWeights(importance.data() + begin + i, kUnit, relative + i);
    }
    Transpose<kElements>(relative, kGroupLanes, w[to]);
  };
  transpose(0, 0);
  size_t at = 0;
  for (size_t begin = 0; begin < values.size(); begin += kGroup, at ^= 1) {
    transpose(begin + kGroup, at ^ 1);
    const size_t count = std::min(kGroup, values.size() - begin);
    encode(BlockGroup{.x = x[at],
                      .w = w[at],
                      .num_blocks = count / kUnit,
                      .out = out + begin / kUnit * block_bytes});
  }
}

// Blocks of 32 with scale d = max|x| / 127: q = x / d rounded half away from
// zero with d in float, then d stored as half.
HWY_INLINE bool EncodeQ8Row(std::span<const float> values, std::byte* out) {
  const LaneTag d;
  const hn::RebindToSigned<LaneTag> di;
  const hn::Rebind<int8_t, LaneTag> d8;
  const size_t lanes = hn::Lanes(d);
  const auto sign = hn::SignBit(d);
  // Adding the float just below 0.5 keeps 0.49999997 from becoming 1.
  const auto below_half = hn::Set(d, 0x1.fffffep-2f);
  for (size_t begin = 0; begin < values.size(); begin += kBlockElements) {
    const float* const x = values.data() + begin;
    auto most = hn::Zero(d);
    for (size_t i = 0; i < kBlockElements; i += lanes) {
      most = hn::Max(most, hn::Abs(hn::LoadU(d, x + i)));
    }
    const float max = hn::GetLane(hn::MaxOfLanes(d, most));
    const float scale = max / 127.0f;
    const uint16_t half_scale = FloatToHalf(scale);
    if (half_scale == 0x7c00u) return false;
    std::memcpy(out, &half_scale, sizeof(half_scale));
    auto* const codes = reinterpret_cast<int8_t*>(out + offsetof(BlockQ8_0, q));
    // Below 2^-126 the reciprocal may be infinite; such a scale is 0 as half.
    const auto inverse = hn::Set(d, scale >= 0x1p-126f ? 1.0f / scale : 0.0f);
    for (size_t i = 0; i < kBlockElements; i += lanes) {
      const auto v = hn::Mul(hn::LoadU(d, x + i), inverse);
      const auto half = hn::Or(below_half, hn::And(v, sign));
      const auto q = hn::ConvertTo(di, hn::Add(v, half));
      hn::StoreU(hn::DemoteTo(d8, q), d8, codes + i);
    }
    out += sizeof(BlockQ8_0);
  }
  return true;
}

using GroupEncoder = void (*)(const BlockGroup&);

template <bool kWeighted, class F>
GroupEncoder FindGroupEncoder(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return EncodeQ8_0<kWeighted, F>;
    case DType::kQ4_0:
      return EncodeQ4_0<kWeighted, F>;
    case DType::kQ4_1:
      return EncodeQ4_1<kWeighted, F>;
    case DType::kQ5_0:
      return EncodeQ5_0<kWeighted, F>;
    case DType::kQ5_1:
      return EncodeQ5_1<kWeighted, F>;
    case DType::kQ4K:
      return EncodeQ4K<kWeighted, F>;
    case DType::kQ5K:
      return EncodeQ5K<kWeighted, F>;
    case DType::kQ6K:
      return EncodeQ6K<kWeighted, F>;
    case DType::kIQ4NL:
      return EncodeIq4Nl<kWeighted, F>;
    case DType::kMXFP4:
      return EncodeMxfp4<kWeighted, F>;
    default:
      return nullptr;
  }
}

HWY_INLINE bool UsableWeights(std::span<const float> importance) {
  bool usable = true;
  for (const float w : importance) usable &= w >= 0.0f && w <= 0x1.fffffep127f;
  return usable;
}

HWY_INLINE bool EncodePackedRow(DType dtype, std::span<const float> values,
                                std::span<const float> importance,
                                std::span<std::byte> out) {
  const uint32_t most = MaxMagnitude(values);
  if (most >= 0x7f800000u || !UsableWeights(importance)) return false;
  const bool weighted = !importance.empty();
  if (dtype == DType::kQ8_0 && !weighted) {
    return EncodeQ8Row(values, out.data());
  }
  if (std::bit_cast<float>(most) > MaxEncodable(dtype)) return false;
  const GroupEncoder encode = weighted
                                  ? FindGroupEncoder<true, FloatLanes>(dtype)
                                  : FindGroupEncoder<false, FloatLanes>(dtype);
  const auto block_bytes = static_cast<size_t>(verify::BlockBytes(dtype));
  if (dtype == DType::kQ6K) {
    EncodeGroups<kSmallSubElements, kSuperBlockElements>(
        values, importance, block_bytes, out.data(), encode);
  } else if (verify::BlockElements(dtype) == kSuperBlockElements) {
    EncodeGroups<kBlockElements, kSuperBlockElements>(
        values, importance, block_bytes, out.data(), encode);
  } else {
    EncodeGroups<kBlockElements, kBlockElements>(
        values, importance, block_bytes, out.data(), encode);
  }
  return true;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
