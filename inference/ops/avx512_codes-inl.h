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

HWY_INLINE __m128i Load16(const std::byte* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

// 32 bytes of each of two rows.
HWY_INLINE __m512i TwoRows(const std::byte* a, const std::byte* b) {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// 32 codes of four bits of two rows, where byte j has element j below, j + 16
// above: first halves of both, then second halves (kSplit).
HWY_INLINE __m512i TwoNibbleRows(const std::byte* a, const std::byte* b) {
  const __m256i both =
      _mm256_inserti128_si256(_mm256_castsi128_si256(Load16(a)), Load16(b), 1);
  return _mm512_and_si512(_mm512_inserti64x4(_mm512_castsi256_si512(both),
                                             _mm256_srli_epi16(both, 4), 1),
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

// Eight halves, one of each row from `first` on.
HWY_INLINE __m128i EightHalves(const RowBlocks& rows, size_t first,
                               size_t offset) {
  __m128i v = _mm_cvtsi32_si128(LoadU16(rows.at(first) + offset));
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 1) + offset), 1);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 2) + offset), 2);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 3) + offset), 3);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 4) + offset), 4);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 5) + offset), 5);
  v = _mm_insert_epi16(v, LoadU16(rows.at(first + 6) + offset), 6);
  return _mm_insert_epi16(v, LoadU16(rows.at(first + 7) + offset), 7);
}

// The halves that 16 rows have at `offset` of their blocks, as floats.
HWY_INLINE __m512 LaneHalves(const RowBlocks& rows, size_t offset) {
  return _mm512_cvtph_ps(_mm256_inserti128_si256(
      _mm256_castsi128_si256(EightHalves(rows, 0, offset)),
      EightHalves(rows, 8, offset), 1));
}

// 16 bytes at one place of four rows that are four apart.
HWY_INLINE __m512i FourRows(const RowBlocks& rows, size_t first,
                            size_t offset) {
  __m512i v = _mm512_castsi128_si512(Load16(rows.at(first) + offset));
  v = _mm512_inserti32x4(v, Load16(rows.at(first + 4) + offset), 1);
  v = _mm512_inserti32x4(v, Load16(rows.at(first + 8) + offset), 2);
  return _mm512_inserti32x4(v, Load16(rows.at(first + 12) + offset), 3);
}

// The 16 bytes that 16 rows have at `offset`, as vectors of one word a row.
struct LaneWords {
  __m512i v[4];
};
HWY_INLINE LaneWords LoadLaneWords(const RowBlocks& rows, size_t offset) {
  const __m512i r0 = FourRows(rows, 0, offset);
  const __m512i r1 = FourRows(rows, 1, offset);
  const __m512i r2 = FourRows(rows, 2, offset);
  const __m512i r3 = FourRows(rows, 3, offset);
  const __m512i low01 = _mm512_unpacklo_epi32(r0, r1);
  const __m512i high01 = _mm512_unpackhi_epi32(r0, r1);
  const __m512i low23 = _mm512_unpacklo_epi32(r2, r3);
  const __m512i high23 = _mm512_unpackhi_epi32(r2, r3);
  return {{_mm512_unpacklo_epi64(low01, low23),
           _mm512_unpackhi_epi64(low01, low23),
           _mm512_unpacklo_epi64(high01, high23),
           _mm512_unpackhi_epi64(high01, high23)}};
}

// The lower half of each word as a float.
HWY_INLINE __m512 LowHalves(__m512i words) {
  return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words));
}

// What a type tells:
//   kBlockBytes, kSubBlocks  of 32 elements in a block
//   kZero     the code of zero is 2^kZero; 32 where it is 0
//   kHalves   scales are those of 16 elements
//   kOffsets  there are offsets
//   kSplit    the order of Codes: first halves of both rows, then second
//             halves; else one row, then the other
//   Codes<s>  those of sub-block s of two rows
//   Scales    of all sub-blocks of 16 rows: [sub][0] where there are no halves
template <size_t kBytes, size_t kSubs, int kZeroShift, bool kHalf, bool kOffset,
          bool kSplitRows = false>
struct Shape {
  static constexpr size_t kBlockBytes = kBytes;
  static constexpr size_t kSubBlocks = kSubs;
  static constexpr int kZero = kZeroShift;
  static constexpr bool kHalves = kHalf;
  static constexpr bool kOffsets = kOffset;
  static constexpr bool kSplit = kSplitRows;
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

struct Q4_0 : Shape<sizeof(BlockQ4_0), 1, 3, false, false, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return TwoNibbleRows(a + 2, b + 2);
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
  }
};

struct Q4_1 : Shape<sizeof(BlockQ4_1), 1, 32, false, true, true> {
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
  const uint64_t first = (a & 0xffffu) | b << 16;
  const uint64_t second = a >> 16 | (b & 0xffff0000u);
  const __mmask64 bits = first | second << 32;
  return _mm512_mask_add_epi8(nibbles, bits, nibbles, _mm512_set1_epi8(16));
}

struct Q5_0 : Shape<sizeof(BlockQ5_0), 1, 4, false, false, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return AddFifthBits(TwoNibbleRows(a + 6, b + 6), LoadU32(a + 2),
                        LoadU32(b + 2));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
  }
};

