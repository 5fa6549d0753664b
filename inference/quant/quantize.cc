// SPDX-License-Identifier: Apache-2.0
#include "inference/quant/quantize.h"

#include <algorithm>
#include <cstring>

#include "verify/base/check.h"

namespace inference {
namespace {

using verify::ByteSpan;
using verify::DType;

// Rows are converted through a small buffer, so that bytes of any alignment
// are read and written as what they are.
constexpr size_t kChunk = 256;

template <typename T, typename ToFloat>
void DecodePlain(ByteSpan bytes, std::span<float> out, ToFloat to_float) {
  T chunk[kChunk];
  for (size_t begin = 0; begin < out.size(); begin += kChunk) {
    const size_t count = std::min(kChunk, out.size() - begin);
    std::memcpy(chunk, bytes.data() + begin * sizeof(T), count * sizeof(T));
    for (size_t i = 0; i < count; ++i) out[begin + i] = to_float(chunk[i]);
  }
}

template <typename T, typename FromFloat>
void EncodePlain(std::span<const float> values, std::span<std::byte> out,
                 FromFloat from_float) {
  T chunk[kChunk];
  for (size_t begin = 0; begin < values.size(); begin += kChunk) {
    const size_t count = std::min(kChunk, values.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      chunk[i] = from_float(values[begin + i]);
    }
    std::memcpy(out.data() + begin * sizeof(T), chunk, count * sizeof(T));
  }
}

// Largest magnitude as bits: ordered like the magnitudes themselves, with NaN
// above infinity.
uint32_t MaxMagnitudeBits(std::span<const float> values) {
  uint32_t max = 0;
  for (const float value : values) {
    max = std::max(max, std::bit_cast<uint32_t>(value) & 0x7fffffffu);
  }
  return max;
}

// Nearest integer of |v| < 2^22, halves away from zero. Adding the float just
// below 0.5 instead of 0.5 keeps 0.49999997 from becoming 1.
int32_t RoundHalfAway(float v) {
  constexpr float kBelowHalf = 0x1.fffffep-2f;
  return static_cast<int32_t>(v + (v < 0 ? -kBelowHalf : kBelowHalf));
}

bool EncodeBlock(const float* values, BlockQ8_0& block) {
  const uint32_t max_bits = MaxMagnitudeBits({values, kQ8BlockElements});
  if (max_bits >= 0x7f800000u) return false;
  const float scale = std::bit_cast<float>(max_bits) / 127.0f;
  block.scale = FloatToHalf(scale);
  if (block.scale == 0x7c00u) return false;
  // Below 2^-126 the reciprocal may be infinite; such a scale is 0 as a half.
  const float inverse = scale >= 0x1p-126f ? 1.0f / scale : 0.0f;
  for (size_t i = 0; i < kQ8BlockElements; ++i) {
    block.q[i] = static_cast<int8_t>(RoundHalfAway(values[i] * inverse));
  }
  return true;
}

void DecodeBlock(const BlockQ8_0& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  for (size_t i = 0; i < kQ8BlockElements; ++i) {
    out[i] = scale * static_cast<float>(block.q[i]);
  }
}

}  // namespace

bool CanDecode(DType dtype) { return dtype == DType::kF64 || CanEncode(dtype); }

bool CanEncode(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 ||
         dtype == DType::kBF16 || dtype == DType::kQ8_0;
}

bool EncodeQ8_0(std::span<const float> values, std::span<BlockQ8_0> blocks) {
  CHECK(values.size() == blocks.size() * kQ8BlockElements);
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (!EncodeBlock(values.data() + b * kQ8BlockElements, blocks[b])) {
      return false;
    }
  }
  return true;
}

void DecodeQ8_0(std::span<const BlockQ8_0> blocks, std::span<float> out) {
  CHECK(out.size() == blocks.size() * kQ8BlockElements);
  for (size_t b = 0; b < blocks.size(); ++b) {
    DecodeBlock(blocks[b], out.data() + b * kQ8BlockElements);
  }
}

void DecodeRow(DType dtype, ByteSpan bytes, std::span<float> out) {
  CHECK(CanDecode(dtype));
  switch (dtype) {
    case DType::kF64:
      CHECK(bytes.size() == out.size() * sizeof(double));
      return DecodePlain<double>(
          bytes, out, [](double v) { return static_cast<float>(v); });
    case DType::kF32:
      CHECK(bytes.size() == out.size_bytes());
      if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
      return;
    case DType::kF16:
      CHECK(bytes.size() == out.size() * sizeof(uint16_t));
      return DecodePlain<uint16_t>(bytes, out, HalfToFloat);
    case DType::kBF16:
      CHECK(bytes.size() == out.size() * sizeof(uint16_t));
      return DecodePlain<uint16_t>(bytes, out, Bf16ToFloat);
    default:
      break;
  }
  const size_t num_blocks = out.size() / kQ8BlockElements;
  CHECK(out.size() % kQ8BlockElements == 0);
  CHECK(bytes.size() == num_blocks * sizeof(BlockQ8_0));
  for (size_t b = 0; b < num_blocks; ++b) {
    BlockQ8_0 block;
    std::memcpy(&block, bytes.data() + b * sizeof(block), sizeof(block));
    DecodeBlock(block, out.data() + b * kQ8BlockElements);
  }
}

bool EncodeRow(DType dtype, std::span<const float> values,
               std::span<std::byte> out) {
  CHECK(CanEncode(dtype));
  if (dtype == DType::kQ8_0) {
    const size_t num_blocks = values.size() / kQ8BlockElements;
    CHECK(values.size() % kQ8BlockElements == 0);
    CHECK(out.size() == num_blocks * sizeof(BlockQ8_0));
    for (size_t b = 0; b < num_blocks; ++b) {
      BlockQ8_0 block;
      if (!EncodeBlock(values.data() + b * kQ8BlockElements, block)) {
        return false;
      }
      std::memcpy(out.data() + b * sizeof(block), &block, sizeof(block));
    }
    return true;
  }
  const uint32_t max_bits = MaxMagnitudeBits(values);
  if (dtype == DType::kF32) {
    CHECK(out.size() == values.size_bytes());
    if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
    return max_bits < 0x7f800000u;
  }
  CHECK(out.size() == values.size() * sizeof(uint16_t));
  if (dtype == DType::kF16) {
    EncodePlain<uint16_t>(values, out, FloatToHalf);
    return max_bits < 0x477ff000u;
  }
  EncodePlain<uint16_t>(values, out, FloatToBf16);
  return max_bits < 0x7f7f8000u;
}

}  // namespace inference
