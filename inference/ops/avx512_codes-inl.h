// SPDX-License-Identifier: Apache-2.0
// How the AVX-512 products read packed blocks: for each type the codes of 32
// elements of two rows as unsigned bytes, and where the scales of 16 rows are.
// Included by packed_avx512.cc alone, between its attributes.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/base.h"
#include "inference/ops/avx512_scales-inl.h"
#include "inference/quant/block_types.h"

namespace inference::avx512 {

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

// Codes of four blocks of one row that follow each other: all first halves,
// all second halves.
struct FourBlocks {
  __m512i first;
  __m512i second;
};

// 16 bytes each at four places that are `stride` apart, side by side.
HWY_INLINE __m512i FourAt(const std::byte* p, size_t stride) {
  __m512i v = _mm512_castsi128_si512(Load16(p));
  v = _mm512_mask_broadcast_i64x2(v, 0x0c, Load16(p + stride));
  v = _mm512_mask_broadcast_i64x2(v, 0x30, Load16(p + 2 * stride));
  return _mm512_mask_broadcast_i64x2(v, 0xc0, Load16(p + 3 * stride));
}

HWY_INLINE FourBlocks FourNibbleBlocks(const std::byte* p, size_t stride) {
  const __m512i low = _mm512_set1_epi8(15);
  const __m512i bytes = FourAt(p, stride);
  return {_mm512_and_si512(bytes, low),
          _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low)};
}

HWY_INLINE uint32_t LoadU32(const std::byte* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

// What a type tells:
//   kBlockBytes, kSubBlocks  of 32 elements in a block
//   kZero     the code of zero is 2^kZero; 32 where it is 0
//   kHalves   scales are those of 16 elements
//   kOffsets  there are offsets
//   kSplit    the order of Codes: first halves of both rows, then second
//             halves; else one row, then the other
//   Codes<s>  those of sub-block s of two rows
//   Quad      if there: codes of four blocks of a row at once
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

// Small blocks of 32 nibbles, which have their 16 bytes at kAt. Type::Levels
// makes codes of nibbles.
template <class Type, size_t kBytes, size_t kAt, int kZeroShift, bool kOffset>
struct NibbleShape : Shape<kBytes, 1, kZeroShift, false, kOffset, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return Type::Levels(TwoNibbleRows(a + kAt, b + kAt));
  }
  static HWY_INLINE FourBlocks Quad(const std::byte* row) {
    const FourBlocks nibbles = FourNibbleBlocks(row + kAt, kBytes);
    return {Type::Levels(nibbles.first), Type::Levels(nibbles.second)};
  }
  static HWY_INLINE __m512i Levels(__m512i nibbles) { return nibbles; }
};

struct Q4_0 : NibbleShape<Q4_0, sizeof(BlockQ4_0), 2, 3, false> {
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
  }
};

struct Q4_1 : NibbleShape<Q4_1, sizeof(BlockQ4_1), 4, 32, true> {
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

// The fifth bits of four blocks of a row, which stand kAt bytes into each.
template <size_t kBytes, size_t kAt>
HWY_INLINE FourBlocks AddFifthBits(const FourBlocks& nibbles,
                                   const std::byte* row) {
  uint64_t first = 0;
  uint64_t second = 0;
  HWY_UNROLL(4)
  for (size_t b = 0; b < 4; ++b) {
    const uint64_t bits = LoadU32(row + b * kBytes + kAt);
    first |= (bits & 0xffff) << (16 * b);
    second |= bits >> 16 << (16 * b);
  }
  const __m512i sixteen = _mm512_set1_epi8(16);
  return {
      _mm512_mask_add_epi8(nibbles.first, first, nibbles.first, sixteen),
      _mm512_mask_add_epi8(nibbles.second, second, nibbles.second, sixteen)};
}

struct Q5_0 : Shape<sizeof(BlockQ5_0), 1, 4, false, false, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return AddFifthBits(TwoNibbleRows(a + 6, b + 6), LoadU32(a + 2),
                        LoadU32(b + 2));
  }
  static HWY_INLINE FourBlocks Quad(const std::byte* row) {
    return AddFifthBits<kBlockBytes, 2>(FourNibbleBlocks(row + 6, kBlockBytes),
                                        row);
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
  static HWY_INLINE FourBlocks Quad(const std::byte* row) {
    return AddFifthBits<kBlockBytes, 4>(FourNibbleBlocks(row + 8, kBlockBytes),
                                        row);
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

struct Iq4Nl : NibbleShape<Iq4Nl, sizeof(BlockIq4Nl), 2, 7, false> {
  static HWY_INLINE __m512i Levels(__m512i nibbles) {
    return LookUp(kIq4Levels, nibbles);
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], LaneHalves(rows, 0));
  }
};

