// SPDX-License-Identifier: Apache-2.0
// bf16, IEEE half and fp8 to float and back; the same bits on every machine.
// Tested by tests/inference/quant/float_formats_test.cc.
#pragma once

#include <bit>
#include <cstdint>

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

// OCP fp8 e4m3: bias 7, subnormals, no infinity; 0x7f and 0xff are NaN. Exact.
inline float F8E4M3ToFloat(uint8_t bits) {
  const uint32_t magnitude = bits & 0x7fu;
  const float scaled = std::bit_cast<float>(magnitude << 20) * 0x1p120f;
  const uint32_t special = magnitude == 0x7fu ? 0x7fc00000u : 0u;
  const uint32_t sign = (bits & 0x80u) << 24;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | special | sign);
}

// 2^(exponent - 127) for 0..254, the scale of mxfp4; 255 is NaN. Exact.
inline float E8M0ToFloat(uint8_t exponent) {
  if (exponent == 0xffu) return std::bit_cast<float>(0x7fc00000u);
  // 2^-127 is a subnormal.
  return std::bit_cast<float>(
      exponent == 0 ? 0x00400000u : static_cast<uint32_t>(exponent) << 23);
}

}  // namespace inference
