// SPDX-License-Identifier: Apache-2.0
// How the AVX-512 products read packed blocks: for each type the codes of 32
// elements of two rows as unsigned bytes, and the scales of 16 rows. Included
// by packed_avx512.cc alone, between its attributes.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/base.h"
#include "inference/quant/block_types.h"
#include "inference/quant/packed_scales.h"

namespace inference::avx512 {

// Rows whose sums are the lanes of a vector.
inline constexpr size_t kLaneRows = 16;

// Where row r of 16 has its block: base + r * stride.
struct RowBlocks {
  const std::byte* base;
  size_t stride;
  HWY_INLINE const std::byte* at(size_t r) const { return base + r * stride; }
};

// Scales and offsets of up to 8 sub-blocks of 32 elements for 16 rows.
struct LaneScales {
  alignas(64) float scale[8][2][kLaneRows];   // [sub][half][row]
  alignas(64) float offset[8][2][kLaneRows];  // the same
};

// The codes of two rows, the first below; 32 bytes each.
HWY_INLINE __m512i TwoRows(const std::byte* a, const std::byte* b) {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// 32 codes of four bits of two rows: byte j has element j below, j + 16 above.
HWY_INLINE __m512i TwoNibbleRows(const std::byte* a, const std::byte* b) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
  const __m512i first = _mm512_inserti32x4(_mm512_castsi128_si512(low),
                                           _mm_srli_epi16(low, 4), 1);
  const __m256i second = _mm256_inserti128_si256(_mm256_castsi128_si256(high),
                                                 _mm_srli_epi16(high, 4), 1);
  return _mm512_and_si512(_mm512_inserti64x4(first, second, 1),
                          _mm512_set1_epi8(15));
}

HWY_INLINE uint16_t LoadU16(const std::byte* p) {
  uint16_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}
HWY_INLINE uint32_t LoadU32(const std::byte* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

// The halves that 16 rows have at `offset` of their blocks, as floats.
HWY_INLINE __m512 LaneHalves(const RowBlocks& rows, size_t offset) {
  alignas(32) uint16_t bits[kLaneRows];
  HWY_UNROLL(16)
  for (size_t r = 0; r < kLaneRows; ++r) {
    bits[r] = LoadU16(rows.at(r) + offset);
  }
  return _mm512_cvtph_ps(
      _mm256_load_si256(reinterpret_cast<const __m256i*>(bits)));
}

// The same of one row, in all lanes.
HWY_INLINE __m256 Half(const std::byte* p) {
  return _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(LoadU16(p))));
}

// Rows of 8 floats, [row][8], to lanes: out[s * step] has element s of 16 rows.
HWY_INLINE void ToLanes(const float (&rows)[kLaneRows][8], float* out,
                        size_t step) {
  HWY_UNROLL(8)
  for (size_t s = 0; s < 8; ++s) {
    const __m512i at = _mm512_mullo_epi32(
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        _mm512_set1_epi32(8));
    _mm512_store_ps(out + s * step,
                    _mm512_i32gather_ps(at, &rows[0][s], sizeof(float)));
  }
}

// What a type tells:
//   kBlockBytes, kSubBlocks  of 32 elements in a block
//   kZero     the code of zero is 2^kZero; 32 where it is 0
//   kHalves   scales are those of 16 elements
//   kOffsets  there are offsets
//   Codes<s>  those of sub-block s of two rows
//   Scales    of all sub-blocks of 16 rows: [sub][0] where there are no halves
template <size_t kBytes, size_t kSubs, int kZeroShift, bool kHalf, bool kOffset>
struct Shape {
  static constexpr size_t kBlockBytes = kBytes;
  static constexpr size_t kSubBlocks = kSubs;
  static constexpr int kZero = kZeroShift;
  static constexpr bool kHalves = kHalf;
  static constexpr bool kOffsets = kOffset;
};

