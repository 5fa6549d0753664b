// SPDX-License-Identifier: Apache-2.0
#include "inference/quant/quantize.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "inference/quant/decode_blocks.h"
#include "inference/quant/encode_blocks.h"
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
  CHECK(bytes.size() == out.size() * sizeof(T));
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

template <typename Block>
void DecodePacked(DType dtype, ByteSpan bytes, std::span<float> out) {
  const auto elements = static_cast<size_t>(verify::BlockElements(dtype));
  const size_t num_blocks = out.size() / elements;
  CHECK(out.size() % elements == 0);
  CHECK(bytes.size() == num_blocks * sizeof(Block));
  for (size_t b = 0; b < num_blocks; ++b) {
    Block block;
    std::memcpy(&block, bytes.data() + b * sizeof(block), sizeof(block));
    DecodeBlock(block, out.data() + b * elements);
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

using RowDecoder = void (*)(DType, ByteSpan, std::span<float>);

// Null for a type that is not decoded.
RowDecoder FindDecoder(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return [](DType, ByteSpan bytes, std::span<float> out) {
        DecodePlain<double>(bytes, out,
                            [](double v) { return static_cast<float>(v); });
      };
    case DType::kF32:
      return [](DType, ByteSpan bytes, std::span<float> out) {
        CHECK(bytes.size() == out.size_bytes());
        if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
      };
    case DType::kF16:
      return [](DType, ByteSpan bytes, std::span<float> out) {
        DecodePlain<uint16_t>(bytes, out, HalfToFloat);
      };
    case DType::kBF16:
      return [](DType, ByteSpan bytes, std::span<float> out) {
        DecodePlain<uint16_t>(bytes, out, Bf16ToFloat);
      };
    case DType::kF8E4M3:
      return [](DType, ByteSpan bytes, std::span<float> out) {
        DecodePlain<uint8_t>(bytes, out, F8E4M3ToFloat);
      };
    case DType::kQ8_0:
      return DecodePacked<BlockQ8_0>;
    case DType::kQ4_0:
      return DecodePacked<BlockQ4_0>;
    case DType::kQ4_1:
      return DecodePacked<BlockQ4_1>;
    case DType::kQ5_0:
      return DecodePacked<BlockQ5_0>;
    case DType::kQ5_1:
      return DecodePacked<BlockQ5_1>;
    case DType::kQ2K:
      return DecodePacked<BlockQ2K>;
    case DType::kQ3K:
      return DecodePacked<BlockQ3K>;
    case DType::kQ4K:
      return DecodePacked<BlockQ4K>;
    case DType::kQ5K:
      return DecodePacked<BlockQ5K>;
    case DType::kQ6K:
      return DecodePacked<BlockQ6K>;
    case DType::kQ8K:
      return DecodePacked<BlockQ8K>;
    case DType::kIQ4NL:
      return DecodePacked<BlockIq4Nl>;
    case DType::kIQ4XS:
      return DecodePacked<BlockIq4Xs>;
    case DType::kMXFP4:
      return DecodePacked<BlockMxfp4>;
    default:
      return nullptr;
  }
}

}  // namespace

bool IsPlainFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

bool CanDecode(DType dtype) { return FindDecoder(dtype) != nullptr; }

bool CanEncode(DType dtype) {
  return IsPlainFloat(dtype) || HasBlockEncoder(dtype);
}

bool EncodeQ8_0(std::span<const float> values, std::span<BlockQ8_0> blocks) {
  CHECK(values.size() == blocks.size() * kQ8BlockElements);
  return EncodeRow(DType::kQ8_0, values, std::as_writable_bytes(blocks));
}

void DecodeQ8_0(std::span<const BlockQ8_0> blocks, std::span<float> out) {
  CHECK(out.size() == blocks.size() * kQ8BlockElements);
  for (size_t b = 0; b < blocks.size(); ++b) {
    DecodeBlock(blocks[b], out.data() + b * kQ8BlockElements);
  }
}

void DecodeRow(DType dtype, ByteSpan bytes, std::span<float> out) {
  const RowDecoder decode = FindDecoder(dtype);
  CHECK(decode != nullptr);
  decode(dtype, bytes, out);
}

bool EncodeRow(DType dtype, std::span<const float> values,
               std::span<std::byte> out, std::span<const float> importance) {
  CHECK(CanEncode(dtype));
  CHECK(importance.empty() || importance.size() == values.size());
  CHECK(verify::DTypeBytes(dtype, values.size()) == out.size());
  if (!IsPlainFloat(dtype)) {
    return BestBlockEncoder().encode_row(dtype, values, importance, out);
  }
  const uint32_t max_bits = MaxMagnitudeBits(values);
  switch (dtype) {
    case DType::kF32:
      if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
      return max_bits < 0x7f800000u;
    case DType::kF16:
      EncodePlain<uint16_t>(values, out, FloatToHalf);
      return max_bits < 0x477ff000u;
    default:
      EncodePlain<uint16_t>(values, out, FloatToBf16);
      return max_bits < 0x7f7f8000u;
  }
}

}  // namespace inference
