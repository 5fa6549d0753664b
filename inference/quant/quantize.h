// SPDX-License-Identifier: Apache-2.0
// Element types to float and back: bf16, f16, f32, f64 and q8_0. Plain loops
// that compilers vectorise; results are the same bits on every machine.
// Tested by tests/inference/quant/quantize_test.cc.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "inference/quant/block_types.h"
#include "verify/base/bytes.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

// bf16 is the upper half of a float: exact.
inline float Bf16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// Nearest bf16, ties to even; overflow gives infinity, NaN stays NaN.
inline uint16_t FloatToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet_nan = (bits >> 16) | 0x40u;
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<uint16_t>(is_nan ? quiet_nan : rounded);
}

// IEEE half, subnormals too: exact.
inline float HalfToFloat(uint16_t bits) {
  // The fields moved into place make a float 2^112 times too small, whether
  // the half is normal or not; infinity and NaN need all exponent bits.
  const uint32_t magnitude = (bits & 0x7fffu) << 13;
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  const uint32_t special = (bits & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
  const uint32_t sign = (bits & 0x8000u) << 16;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | special | sign);
}

// Nearest half, ties to even; from 65520 on infinity, NaN stays NaN.
inline uint16_t FloatToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x1ffu);
  } else if (magnitude >= 0x477ff000u) {
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {
    // 0.5 has the spacing of the half subnormals, 2^-24: the addition rounds.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<uint32_t>(aligned) - 0x3f000000u;
  } else {
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    half = (rounded - 0x38000000u) >> 13;
  }
  return static_cast<uint16_t>(half | ((bits >> 16) & 0x8000u));
}

// Whether DecodeRow reads, EncodeRow writes this type. Decoded are f64, f32,
// f16, bf16 and q8_0; encoded the same without f64.
bool CanDecode(verify::DType dtype);
bool CanEncode(verify::DType dtype);

// Elements to floats (f64 rounds). Requires CanDecode(dtype) and
// bytes.size() == DTypeBytes(dtype, out.size()); any alignment.
void DecodeRow(verify::DType dtype, verify::ByteSpan bytes,
               std::span<float> out);

// Floats to elements, nearest, ties to even (q8_0: see EncodeQ8_0). Requires
// CanEncode(dtype) and out.size() == DTypeBytes(dtype, values.size()); any
// alignment. False if a value is not finite or does not fit the type (beyond
// 65504 for f16); `out` is then not defined.
bool EncodeRow(verify::DType dtype, std::span<const float> values,
               std::span<std::byte> out);

// Blocks of 32 with scale d = max|x| / 127: q = x / d rounded half away from
// zero with d in float, then d stored as half. Requires
// values.size() == 32 * blocks.size(). False if a value is not finite or a
// scale is beyond half.
bool EncodeQ8_0(std::span<const float> values, std::span<BlockQ8_0> blocks);

// out[i] = scale * q[i]. Requires out.size() == 32 * blocks.size().
void DecodeQ8_0(std::span<const BlockQ8_0> blocks, std::span<float> out);

}  // namespace inference