struct Q8_0 : Shape<sizeof(BlockQ8_0), 1, 7, false, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return _mm512_xor_si512(TwoRows(a + 2, b + 2), _mm512_set1_epi8(-128));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
  }
};

struct Q4_0 : Shape<sizeof(BlockQ4_0), 1, 3, false, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return TwoNibbleRows(a + 2, b + 2);
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
  }
};

struct Q4_1 : Shape<sizeof(BlockQ4_1), 1, 32, false, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return TwoNibbleRows(a + 4, b + 4);
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
    _mm512_store_ps(out->offset[0][0], LaneHalves(rows, 2));
  }
};

// A fifth bit, one for each element of two rows, on top of four.
HWY_INLINE __m512i AddFifthBits(__m512i nibbles, uint32_t a, uint32_t b) {
  const __mmask64 bits = a | static_cast<uint64_t>(b) << 32;
  return _mm512_mask_add_epi8(nibbles, bits, nibbles, _mm512_set1_epi8(16));
}

struct Q5_0 : Shape<sizeof(BlockQ5_0), 1, 4, false, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return AddFifthBits(TwoNibbleRows(a + 6, b + 6), LoadU32(a + 2),
                        LoadU32(b + 2));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
  }
};

struct Q5_1 : Shape<sizeof(BlockQ5_1), 1, 32, false, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return AddFifthBits(TwoNibbleRows(a + 8, b + 8), LoadU32(a + 4),
                        LoadU32(b + 4));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
    _mm512_store_ps(out->offset[0][0], LaneHalves(rows, 2));
  }
};

// Levels less -128, looked up by four bits.
HWY_INLINE __m512i LookUp(const int8_t (&levels)[16], __m512i nibbles) {
  const __m128i table =
      _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels)),
                    _mm_set1_epi8(-128));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), nibbles);
}

struct Iq4Nl : Shape<sizeof(BlockIq4Nl), 1, 7, false, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return LookUp(kIq4Levels, TwoNibbleRows(a + 2, b + 2));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
  }
};

struct Mxfp4 : Shape<sizeof(BlockMxfp4), 1, 7, false, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return LookUp(kFp4TwiceLevels, TwoNibbleRows(a + 1, b + 1));
  }
  // Half of 2^(e - 127), since the levels are doubled.
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    for (size_t r = 0; r < kLaneRows; ++r) {
      out->scale[0][0][r] =
          E8M0ToFloat(static_cast<uint8_t>(*rows.at(r))) * 0.5f;
    }
  }
};

// Nibble s % 2 of 32 bytes at `offset` + 32 (s / 2).
template <size_t kSub>
HWY_INLINE __m512i SubNibbles(const std::byte* a, const std::byte* b,
                              size_t offset) {
  const size_t at = offset + kSub / 2 * 32;
  const __m512i bytes = TwoRows(a + at, b + at);
  return _mm512_and_si512(kSub % 2 == 0 ? bytes : _mm512_srli_epi16(bytes, 4),
                          _mm512_set1_epi8(15));
}

// Eight unsigned bytes as floats.
HWY_INLINE __m256 EightFloats(uint64_t bytes) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(bytes))));
}

// Scales and mins of q4_k and q5_k, which begin alike.
HWY_INLINE void SixBitScales(const RowBlocks& rows, LaneScales* out) {
  alignas(64) float scales[kLaneRows][8];
  alignas(64) float offsets[kLaneRows][8];
  for (size_t r = 0; r < kLaneRows; ++r) {
    const std::byte* block = rows.at(r);
    const uint32_t low = LoadU32(block + 4);
    const uint32_t mid = LoadU32(block + 8);
    const uint32_t high = LoadU32(block + 12);
    // Bytes 0..3 and 4..7 of each are those of the first and last sub-blocks.
    const uint64_t scale =
        (low & 0x3f3f3f3fu) |
        static_cast<uint64_t>((high & 0x0f0f0f0fu) | (low >> 2 & 0x30303030u))
            << 32;
    const uint64_t min =
        (mid & 0x3f3f3f3fu) | static_cast<uint64_t>((high >> 4 & 0x0f0f0f0fu) |
                                                    (mid >> 2 & 0x30303030u))
                                  << 32;
    _mm256_store_ps(scales[r], _mm256_mul_ps(Half(block), EightFloats(scale)));
    const __m256 amount = _mm256_mul_ps(Half(block + 2), EightFloats(min));
    _mm256_store_ps(offsets[r], _mm256_sub_ps(_mm256_setzero_ps(), amount));
  }
  ToLanes(scales, out->scale[0][0], 2 * kLaneRows);
  ToLanes(offsets, out->offset[0][0], 2 * kLaneRows);
}

