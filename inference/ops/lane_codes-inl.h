// SPDX-License-Identifier: Apache-2.0
// How packed blocks are read a row at a time: for each type the codes of 32
// elements as bytes, and where the scales of a vector of rows are. Compiled per
// CPU target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_INFERENCE_OPS_LANE_CODES_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_INFERENCE_OPS_LANE_CODES_INL_H_
#undef LODESTONE_INFERENCE_OPS_LANE_CODES_INL_H_
#else
#define LODESTONE_INFERENCE_OPS_LANE_CODES_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "inference/ops/lane_rows-inl.h"
#include "inference/ops/lane_scales-inl.h"
#include "inference/quant/block_types.h"

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

// 16 bytes for both halves of 32 elements.
HWY_INLINE Bytes32 Load16Twice(const std::byte* p) {
  Bytes32 out;
  const auto* const bytes = reinterpret_cast<const uint8_t*>(p);
  for (size_t i = 0; i < kRowParts; ++i) out.v[i] = hn::LoadDup128(LB(), bytes);
  return out;
}

template <class F>
HWY_INLINE Bytes32 Each(const Bytes32& a, const F& f) {
  Bytes32 out;
  for (size_t i = 0; i < kRowParts; ++i) out.v[i] = f(a.v[i]);
  return out;
}
template <class F>
HWY_INLINE Bytes32 Each(const Bytes32& a, const Bytes32& b, const F& f) {
  Bytes32 out;
  for (size_t i = 0; i < kRowParts; ++i) out.v[i] = f(a.v[i], b.v[i]);
  return out;
}

HWY_INLINE VLB AndByte(VLB v, uint8_t mask) {
  return hn::And(v, hn::Set(LB(), mask));
}
// Bits that come from the neighbour are to be masked away.
template <int kBits>
HWY_INLINE VLB ShiftBytesRight(VLB v) {
  return hn::BitCast(LB(), hn::ShiftRight<kBits>(hn::BitCast(LU(), v)));
}
template <int kBits>
HWY_INLINE VLB ShiftBytesLeft(VLB v) {
  return hn::BitCast(LB(), hn::ShiftLeft<kBits>(hn::BitCast(LU(), v)));
}

// Nibbles of 16 bytes: byte j has element j below, j + 16 above.
HWY_INLINE Bytes32 SmallNibbles(const std::byte* p) {
  Bytes32 both = Load16Twice(p);
  if constexpr (kRowParts == 1) {
#if HWY_TARGET == HWY_AVX2
    both.v[0] = VLB{_mm256_srlv_epi32(
        both.v[0].raw, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4))};
#endif
  } else {
    both.v[kRowParts - 1] = ShiftBytesRight<4>(both.v[kRowParts - 1]);
  }
  return Each(both, [](VLB v) { return AndByte(v, 15); });
}

HWY_INLINE Bytes32 OrBytes(const Bytes32& a, const Bytes32& b) {
  return Each(a, b, [](VLB x, VLB y) { return hn::Or(x, y); });
}

// `value` where `bit` of a byte is set, else zero.
HWY_INLINE VLB WhereSet(VLB v, VLB bit, uint8_t value) {
  return hn::IfThenElseZero(hn::Eq(hn::And(v, bit), bit), hn::Set(LB(), value));
}

// `value` where bit j % 8 is set in the byte that element j takes of `bytes`.
HWY_INLINE VLB WhereBitOf(VLB bytes, VLB byte_of, uint8_t value) {
  const auto bit = hn::BitCast(LB(), hn::Set(LQ(), 0x8040201008040201u));
  return WhereSet(hn::TableLookupBytes(bytes, byte_of), bit, value);
}

// `value` where bit j of the word at `p` is set, for element j; else zero.
HWY_INLINE Bytes32 WordBits(const std::byte* p, uint8_t value) {
  uint32_t word;
  std::memcpy(&word, p, sizeof(word));
  const LB d;
  const auto all = hn::BitCast(d, hn::Set(LU(), word));
  alignas(32) static constexpr uint8_t kByteOf[32] = {
      0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
      2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3};
  const Bytes32 byte_of = Load32(reinterpret_cast<const std::byte*>(kByteOf));
  return Each(byte_of, [&](VLB at) { return WhereBitOf(all, at, value); });
}