struct Mxfp4 : NibbleShape<Mxfp4, sizeof(BlockMxfp4), 1, 7, false> {
  static HWY_INLINE __m512i Levels(__m512i nibbles) {
    return LookUp(kFp4TwiceLevels, nibbles);
  }
  // Half of 2^(e - 127), since the levels are doubled.
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    _mm512_store_ps(out->scale[0][0], HalfPowers(LaneBytes(rows, 0)));
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
    HalfScales(SixBitSignedScales(rows, offsetof(BlockQ3K, scales)),
               LaneHalves(rows, offsetof(BlockQ3K, scale)), out);
  }
};

struct Q2K : Shape<sizeof(BlockQ2K), 8, 32, true, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    return SubPairs<kSub>(a, b, offsetof(BlockQ2K, pairs));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    constexpr size_t kPacked = offsetof(BlockQ2K, scale_and_min);
    FourBitScales(LoadLaneWords(rows, kPacked),
                  LaneHalves(rows, offsetof(BlockQ2K, scale)),
                  LaneHalves(rows, offsetof(BlockQ2K, min)), out);
  }
};

struct Q8K : Shape<sizeof(BlockQ8K), 8, 7, false, false> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    constexpr size_t kAt = offsetof(BlockQ8K, q) + 32 * kSub;
    return _mm512_xor_si512(TwoRows(a + kAt, b + kAt), _mm512_set1_epi8(-128));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    const __m512 scale = _mm512_castsi512_ps(LoadLaneWords(rows, 0).v[0]);
    for (size_t s = 0; s < 8; ++s) _mm512_store_ps(out->scale[s][0], scale);
  }
};

struct Iq4Xs : Shape<sizeof(BlockIq4Xs), 8, 7, false, false, true> {
  template <size_t kSub>
  static HWY_INLINE __m512i Codes(const std::byte* a, const std::byte* b) {
    constexpr size_t kAt = offsetof(BlockIq4Xs, nibbles) + 16 * kSub;
    return LookUp(kIq4Levels, TwoNibbleRows(a + kAt, b + kAt));
  }
  static HWY_INLINE void Scales(const RowBlocks& rows, LaneScales* out) {
    // A half, then pairs of upper bits, then nibbles.
    const LaneWords words = LoadLaneWords(rows, 0);
    const __m512 scale = LowHalves(words.v[0]);
    __m512i high = _mm512_srli_epi32(words.v[0], 16);
    __m512i low = words.v[1];
    for (size_t s = 0; s < 8; ++s) {
      const __m512i six = _mm512_or_si512(
          _mm512_and_si512(low, _mm512_set1_epi32(15)),
          _mm512_slli_epi32(_mm512_and_si512(high, _mm512_set1_epi32(3)), 4));
      const __m512i value = _mm512_sub_epi32(six, _mm512_set1_epi32(32));
      _mm512_store_ps(out->scale[s][0],
                      _mm512_mul_ps(scale, _mm512_cvtepi32_ps(value)));
      low = _mm512_srli_epi32(low, 4);
      high = _mm512_srli_epi32(high, 2);
    }
  }
};

}  // namespace inference::avx512
