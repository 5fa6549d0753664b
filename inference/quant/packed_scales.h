// SPDX-License-Identifier: Apache-2.0
// Scales of six bits, as the "k" types pack them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace inference {

// Of a sub-block, before they are multiplied by those of the block.
struct ScaleAndMin {
  int32_t scale;
  int32_t min;
};

// Sub-block s of q4_k and q5_k: six bits each. Those of the first four are
// whole bytes' low six bits; those of the last four are split, their upper two
// bits in what these leave free.
inline ScaleAndMin PackedScaleAndMin(const uint8_t* packed, size_t s) {
  const auto byte = [&](size_t i) -> int32_t { return packed[i]; };
  if (s < 4) return {byte(s) & 63, byte(s + 4) & 63};
  return {(byte(s + 4) & 15) | byte(s - 4) >> 6 << 4,
          byte(s + 4) >> 4 | byte(s) >> 6 << 4};
}

// Scales of q3_k: sub-block s has four bits in a nibble of the first eight
// bytes and two bits in the last four, all less 32.
inline int32_t PackedScale3(const uint8_t* packed, size_t s) {
  const int32_t low = s < 8 ? packed[s] & 15 : packed[s - 8] >> 4;
  const int32_t high = packed[8 + s % 4] >> (2 * (s / 4)) & 3;
  return (low | high << 4) - 32;
}

// Scales of iq4_xs: four bits in a nibble, two in a word, all less 32.
inline int32_t PackedScaleIq4(const uint8_t* nibbles, uint32_t pairs,
                              size_t s) {
  const int32_t low = nibbles[s / 2] >> (s % 2 * 4) & 15;
  const auto high = static_cast<int32_t>(pairs >> (2 * s) & 3u);
  return (low | high << 4) - 32;
}

}  // namespace inference