// Levels looked up by four bits.
HWY_INLINE Bytes32 LookUp(const int8_t (&levels)[16], const Bytes32& nibbles) {
  const auto table =
      hn::LoadDup128(LB(), reinterpret_cast<const uint8_t*>(levels));
  return Each(nibbles, [&](VLB v) { return hn::TableLookupBytes(table, v); });
}

// Codes of two blocks (or sub-blocks) of a row that follow each other: the
// first halves of both and the second halves. Of use where a vector has 32
// bytes.
struct TwoBlocks {
  VLB first;
  VLB second;
};

// 16 bytes at `p` and as many kDistance behind, side by side.
template <size_t kDistance>
HWY_INLINE VLB TwoAt(const std::byte* p) {
#if HWY_TARGET == HWY_AVX2
  // Of 32 bytes half is wanted: taking them in is cheaper than to insert 16.
  static_assert(kDistance >= 16);
  const auto first = hn::ZeroExtendVector(LB(), LoadBytes(hn::Half<LB>(), p));
  return VLB{_mm256_blend_epi32(first.raw,
                                LoadBytes(LB(), p + kDistance - 16).raw, 0xf0)};
#else
  return LoadBytes(LB(), p);
#endif
}

template <size_t kBlockBytes>
HWY_INLINE TwoBlocks TwoSmallNibbles(const std::byte* p) {
  const VLB bytes = TwoAt<kBlockBytes>(p);
  return {AndByte(bytes, 15), AndByte(ShiftBytesRight<4>(bytes), 15)};
}

HWY_INLINE TwoBlocks LookUp(const int8_t (&levels)[16], const TwoBlocks& two) {
  const auto table =
      hn::LoadDup128(LB(), reinterpret_cast<const uint8_t*>(levels));
  return {hn::TableLookupBytes(table, two.first),
          hn::TableLookupBytes(table, two.second)};
}

// What a type tells:
//   kBlockBytes, kSubBlocks  of 32 elements in a block
//   kLargest  no code is larger; 0 where codes are signed bytes
//   kZero     the code of zero is 2^kZero; 32 where it is 0
//   kHalves   scales are those of 16 elements
//   kOffsets  there are offsets
//   Codes<s>  those of sub-block s of a row
//   Two<s>    if there: those of sub-blocks s and s + 1 at once, s even; of two
//             blocks of a row where a block has one
//   Scales    of all sub-blocks of the rows: [sub][0] where there are no halves
//
// Tile is what the products of several tokens have to know, which is the same
// for several types.
template <int kLargestCode, int kZeroShift, bool kHalf, bool kOffset>
struct LaneTraits {
  static constexpr int kLargest = kLargestCode;
  static constexpr int kZero = kZeroShift;
  static constexpr bool kHalves = kHalf;
  static constexpr bool kOffsets = kOffset;
};
template <size_t kBytes, size_t kSubs, int kLargest, int kZero, bool kHalves,
          bool kOffsets>
struct LaneShape : LaneTraits<kLargest, kZero, kHalves, kOffsets> {
  using Tile = LaneTraits<kLargest, kZero, kHalves, kOffsets>;
  static constexpr size_t kBlockBytes = kBytes;
  static constexpr size_t kSubBlocks = kSubs;
};

// Small blocks that begin with their scale, or with scale and offset.
template <size_t kBytes, int kLargest, int kZero>
struct LaneScaled : LaneShape<kBytes, 1, kLargest, kZero, false, false> {
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    StoreLanes(LaneHalves(rows, 0), out->scale[0][0]);
  }
};
template <size_t kBytes, int kLargest>
struct LaneScaledAndMoved : LaneShape<kBytes, 1, kLargest, 32, false, true> {
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    StoreLanes(LaneHalves(rows, 0), out->scale[0][0]);
    StoreLanes(LaneHalves(rows, 2), out->offset[0][0]);
  }
};

