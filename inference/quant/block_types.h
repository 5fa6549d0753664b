// SPDX-License-Identifier: Apache-2.0
// Packed blocks as they lie in a GGUF file. Layouts: docs/formats/gguf.md,
// section 3. Fields called scale, min, ... of type uint16_t are the bits of an
// IEEE half; "nibbles" means the low one before the high one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace inference {

// Elements of the small blocks and of the super-blocks ("k" types, iq4_xs).
inline constexpr size_t kBlockElements = 32;
inline constexpr size_t kSuperBlockElements = 256;
inline constexpr size_t kQ8BlockElements = kBlockElements;

// Element j is scale * q[j]. Two bytes of alignment: rows of blocks in a
// mapped file are used in place.
struct BlockQ8_0 {
  uint16_t scale;
  int8_t q[32];
};
static_assert(sizeof(BlockQ8_0) == 34);
static_assert(alignof(BlockQ8_0) == 2);

// Nibbles of all small blocks: byte j has element j below, j + 16 above.
// Element: scale * (n - 8).
struct BlockQ4_0 {
  uint16_t scale;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

// Element: scale * n + offset.
struct BlockQ4_1 {
  uint16_t scale;
  uint16_t offset;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

// Bit j of high_bits, a little-endian word, is bit 4 of element j.
// Element: scale * (n - 16).
struct BlockQ5_0 {
  uint16_t scale;
  uint8_t high_bits[4];
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

// Element: scale * n + offset.
struct BlockQ5_1 {
  uint16_t scale;
  uint16_t offset;
  uint8_t high_bits[4];
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

// 16 sub-blocks of 16. scale_and_min: scale below, min above.
// Element: scale * (scale of sub-block) * n - min * (min of sub-block).
struct BlockQ2K {
  uint8_t scale_and_min[16];
  uint8_t pairs[64];
  uint16_t scale;
  uint16_t min;
};
static_assert(sizeof(BlockQ2K) == 84);

// 16 sub-blocks of 16 with scales of 6 bits, packed, less 32.
// Element: scale * (s - 32) * (n - 4).
struct BlockQ3K {
  uint8_t high_bits[32];
  uint8_t pairs[64];
  uint8_t scales[12];
  uint16_t scale;
};
static_assert(sizeof(BlockQ3K) == 110);

// 8 sub-blocks of 32 with scales and mins of 6 bits, packed.
// Element: scale * (scale of sub-block) * n - min * (min of sub-block).
struct BlockQ4K {
  uint16_t scale;
  uint16_t min;
  uint8_t scales_and_mins[12];
  uint8_t nibbles[128];
};
static_assert(sizeof(BlockQ4K) == 144);

struct BlockQ5K {
  uint16_t scale;
  uint16_t min;
  uint8_t scales_and_mins[12];
  uint8_t high_bits[32];
  uint8_t nibbles[128];
};
static_assert(sizeof(BlockQ5K) == 176);

// 16 sub-blocks of 16. Element: scale * scales[sub-block] * (n - 32).
struct BlockQ6K {
  uint8_t nibbles[128];
  uint8_t high_pairs[64];
  int8_t scales[16];
  uint16_t scale;
};
static_assert(sizeof(BlockQ6K) == 210);

// Element j is scale * q[j]; sums are those of 16 q each, for dot products.
struct BlockQ8K {
  float scale;
  int8_t q[256];
  int16_t sums[16];
};
static_assert(sizeof(BlockQ8K) == 292);

// Element: scale * kIq4Levels[n].
struct BlockIq4Nl {
  uint16_t scale;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockIq4Nl) == 18);

// 8 sub-blocks of 32, each laid out as in the small blocks, with scales of
// 6 bits less 32: four below in scale_nibbles, two above in scale_pairs.
// Element: scale * (s - 32) * kIq4Levels[n].
struct BlockIq4Xs {
  uint16_t scale;
  uint16_t scale_pairs;
  uint8_t scale_nibbles[4];
  uint8_t nibbles[128];
};
static_assert(sizeof(BlockIq4Xs) == 136);

// OCP microscaling, fp4 (e2m1): 2^(exponent - 127) * kFp4Levels[n]; exponent
// 255 is NaN.
struct BlockMxfp4 {
  uint8_t exponent;
  uint8_t nibbles[16];
};
static_assert(sizeof(BlockMxfp4) == 17);
static_assert(alignof(BlockMxfp4) == 1);

inline constexpr int8_t kIq4Levels[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

inline constexpr float kFp4Levels[16] = {
    0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
    -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

// The same, doubled: integers.
inline constexpr int8_t kFp4TwiceLevels[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                               0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace inference