struct Q4K : Shape<sizeof(BlockQ4K), 8, 32, false, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return SubNibbles<kSub>(a, b, offsetof(BlockQ4K, nibbles));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    SixBitScales(rows, out);
  }
};

struct Q5K : Shape<sizeof(BlockQ5K), 8, 32, false, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    constexpr size_t kHigh = offsetof(BlockQ5K, high_bits);
    const __m512i nibbles = SubNibbles<kSub>(a, b, offsetof(BlockQ5K, nibbles));
    const __mmask64 set =
        _mm512_test_epi8_mask(TwoRows(a + kHigh, b + kHigh),
                              _mm512_set1_epi8(static_cast<char>(1u << kSub)));
    return _mm512_mask_add_epi8(nibbles, set, nibbles, _mm512_set1_epi8(16));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    SixBitScales(rows, out);
  }
};

// Sixteen signed bytes of each row times the half at `scale`, as floats of the
// halves of eight sub-blocks.
HWY_INLINE void HalfScales(const RowBlocks& rows, size_t scale,
                           const int8_t (&factors)[kLaneRows][16],
                           LaneScales* out) {
  alignas(64) float first[kLaneRows][8];
  alignas(64) float second[kLaneRows][8];
  for (size_t r = 0; r < kLaneRows; ++r) {
    const __m512i wide = _mm512_cvtepi8_epi32(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(factors[r])));
    const __m512 product = _mm512_mul_ps(
        _mm512_cvtepi32_ps(wide),
        _mm512_set1_ps(_mm256_cvtss_f32(Half(rows.at(r) + scale))));
    // Even factors are those of first halves.
    const __m512i evens_then_odds =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    const __m512 sorted = _mm512_permutexvar_ps(evens_then_odds, product);
    _mm256_store_ps(first[r], _mm512_castps512_ps256(sorted));
    _mm256_store_ps(second[r], _mm512_extractf32x8_ps(sorted, 1));
  }
  ToLanes(first, out->scale[0][0], 2 * kLaneRows);
  ToLanes(second, out->scale[0][1], 2 * kLaneRows);
}

struct Q6K : Shape<sizeof(BlockQ6K), 8, 5, true, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    constexpr size_t kQuarter = kSub % 4;
    constexpr size_t kLow = 64 * (kSub / 4) + 32 * (kQuarter % 2);
    constexpr size_t kHigh = offsetof(BlockQ6K, high_pairs) + 32 * (kSub / 4);
    const __m512i low = TwoRows(a + kLow, b + kLow);
    const __m512i high = TwoRows(a + kHigh, b + kHigh);
    const __m512i nibbles = _mm512_and_si512(
        kQuarter < 2 ? low : _mm512_srli_epi16(low, 4), _mm512_set1_epi8(15));
    // The pair moved to bits 4 and 5.
    __m512i pairs = high;
    if constexpr (kQuarter == 0) pairs = _mm512_slli_epi16(high, 4);
    if constexpr (kQuarter == 1) pairs = _mm512_slli_epi16(high, 2);
    if constexpr (kQuarter == 3) pairs = _mm512_srli_epi16(high, 2);
    return _mm512_or_si512(nibbles,
                           _mm512_and_si512(pairs, _mm512_set1_epi8(0x30)));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    int8_t factors[kLaneRows][16];
    for (size_t r = 0; r < kLaneRows; ++r) {
      std::memcpy(factors[r], rows.at(r) + offsetof(BlockQ6K, scales), 16);
    }
    HalfScales(rows, offsetof(BlockQ6K, scale), factors, out);
  }
};