template <class Type>
concept HasTwo = requires(const std::byte* block) {
  Type::template Two<0>(block);
};

struct LaneQ8_0 : LaneScaled<sizeof(BlockQ8_0), 0, 32> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return Load32(block + 2);
  }
};

struct LaneQ4_0 : LaneScaled<sizeof(BlockQ4_0), 15, 3> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return SmallNibbles(block + 2);
  }
  template <size_t kSub>
  static HWY_INLINE TwoBlocks Two(const std::byte* block) {
    return TwoSmallNibbles<kBlockBytes>(block + 2);
  }
};

struct LaneQ4_1 : LaneScaledAndMoved<sizeof(BlockQ4_1), 15> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return SmallNibbles(block + 4);
  }
  template <size_t kSub>
  static HWY_INLINE TwoBlocks Two(const std::byte* block) {
    return TwoSmallNibbles<kBlockBytes>(block + 4);
  }
};

// A fifth bit on top of four.
HWY_INLINE Bytes32 FiveBits(const std::byte* nibbles, const std::byte* bits) {
  return OrBytes(SmallNibbles(nibbles), WordBits(bits, 16));
}

template <size_t kBlockBytes>
HWY_INLINE TwoBlocks TwoFiveBits(const std::byte* nibbles,
                                 const std::byte* bits) {
  const LB d;
  const auto word = [&](const std::byte* p) {
    uint32_t bits32;
    std::memcpy(&bits32, p, sizeof(bits32));
    return bits32;
  };
  VLB words = hn::BitCast(d, hn::Set(LU(), word(bits)));
  if constexpr (kRowParts == 1) {
    const hn::Half<LU> half;
    words = hn::BitCast(
        d, hn::Combine(LU(), hn::Set(half, word(bits + kBlockBytes)),
                       hn::Set(half, word(bits))));
  }
  // Bytes 0 and 1 of a word eight times each; then bytes 2 and 3.
  alignas(16) static constexpr uint8_t kByteOf[16] = {0, 0, 0, 0, 0, 0, 0, 0,
                                                      1, 1, 1, 1, 1, 1, 1, 1};
  const auto byte_of = hn::LoadDup128(d, kByteOf);
  const TwoBlocks low = TwoSmallNibbles<kBlockBytes>(nibbles);
  const VLB next = hn::Add(byte_of, hn::Set(d, uint8_t{2}));
  return {hn::Or(low.first, WhereBitOf(words, byte_of, 16)),
          hn::Or(low.second, WhereBitOf(words, next, 16))};
}

struct LaneQ5_0 : LaneScaled<sizeof(BlockQ5_0), 31, 4> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return FiveBits(block + 6, block + 2);
  }
  template <size_t kSub>
  static HWY_INLINE TwoBlocks Two(const std::byte* block) {
    return TwoFiveBits<kBlockBytes>(block + 6, block + 2);
  }
};

struct LaneQ5_1 : LaneScaledAndMoved<sizeof(BlockQ5_1), 31> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return FiveBits(block + 8, block + 4);
  }
  template <size_t kSub>
  static HWY_INLINE TwoBlocks Two(const std::byte* block) {
    return TwoFiveBits<kBlockBytes>(block + 8, block + 4);
  }
};

struct LaneIq4Nl : LaneScaled<sizeof(BlockIq4Nl), 0, 32> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return LookUp(kIq4Levels, SmallNibbles(block + 2));
  }
  template <size_t kSub>
  static HWY_INLINE TwoBlocks Two(const std::byte* block) {
    return LookUp(kIq4Levels, TwoSmallNibbles<kBlockBytes>(block + 2));
  }
};

