// SPDX-License-Identifier: Apache-2.0
#include "inference/quant/linear_blocks.h"

#include <cstring>

#include "inference/quant/float_formats.h"
#include "inference/quant/packed_scales.h"

namespace inference {
namespace {

using verify::DType;

constexpr size_t kHalfBlock = kBlockElements / 2;
constexpr size_t kSubBlocks = kSuperBlockElements / kBlockElements;

int8_t Byte(int32_t value) { return static_cast<int8_t>(value); }

void SetScale(float scale, float offset, LinearBlock* out) {
  out->scale[0] = out->scale[1] = scale;
  out->offset[0] = out->offset[1] = offset;
}

// The 32 codes of a small block, each less `zero`.
void ReadNibbles(const uint8_t* nibbles, int32_t zero, int8_t* q) {
  for (size_t j = 0; j < kHalfBlock; ++j) {
    q[j] = Byte((nibbles[j] & 15) - zero);
    q[j + kHalfBlock] = Byte((nibbles[j] >> 4) - zero);
  }
}

void ReadLevels(const uint8_t* nibbles, const int8_t* levels, int8_t* q) {
  for (size_t j = 0; j < kHalfBlock; ++j) {
    q[j] = levels[nibbles[j] & 15];
    q[j + kHalfBlock] = levels[nibbles[j] >> 4];
  }
}

// Bit j of high_bits is bit 4 of element j.
void ReadFiveBits(const uint8_t* high_bits, const uint8_t* nibbles,
                  int32_t zero, int8_t* q) {
  ReadNibbles(nibbles, zero, q);
  for (size_t j = 0; j < kBlockElements; ++j) {
    q[j] = Byte(q[j] + ((high_bits[j / 8] >> (j % 8) & 1) << 4));
  }
}

void Read(const BlockQ8_0& block, LinearBlock* out) {
  std::memcpy(out->q, block.q, kBlockElements);
  SetScale(HalfToFloat(block.scale), 0, out);
}

void Read(const BlockQ4_0& block, LinearBlock* out) {
  ReadNibbles(block.nibbles, 8, out->q);
  SetScale(HalfToFloat(block.scale), 0, out);
}

void Read(const BlockQ4_1& block, LinearBlock* out) {
  ReadNibbles(block.nibbles, 0, out->q);
  SetScale(HalfToFloat(block.scale), HalfToFloat(block.offset), out);
}

void Read(const BlockQ5_0& block, LinearBlock* out) {
  ReadFiveBits(block.high_bits, block.nibbles, 16, out->q);
  SetScale(HalfToFloat(block.scale), 0, out);
}

void Read(const BlockQ5_1& block, LinearBlock* out) {
  ReadFiveBits(block.high_bits, block.nibbles, 0, out->q);
  SetScale(HalfToFloat(block.scale), HalfToFloat(block.offset), out);
}

void Read(const BlockIq4Nl& block, LinearBlock* out) {
  ReadLevels(block.nibbles, kIq4Levels, out->q);
  SetScale(HalfToFloat(block.scale), 0, out);
}

// Twice the levels are integers; the scale makes up for it.
void Read(const BlockMxfp4& block, LinearBlock* out) {
  ReadLevels(block.nibbles, kFp4TwiceLevels, out->q);
  SetScale(E8M0ToFloat(block.exponent) * 0.5f, 0, out);
}

void Read(const BlockQ2K& block, LinearBlock* out) {
  const float scale = HalfToFloat(block.scale);
  const float min = HalfToFloat(block.min);
  for (size_t s = 0; s < kSubBlocks; ++s) {
    const uint8_t* const pairs = block.pairs + s / 4 * 32;
    for (size_t l = 0; l < kBlockElements; ++l) {
      out[s].q[l] = Byte(pairs[l] >> (s % 4 * 2) & 3);
    }
    for (size_t h = 0; h < 2; ++h) {
      const int32_t packed = block.scale_and_min[2 * s + h];
      out[s].scale[h] = scale * static_cast<float>(packed & 15);
      out[s].offset[h] = -(min * static_cast<float>(packed >> 4));
    }
  }
}

void Read(const BlockQ3K& block, LinearBlock* out) {
  const float scale = HalfToFloat(block.scale);
  for (size_t s = 0; s < kSubBlocks; ++s) {
    const uint8_t* const pairs = block.pairs + s / 4 * 32;
    for (size_t l = 0; l < kBlockElements; ++l) {
      const int32_t high = block.high_bits[l] >> s & 1;
      out[s].q[l] = Byte(((pairs[l] >> (s % 4 * 2) & 3) | high << 2) - 4);
    }
    for (size_t h = 0; h < 2; ++h) {
      out[s].scale[h] =
          scale * static_cast<float>(PackedScale3(block.scales, 2 * s + h));
      out[s].offset[h] = 0;
    }
  }
}

template <typename Block>
void SetSubScale(const Block& block, size_t s, LinearBlock* out) {
  const ScaleAndMin sub = PackedScaleAndMin(block.scales_and_mins, s);
  SetScale(HalfToFloat(block.scale) * static_cast<float>(sub.scale),
           -(HalfToFloat(block.min) * static_cast<float>(sub.min)), out);
}

void Read(const BlockQ4K& block, LinearBlock* out) {
  for (size_t s = 0; s < kSubBlocks; ++s) {
    const uint8_t* const nibbles = block.nibbles + s / 2 * 32;
    for (size_t l = 0; l < kBlockElements; ++l) {
      out[s].q[l] = Byte(nibbles[l] >> (s % 2 * 4) & 15);
    }
    SetSubScale(block, s, out + s);
  }
}

void Read(const BlockQ5K& block, LinearBlock* out) {
  for (size_t s = 0; s < kSubBlocks; ++s) {
    const uint8_t* const nibbles = block.nibbles + s / 2 * 32;
    for (size_t l = 0; l < kBlockElements; ++l) {
      const int32_t high = block.high_bits[l] >> s & 1;
      out[s].q[l] = Byte((nibbles[l] >> (s % 2 * 4) & 15) | high << 4);
    }
    SetSubScale(block, s, out + s);
  }
}

void Read(const BlockQ6K& block, LinearBlock* out) {
  const float scale = HalfToFloat(block.scale);
  for (size_t s = 0; s < kSubBlocks; ++s) {
    const size_t half = s / 4;
    const size_t quarter = s % 4;
    const uint8_t* const nibbles =
        block.nibbles + 64 * half + 32 * (quarter % 2);
    const uint8_t* const pairs = block.high_pairs + 32 * half;
    for (size_t l = 0; l < kBlockElements; ++l) {
      const int32_t low = nibbles[l] >> (quarter / 2 * 4) & 15;
      const int32_t high = pairs[l] >> (2 * quarter) & 3;
      out[s].q[l] = Byte((low | high << 4) - 32);
    }
    for (size_t h = 0; h < 2; ++h) {
      out[s].scale[h] = scale * static_cast<float>(block.scales[2 * s + h]);
      out[s].offset[h] = 0;
    }
  }
}

void Read(const BlockQ8K& block, LinearBlock* out) {
  for (size_t s = 0; s < kSubBlocks; ++s) {
    std::memcpy(out[s].q, block.q + s * kBlockElements, kBlockElements);
    SetScale(block.scale, 0, out + s);
  }
}

void Read(const BlockIq4Xs& block, LinearBlock* out) {
  const float scale = HalfToFloat(block.scale);
  for (size_t s = 0; s < kSubBlocks; ++s) {
    ReadLevels(block.nibbles + 16 * s, kIq4Levels, out[s].q);
    SetScale(scale * static_cast<float>(PackedScaleIq4(block.scale_nibbles,
                                                       block.scale_pairs, s)),
             0, out + s);
  }
}

template <typename Block>
void ReadBytes(const std::byte* bytes, LinearBlock* out) {
  Block block;
  std::memcpy(&block, bytes, sizeof(block));
  Read(block, out);
}

template <typename Block>
const LinearReader* Small() {
  static constexpr LinearReader kReader = {sizeof(Block), 1, ReadBytes<Block>};
  return &kReader;
}

template <typename Block>
const LinearReader* Super() {
  static constexpr LinearReader kReader = {sizeof(Block), kSubBlocks,
                                           ReadBytes<Block>};
  return &kReader;
}

}  // namespace

const LinearReader* FindLinearReader(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return Small<BlockQ8_0>();
    case DType::kQ4_0:
      return Small<BlockQ4_0>();
    case DType::kQ4_1:
      return Small<BlockQ4_1>();
    case DType::kQ5_0:
      return Small<BlockQ5_0>();
    case DType::kQ5_1:
      return Small<BlockQ5_1>();
    case DType::kIQ4NL:
      return Small<BlockIq4Nl>();
    case DType::kMXFP4:
      return Small<BlockMxfp4>();
    case DType::kQ2K:
      return Super<BlockQ2K>();
    case DType::kQ3K:
      return Super<BlockQ3K>();
    case DType::kQ4K:
      return Super<BlockQ4K>();
    case DType::kQ5K:
      return Super<BlockQ5K>();
    case DType::kQ6K:
      return Super<BlockQ6K>();
    case DType::kQ8K:
      return Super<BlockQ8K>();
    case DType::kIQ4XS:
      return Super<BlockIq4Xs>();
    default:
      return nullptr;
  }
}

}  // namespace inference