// Pair s % 4 of 32 bytes at 32 (s / 4).
template <size_t kSub>
HWY_INLINE __m512i SubPairs(const std::byte* a, const std::byte* b,
                            size_t offset) {
  const size_t at = offset + kSub / 4 * 32;
  return _mm512_and_si512(
      _mm512_srli_epi16(TwoRows(a + at, b + at), kSub % 4 * 2),
      _mm512_set1_epi8(3));
}

struct Q3K : Shape<sizeof(BlockQ3K), 8, 2, true, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    constexpr size_t kHigh = offsetof(BlockQ3K, high_bits);
    const __m512i pairs = SubPairs<kSub>(a, b, offsetof(BlockQ3K, pairs));
    const __mmask64 set =
        _mm512_test_epi8_mask(TwoRows(a + kHigh, b + kHigh),
                              _mm512_set1_epi8(static_cast<char>(1u << kSub)));
    return _mm512_mask_add_epi8(pairs, set, pairs, _mm512_set1_epi8(4));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    int8_t factors[kLaneRows][16];
    for (size_t r = 0; r < kLaneRows; ++r) {
      uint8_t packed[12];
      std::memcpy(packed, rows.at(r) + offsetof(BlockQ3K, scales), 12);
      for (size_t s = 0; s < 16; ++s) {
        factors[r][s] = static_cast<int8_t>(PackedScale3(packed, s));
      }
    }
    HalfScales(rows, offsetof(BlockQ3K, scale), factors, out);
  }
};

struct Q2K : Shape<sizeof(BlockQ2K), 8, 32, true, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return SubPairs<kSub>(a, b, offsetof(BlockQ2K, pairs));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    for (size_t r = 0; r < kLaneRows; ++r) {
      BlockQ2K block;
      std::memcpy(&block, rows.at(r), sizeof(block));
      const float scale = HalfToFloat(block.scale);
      const float min = HalfToFloat(block.min);
      for (size_t s = 0; s < 16; ++s) {
        const int32_t packed = block.scale_and_min[s];
        out->scale[s / 2][s % 2][r] = scale * static_cast<float>(packed & 15);
        out->offset[s / 2][s % 2][r] = -(min * static_cast<float>(packed >> 4));
      }
    }
  }
};

struct Q8K : Shape<sizeof(BlockQ8K), 8, 7, false, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    constexpr size_t kAt = offsetof(BlockQ8K, q) + 32 * kSub;
    return _mm512_xor_si512(TwoRows(a + kAt, b + kAt), _mm512_set1_epi8(-128));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    for (size_t r = 0; r < kLaneRows; ++r) {
      float scale;
      std::memcpy(&scale, rows.at(r), sizeof(scale));
      for (size_t s = 0; s < 8; ++s) out->scale[s][0][r] = scale;
    }
  }
};

struct Iq4Xs : Shape<sizeof(BlockIq4Xs), 8, 7, false, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    constexpr size_t kAt = offsetof(BlockIq4Xs, nibbles) + 16 * kSub;
    return LookUp(kIq4Levels, TwoNibbleRows(a + kAt, b + kAt));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    for (size_t r = 0; r < kLaneRows; ++r) {
      BlockIq4Xs block;
      std::memcpy(&block, rows.at(r), sizeof(block));
      const float scale = HalfToFloat(block.scale);
      for (size_t s = 0; s < 8; ++s) {
        out->scale[s][0][r] =
            scale * static_cast<float>(PackedScaleIq4(block.scale_nibbles,
                                                      block.scale_pairs, s));
      }
    }
  }
};

}  // namespace inference::avx512