// Levels plus 16: small and not negative, so that products of several elements
// fit 16 bits.
struct LaneMxfp4 : LaneShape<sizeof(BlockMxfp4), 1, 31, 4, false, false> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return Each(LookUp(kFp4TwiceLevels, SmallNibbles(block + 1)),
                [](VLB v) { return hn::Add(v, hn::Set(LB(), uint8_t{16})); });
  }
  template <size_t kSub>
  static HWY_INLINE TwoBlocks Two(const std::byte* block) {
    const VLB zero = hn::Set(LB(), uint8_t{16});
    const TwoBlocks levels =
        LookUp(kFp4TwiceLevels, TwoSmallNibbles<kBlockBytes>(block + 1));
    return {hn::Add(levels.first, zero), hn::Add(levels.second, zero)};
  }
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    StoreLanes(HalfPowers(LaneByteWords(rows, 0)), out->scale[0][0]);
  }
};

// Nibble s % 2 of 32 bytes at `p` + 32 (s / 2).
template <size_t kSub>
HWY_INLINE Bytes32 SubNibbles(const std::byte* p) {
  return Each(Load32(p + kSub / 2 * 32), [](VLB v) {
    return AndByte(kSub % 2 == 0 ? v : ShiftBytesRight<4>(v), 15);
  });
}

// Sub-blocks s and s + 1, which are the lower and the upper nibbles of the same
// bytes.
template <size_t kSub>
HWY_INLINE TwoBlocks TwoSubNibbles(const std::byte* p) {
  const std::byte* const bytes = p + kSub / 2 * 32;
  return {SmallNibbles(bytes).v[0], SmallNibbles(bytes + 16).v[0]};
}

// `value` where bit kSub of a byte is set.
template <size_t kSub>
HWY_INLINE Bytes32 SubBits(const std::byte* p, uint8_t value) {
  const VLB bit = hn::Set(LB(), static_cast<uint8_t>(1u << kSub));
  return Each(Load32(p), [&](VLB v) { return WhereSet(v, bit, value); });
}

// `value` where bit kSub (first half of a vector) or kSub + 1 of a byte is set.
template <size_t kSub>
HWY_INLINE TwoBlocks TwoSubBits(const std::byte* p, uint8_t value) {
  const hn::Half<LB> half;
  const auto bit = [&](size_t sub) {
    return hn::Set(half, static_cast<uint8_t>(1u << sub));
  };
  const VLB bits = hn::Combine(LB(), bit(kSub + 1), bit(kSub));
  return {WhereSet(Load16Twice(p).v[0], bits, value),
          WhereSet(Load16Twice(p + 16).v[0], bits, value)};
}

struct LaneQ4K : LaneShape<sizeof(BlockQ4K), 8, 15, 32, false, true> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return SubNibbles<kSub>(block + offsetof(BlockQ4K, nibbles));
  }
  template <size_t kSub>
  static HWY_INLINE TwoBlocks Two(const std::byte* block) {
    return TwoSubNibbles<kSub>(block + offsetof(BlockQ4K, nibbles));
  }
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    SixBitScales(rows, out);
  }
};

struct LaneQ5K : LaneShape<sizeof(BlockQ5K), 8, 31, 32, false, true> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return OrBytes(SubNibbles<kSub>(block + offsetof(BlockQ5K, nibbles)),
                   SubBits<kSub>(block + offsetof(BlockQ5K, high_bits), 16));
  }
  template <size_t kSub>
  static HWY_INLINE TwoBlocks Two(const std::byte* block) {
    const auto low = TwoSubNibbles<kSub>(block + offsetof(BlockQ5K, nibbles));
    const auto high =
        TwoSubBits<kSub>(block + offsetof(BlockQ5K, high_bits), 16);
    return {hn::Or(low.first, high.first), hn::Or(low.second, high.second)};
  }
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    SixBitScales(rows, out);
  }
};

struct LaneQ6K : LaneShape<sizeof(BlockQ6K), 8, 63, 5, true, false> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    constexpr size_t kQuarter = kSub % 4;
    constexpr size_t kLow = 64 * (kSub / 4) + 32 * (kQuarter % 2);
    constexpr size_t kHigh = offsetof(BlockQ6K, high_pairs) + 32 * (kSub / 4);
    return Each(Load32(block + kLow), Load32(block + kHigh),
                [](VLB low, VLB high) {
                  // The pair moved to bits 4 and 5.
                  if constexpr (kQuarter == 0) high = ShiftBytesLeft<4>(high);
                  if constexpr (kQuarter == 1) high = ShiftBytesLeft<2>(high);
                  if constexpr (kQuarter == 3) high = ShiftBytesRight<2>(high);
                  if constexpr (kQuarter >= 2) low = ShiftBytesRight<4>(low);
                  return hn::Or(AndByte(low, 15), AndByte(high, 0x30));
                });
  }
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    HalfScales(LaneWords(rows, offsetof(BlockQ6K, scales)),
               LaneHalves(rows, offsetof(BlockQ6K, scale)), out);
  }
};

