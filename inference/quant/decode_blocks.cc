// SPDX-License-Identifier: Apache-2.0
#include "inference/quant/decode_blocks.h"

#include <cstddef>
#include <cstdint>

#include "inference/quant/float_formats.h"
#include "inference/quant/packed_scales.h"

namespace inference {
namespace {

constexpr size_t kHalfBlock = kBlockElements / 2;

// The 32 codes of a small block, given as value(code).
template <typename ToValue>
void DecodeNibbles(const uint8_t* nibbles, float* out, ToValue value) {
  for (size_t j = 0; j < kHalfBlock; ++j) {
    out[j] = value(nibbles[j] & 15u);
    out[j + kHalfBlock] = value(nibbles[j] >> 4u);
  }
}

template <typename ToValue>
void DecodeFiveBits(const uint8_t* high_bits, const uint8_t* nibbles,
                    float* out, ToValue value) {
  for (size_t j = 0; j < kHalfBlock; ++j) {
    const uint32_t low = uint32_t{high_bits[j / 8]} >> (j % 8) & 1u;
    const uint32_t high = uint32_t{high_bits[j / 8 + 2]} >> (j % 8) & 1u;
    out[j] = value((nibbles[j] & 15u) | low << 4);
    out[j + kHalfBlock] =
        value(static_cast<uint32_t>(nibbles[j] >> 4) | high << 4);
  }
}

float Level(uint32_t code, uint32_t zero) {
  return static_cast<float>(static_cast<int32_t>(code) -
                            static_cast<int32_t>(zero));
}

}  // namespace

void DecodeBlock(const BlockQ8_0& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  for (size_t i = 0; i < kBlockElements; ++i) {
    out[i] = scale * static_cast<float>(block.q[i]);
  }
}

void DecodeBlock(const BlockQ4_0& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  DecodeNibbles(block.nibbles, out,
                [=](uint32_t n) { return scale * Level(n, 8); });
}

void DecodeBlock(const BlockQ4_1& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  const float offset = HalfToFloat(block.offset);
  DecodeNibbles(block.nibbles, out,
                [=](uint32_t n) { return scale * Level(n, 0) + offset; });
}

void DecodeBlock(const BlockQ5_0& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  DecodeFiveBits(block.high_bits, block.nibbles, out,
                 [=](uint32_t n) { return scale * Level(n, 16); });
}

void DecodeBlock(const BlockQ5_1& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  const float offset = HalfToFloat(block.offset);
  DecodeFiveBits(block.high_bits, block.nibbles, out,
                 [=](uint32_t n) { return scale * Level(n, 0) + offset; });
}

// Element 128 h + 32 j + l of q2_k and q3_k has bits 2j and 2j + 1 of byte
// 32 h + l; 16 elements one after the other are a sub-block.
void DecodeBlock(const BlockQ2K& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  const float min = HalfToFloat(block.min);
  for (size_t s = 0; s < 16; ++s) {
    const uint8_t* const pairs = block.pairs + s / 8 * 32 + s % 2 * 16;
    const size_t shift = s % 8 / 2 * 2;
    const float step = scale * Level(block.scale_and_min[s] & 15u, 0);
    const float amount = min * Level(block.scale_and_min[s] >> 4u, 0);
    for (size_t l = 0; l < 16; ++l) {
      out[16 * s + l] = step * Level(pairs[l] >> shift & 3u, 0) - amount;
    }
  }
}

// A set high bit is worth 4, and every element is less 4.
void DecodeBlock(const BlockQ3K& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  for (size_t s = 0; s < 16; ++s) {
    const uint8_t* const pairs = block.pairs + s / 8 * 32 + s % 2 * 16;
    const uint8_t* const high_bits = block.high_bits + s % 2 * 16;
    const size_t shift = s % 8 / 2 * 2;
    const float step =
        scale * static_cast<float>(PackedScale3(block.scales, s));
    for (size_t l = 0; l < 16; ++l) {
      const uint32_t high = high_bits[l] >> (s / 2) & 1u;
      out[16 * s + l] = step * Level((pairs[l] >> shift & 3u) | high << 2, 4);
    }
  }
}

void DecodeBlock(const BlockQ4K& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  const float min = HalfToFloat(block.min);
  for (size_t s = 0; s < 8; ++s) {
    const auto sub = PackedScaleAndMin(block.scales_and_mins, s);
    const float step = scale * static_cast<float>(sub.scale);
    const float amount = min * static_cast<float>(sub.min);
    const uint8_t* const nibbles = block.nibbles + s / 2 * 32;
    for (size_t l = 0; l < 32; ++l) {
      const uint32_t n = nibbles[l] >> (s % 2 * 4) & 15u;
      out[32 * s + l] = step * Level(n, 0) - amount;
    }
  }
}

void DecodeBlock(const BlockQ5K& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  const float min = HalfToFloat(block.min);
  for (size_t s = 0; s < 8; ++s) {
    const auto sub = PackedScaleAndMin(block.scales_and_mins, s);
    const float step = scale * static_cast<float>(sub.scale);
    const float amount = min * static_cast<float>(sub.min);
    const uint8_t* const nibbles = block.nibbles + s / 2 * 32;
    for (size_t l = 0; l < 32; ++l) {
      const uint32_t high = block.high_bits[l] >> s & 1u;
      const uint32_t n = (nibbles[l] >> (s % 2 * 4) & 15u) | high << 4;
      out[32 * s + l] = step * Level(n, 0) - amount;
    }
  }
}

// Half h of 128, quarter k of it, element l: the nibble k / 2 of byte
// 64 h + 32 (k % 2) + l and the pair k of byte 32 h + l.
void DecodeBlock(const BlockQ6K& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  for (size_t s = 0; s < 16; ++s) {
    const size_t half = s / 8;
    const size_t quarter = s % 8 / 2;
    const uint8_t* const nibbles =
        block.nibbles + 64 * half + 32 * (quarter % 2) + s % 2 * 16;
    const uint8_t* const pairs = block.high_pairs + 32 * half + s % 2 * 16;
    const float step = scale * static_cast<float>(block.scales[s]);
    for (size_t l = 0; l < 16; ++l) {
      const uint32_t low = nibbles[l] >> (quarter / 2 * 4) & 15u;
      const uint32_t high = pairs[l] >> (2 * quarter) & 3u;
      out[16 * s + l] = step * Level(low | high << 4, 32);
    }
  }
}

void DecodeBlock(const BlockQ8K& block, float* out) {
  for (size_t i = 0; i < kSuperBlockElements; ++i) {
    out[i] = block.scale * static_cast<float>(block.q[i]);
  }
}

void DecodeBlock(const BlockIq4Nl& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  DecodeNibbles(block.nibbles, out, [=](uint32_t n) {
    return scale * static_cast<float>(kIq4Levels[n]);
  });
}

void DecodeBlock(const BlockIq4Xs& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  for (size_t s = 0; s < 8; ++s) {
    const float step = scale * static_cast<float>(PackedScaleIq4(
                                   block.scale_nibbles, block.scale_pairs, s));
    DecodeNibbles(block.nibbles + 16 * s, out + 32 * s, [=](uint32_t n) {
      return step * static_cast<float>(kIq4Levels[n]);
    });
  }
}

void DecodeBlock(const BlockMxfp4& block, float* out) {
  const float scale = E8M0ToFloat(block.exponent);
  DecodeNibbles(block.nibbles, out,
                [=](uint32_t n) { return scale * kFp4Levels[n]; });
}

}  // namespace inference