struct Q5_1 : Shape<sizeof(BlockQ5_1), 1, 32, false, true, true> {
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

struct Iq4Nl : Shape<sizeof(BlockIq4Nl), 1, 7, false, false, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return LookUp(kIq4Levels, TwoNibbleRows(a + 2, b + 2));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
  }
};

struct Mxfp4 : Shape<sizeof(BlockMxfp4), 1, 7, false, false, true> {
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

// The bits of each word from kShift on that `mask` names, as a float.
template <int kShift>
HWY_INLINE __m512 Field(__m512i words, int mask) {
  return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(words, kShift),
                                             _mm512_set1_epi32(mask)));
}

// Scales of sub-blocks kSub and kSub + 4 of q4_k and q5_k.
template <size_t kSub>
HWY_INLINE void SixBitScalesAt(const LaneWords& words, __m512 scale,
                               __m512 minus_min, LaneScales* out) {
  constexpr int kByte = 8 * static_cast<int>(kSub);
  const __m512i six = _mm512_set1_epi32(0x30);
  const __m512i high = _mm512_srli_epi32(words.v[3], kByte);
  // The upper two bits of the last four lie above the first four.
  const __m512i last_scale = _mm512_or_si512(
      _mm512_and_si512(high, _mm512_set1_epi32(15)),
      _mm512_and_si512(_mm512_srli_epi32(words.v[1], kByte + 2), six));
  const __m512i last_min = _mm512_or_si512(
      _mm512_and_si512(_mm512_srli_epi32(high, 4), _mm512_set1_epi32(15)),
      _mm512_and_si512(_mm512_srli_epi32(words.v[2], kByte + 2), six));
  _mm512_store_ps(out->scale[kSub][0],
                  _mm512_mul_ps(scale, Field<kByte>(words.v[1], 63)));
  _mm512_store_ps(out->offset[kSub][0],
                  _mm512_mul_ps(minus_min, Field<kByte>(words.v[2], 63)));
  _mm512_store_ps(out->scale[kSub + 4][0],
                  _mm512_mul_ps(scale, _mm512_cvtepi32_ps(last_scale)));
  _mm512_store_ps(out->offset[kSub + 4][0],
                  _mm512_mul_ps(minus_min, _mm512_cvtepi32_ps(last_min)));
}

// Scales and mins of q4_k and q5_k, which begin alike: two halves, then twelve
// bytes.
HWY_INLINE void SixBitScales(const RowBlocks& rows, LaneScales* out) {
  const LaneWords words = LoadLaneWords(rows, 0);
  const __m512 scale = LowHalves(words.v[0]);
  const __m512 minus_min = _mm512_sub_ps(
      _mm512_setzero_ps(), LowHalves(_mm512_srli_epi32(words.v[0], 16)));
  SixBitScalesAt<0>(words, scale, minus_min, out);
  SixBitScalesAt<1>(words, scale, minus_min, out);
  SixBitScalesAt<2>(words, scale, minus_min, out);
  SixBitScalesAt<3>(words, scale, minus_min, out);
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

// Signed byte kByte of each word times `scale`.
template <int kByte>
HWY_INLINE void StoreSignedScale(__m512i words, __m512 scale, float* out) {
  const __m512i value =
      _mm512_srai_epi32(_mm512_slli_epi32(words, 24 - 8 * kByte), 24);
  _mm512_store_ps(out, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(value)));
}

// Sixteen signed bytes of each row times `scale`, those of the halves of eight
// sub-blocks.
HWY_INLINE void HalfScales(const LaneWords& words, __m512 scale,
                           LaneScales* out) {
  HWY_UNROLL(4)
  for (size_t w = 0; w < 4; ++w) {
    StoreSignedScale<0>(words.v[w], scale, out->scale[2 * w][0]);
    StoreSignedScale<1>(words.v[w], scale, out->scale[2 * w][1]);
    StoreSignedScale<2>(words.v[w], scale, out->scale[2 * w + 1][0]);
    StoreSignedScale<3>(words.v[w], scale, out->scale[2 * w + 1][1]);
  }
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
    HalfScales(LoadLaneWords(rows, offsetof(BlockQ6K, scales)),
               LaneHalves(rows, offsetof(BlockQ6K, scale)), out);
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
    alignas(64) int8_t factors[kLaneRows][16];
    for (size_t r = 0; r < kLaneRows; ++r) {
      uint8_t packed[12];
      std::memcpy(packed, rows.at(r) + offsetof(BlockQ3K, scales), 12);
      for (size_t s = 0; s < 16; ++s) {
        factors[r][s] = static_cast<int8_t>(PackedScale3(packed, s));
      }
    }
    const RowBlocks unpacked = {reinterpret_cast<const std::byte*>(factors),
                                sizeof(factors[0])};
    HalfScales(LoadLaneWords(unpacked, 0),
               LaneHalves(rows, offsetof(BlockQ3K, scale)), out);
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

struct Iq4Xs : Shape<sizeof(BlockIq4Xs), 8, 7, false, false, true> {
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