// Pair s % 4 of 32 bytes at `p` + 32 (s / 4).
template <size_t kSub>
HWY_INLINE Bytes32 SubPairs(const std::byte* p) {
  return Each(Load32(p + kSub / 4 * 32), [](VLB v) {
    return AndByte(ShiftBytesRight<static_cast<int>(kSub % 4 * 2)>(v), 3);
  });
}

struct LaneQ3K : LaneShape<sizeof(BlockQ3K), 8, 7, 2, true, false> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return OrBytes(SubPairs<kSub>(block + offsetof(BlockQ3K, pairs)),
                   SubBits<kSub>(block + offsetof(BlockQ3K, high_bits), 4));
  }
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    HalfScales(SixBitSignedScales(rows, offsetof(BlockQ3K, scales)),
               LaneHalves(rows, offsetof(BlockQ3K, scale)), out);
  }
};

struct LaneQ2K : LaneShape<sizeof(BlockQ2K), 8, 3, 32, true, true> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return SubPairs<kSub>(block + offsetof(BlockQ2K, pairs));
  }
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    FourBitScales(LaneWords(rows, offsetof(BlockQ2K, scale_and_min)),
                  LaneHalves(rows, offsetof(BlockQ2K, scale)),
                  LaneHalves(rows, offsetof(BlockQ2K, min)), out);
  }
};

struct LaneQ8K : LaneShape<sizeof(BlockQ8K), 8, 0, 32, false, false> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    return Load32(block + offsetof(BlockQ8K, q) + 32 * kSub);
  }
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    const VLF scale = hn::BitCast(LF(), LaneWords(rows, 0).v[0]);
    for (size_t s = 0; s < 8; ++s) StoreLanes(scale, out->scale[s][0]);
  }
};

struct LaneIq4Xs : LaneShape<sizeof(BlockIq4Xs), 8, 0, 32, false, false> {
  template <size_t kSub>
  static HWY_INLINE Bytes32 Codes(const std::byte* block) {
    constexpr size_t kAt = offsetof(BlockIq4Xs, nibbles) + 16 * kSub;
    return LookUp(kIq4Levels, SmallNibbles(block + kAt));
  }
  template <size_t kSub>
  static HWY_INLINE TwoBlocks Two(const std::byte* block) {
    constexpr size_t kAt = offsetof(BlockIq4Xs, nibbles) + 16 * kSub;
    return LookUp(kIq4Levels, TwoSmallNibbles<16>(block + kAt));
  }
  static HWY_INLINE void Scales(const LaneBlocks& rows, LaneScales* out) {
    // A half, then pairs of upper bits, then nibbles.
    const FourWords words = LaneWords(rows, 0);
    const LU d;
    const VLF scale = LowHalves(words.v[0]);
    VLU high = hn::ShiftRight<16>(words.v[0]);
    VLU low = words.v[1];
    for (size_t s = 0; s < 8; ++s) {
      const auto six = hn::Or(hn::And(low, hn::Set(d, 15u)),
                              hn::ShiftLeft<4>(hn::And(high, hn::Set(d, 3u))));
      const auto value = hn::Sub(hn::BitCast(LI(), six), hn::Set(LI(), 32));
      StoreLanes(hn::Mul(scale, hn::ConvertTo(LF(), value)), out->scale[s][0]);
      low = hn::ShiftRight<4>(low);
      high = hn::ShiftRight<2>(high);
    }
  }
};

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace inference
HWY_AFTER_NAMESPACE();

#endif  // LODESTONE_INFERENCE_OPS_LANE_CODES_INL_H_
