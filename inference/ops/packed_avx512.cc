// SPDX-License-Identifier: Apache-2.0
// Weights are rows, and the sums of 16 rows the lanes of a vector: one scale
// product for 16 rows and 32 elements, and no sum across lanes. Codes are
// stored unsigned, as vpdpbusd wants one factor; what they are too large by
// comes off with the sum of the activations, where the sums begin.
//
// One token (DirectSixteen): rows are read as they lie, each row's eight
// partial sums are folded to a lane. Several (SlabTile): 32 rows are turned
// once into a slab where four elements of 16 rows are a vector, and each token
// broadcasts four of its bytes. Both add the same integers and then the same
// floats in the same order, so they give the same bits.
#include "inference/ops/packed_avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "hwy/base.h"
#include "inference/quant/block_types.h"
#include "inference/quant/float_formats.h"
#include "inference/quant/packed_scales.h"
#include "verify/base/check.h"

// All other headers come before: their inline functions must not be compiled
// for this CPU, since the linker keeps one copy for all.
HWY_PUSH_ATTRIBUTES(
    "sse2,sse3,ssse3,sse4.1,sse4.2,avx,avx2,fma,f16c,bmi,bmi2,avx512f,"
    "avx512cd,avx512bw,avx512dq,avx512vl,avx512vnni")

#include "inference/ops/avx512_codes-inl.h"

namespace inference {
namespace avx512 {

// Blocks of 32 that a slab holds of a row: with 32 rows it stays in the second
// cache beside the activations.
constexpr size_t kSlabBlocks = 128;
// Tokens whose sums stay in registers, for 32 rows.
constexpr size_t kTileTokens = 6;

// 32 elements of 16 rows: vector j has elements 4j..4j+3 of each row.
template <bool kHalves, bool kOffsets>
struct SlabBlock {
  alignas(64) uint8_t codes[8][64];
  float scale[kHalves ? 2 : 1][kLaneRows];
  float offset[kOffsets && kHalves ? 2 : 1][kLaneRows];  // if kOffsets
};

template <class Type>
using SlabOf = SlabBlock<Type::kHalves, Type::kOffsets>;

// The pairs of rows that are read as one vector, so that folding puts the sum
// of row r into lane r.
constexpr size_t kPairs[8][2] = {{0, 4},  {1, 5},  {2, 6},   {3, 7},
                                 {8, 12}, {9, 13}, {10, 14}, {11, 15}};

HWY_INLINE __m512i Fold(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b),
                          _mm512_unpackhi_epi32(a, b));
}
HWY_INLINE __m512i FoldFour(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = Fold(a, b);
  const __m512i cd = Fold(c, d);
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd),
                          _mm512_unpackhi_epi64(ab, cd));
}

// Of the first and of the second half of 32 elements, by row.
struct HalfVectors {
  __m512i first;
  __m512i second;
};
// The halves of rows from vectors with rows side by side, or split.
template <bool kSplit>
HWY_INLINE HalfVectors Halves(__m512i low, __m512i high) {
  return {_mm512_shuffle_i32x4(low, high, kSplit ? 0x44 : 0x88),
          _mm512_shuffle_i32x4(low, high, kSplit ? 0xee : 0xdd)};
}
template <bool kSplit>
HWY_INLINE HalfVectors FoldPairs(const __m512i (&v)[8]) {
  return Halves<kSplit>(FoldFour(v[0], v[1], v[2], v[3]),
                        FoldFour(v[4], v[5], v[6], v[7]));
}

// What the sums begin with: -(sum of activations) times the code of zero.
template <int kZero>
HWY_INLINE __m512i Start(int32_t minus_sum) {
  if constexpr (kZero >= 32) return _mm512_setzero_si512();
  return _mm512_slli_epi32(_mm512_set1_epi32(minus_sum), kZero);
}

HWY_INLINE __m512 AddScaled(__m512i sum, const float* scale, float x_scale,
                            __m512 total) {
  const __m512 factor =
      _mm512_mul_ps(_mm512_load_ps(scale), _mm512_set1_ps(x_scale));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, total);
}

HWY_INLINE float HalfSum(const ActivationBlock& x) {
  return static_cast<float>(-x.minus_half_sum) * x.scale;
}

template <class Type, size_t kSub>
HWY_INLINE __m512 DirectSub(const RowBlocks& rows, const LaneScales& scales,
                            const ActivationBlock& x, __m512 total) {
  __m512i bytes = _mm512_broadcast_i64x4(
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.q)));
  if constexpr (Type::kSplit) {
    bytes = _mm512_shuffle_i32x4(bytes, bytes, 0x50);
  }
  __m512i v[8];
  HWY_UNROLL(8)
  for (size_t i = 0; i < 8; ++i) {
    const __m512i codes = Type::template Codes<kSub>(rows.at(kPairs[i][0]),
                                                     rows.at(kPairs[i][1]));
    v[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes, bytes);
  }
  const HalfVectors sums = FoldPairs<Type::kSplit>(v);
  if constexpr (Type::kHalves) {
    const auto first =
        _mm512_add_epi32(sums.first, Start<Type::kZero>(x.minus_half_sum));
    const auto second = _mm512_add_epi32(
        sums.second, Start<Type::kZero>(x.minus_sum - x.minus_half_sum));
    total = AddScaled(first, scales.scale[kSub][0], x.scale, total);
    total = AddScaled(second, scales.scale[kSub][1], x.scale, total);
  } else {
    const auto sum = _mm512_add_epi32(_mm512_add_epi32(sums.first, sums.second),
                                      Start<Type::kZero>(x.minus_sum));
    total = AddScaled(sum, scales.scale[kSub][0], x.scale, total);
  }
  if constexpr (Type::kOffsets) {
    if constexpr (Type::kHalves) {
      const float half = HalfSum(x);
      total = _mm512_fmadd_ps(_mm512_load_ps(scales.offset[kSub][0]),
                              _mm512_set1_ps(half), total);
      total = _mm512_fmadd_ps(_mm512_load_ps(scales.offset[kSub][1]),
                              _mm512_set1_ps(x.sum - half), total);
    } else {
      total = _mm512_fmadd_ps(_mm512_load_ps(scales.offset[kSub][0]),
                              _mm512_set1_ps(x.sum), total);
    }
  }
  return total;
}

// 16 rows times one token.
template <class Type, size_t... kSubs>
HWY_INLINE __m512 DirectSixteen(RowBlocks rows, size_t num_blocks,
                                const ActivationBlock* x,
                                std::index_sequence<kSubs...>) {
  __m512 total = _mm512_setzero_ps();
  LaneScales scales;
  for (size_t b = 0; b < num_blocks; ++b) {
    Type::Scales(rows, &scales);
    ((total = DirectSub<Type, kSubs>(rows, scales, x[kSubs], total)), ...);
    rows.base += Type::kBlockBytes;
    x += sizeof...(kSubs);
  }
  return total;
}

// Codes of 16 rows to vectors of four elements a row.
template <class Type, size_t kSub>
HWY_INLINE void PackSub(const RowBlocks& rows, const LaneScales& scales,
                        SlabOf<Type>* out) {
  __m512i v[8];
  HWY_UNROLL(8)
  for (size_t i = 0; i < 8; ++i) {
    v[i] = Type::template Codes<kSub>(rows.at(kPairs[i][0]),
                                      rows.at(kPairs[i][1]));
  }
  __m512i quads[2][4];
  HWY_UNROLL(2)
  for (size_t g = 0; g < 2; ++g) {
    const __m512i* const w = v + 4 * g;
    const __m512i low01 = _mm512_unpacklo_epi32(w[0], w[1]);
    const __m512i high01 = _mm512_unpackhi_epi32(w[0], w[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(w[2], w[3]);
    const __m512i high23 = _mm512_unpackhi_epi32(w[2], w[3]);
    quads[g][0] = _mm512_unpacklo_epi64(low01, low23);
    quads[g][1] = _mm512_unpackhi_epi64(low01, low23);
    quads[g][2] = _mm512_unpacklo_epi64(high01, high23);
    quads[g][3] = _mm512_unpackhi_epi64(high01, high23);
  }
  HWY_UNROLL(4)
  for (size_t j = 0; j < 4; ++j) {
    const HalfVectors halves = Halves<Type::kSplit>(quads[0][j], quads[1][j]);
    _mm512_store_si512(out->codes[j], halves.first);
    _mm512_store_si512(out->codes[j + 4], halves.second);
  }
  constexpr size_t kScales = Type::kHalves ? 2 : 1;
  for (size_t h = 0; h < kScales; ++h) {
    std::memcpy(out->scale[h], scales.scale[kSub][h], sizeof(out->scale[h]));
    if constexpr (Type::kOffsets) {
      std::memcpy(out->offset[h], scales.offset[kSub][h],
                  sizeof(out->offset[h]));
    }
  }
}

template <class Type, size_t... kSubs>
HWY_INLINE void PackSixteen(RowBlocks rows, size_t num_blocks,
                            SlabOf<Type>* slab, std::index_sequence<kSubs...>) {
  LaneScales scales;
  for (size_t b = 0; b < num_blocks; ++b) {
    Type::Scales(rows, &scales);
    (PackSub<Type, kSubs>(rows, scales, slab + kSubs), ...);
    rows.base += Type::kBlockBytes;
    slab += sizeof...(kSubs);
  }
}

// Sums of kGroups * 16 rows and kTokens tokens over half or all of a block.
template <size_t kTokens, size_t kGroups>
struct TileSums {
  __m512i v[kGroups][kTokens];
};

template <class Slab, size_t kTokens, size_t kGroups>
HWY_INLINE void AddProducts(const Slab* const (&slabs)[kGroups],
                            const ActivationBlock* x, size_t x_stride,
                            size_t begin, size_t end,
                            TileSums<kTokens, kGroups>& sums) {
  HWY_UNROLL(8)
  for (size_t j = begin; j < end; ++j) {
    __m512i w[kGroups];
    HWY_UNROLL(2)
    for (size_t g = 0; g < kGroups; ++g) {
      w[g] = _mm512_load_si512(slabs[g]->codes[j]);
    }
    HWY_UNROLL(6)
    for (size_t t = 0; t < kTokens; ++t) {
      int32_t four;
      std::memcpy(&four, x[t * x_stride].q + 4 * j, sizeof(four));
      const __m512i bytes = _mm512_set1_epi32(four);
      HWY_UNROLL(2)
      for (size_t g = 0; g < kGroups; ++g) {
        sums.v[g][t] = _mm512_dpbusd_epi32(sums.v[g][t], w[g], bytes);
      }
    }
  }
}

// y[t * y_stride + 16 g + lane], added to what is there unless `first`.
template <class Slab, bool kHalves, bool kOffsets, size_t kTokens,
          size_t kGroups>
HWY_NOINLINE void SlabTile(const Slab* slab, size_t slab_stride,
                           size_t num_blocks, __m128i zero,
                           const ActivationBlock* x, size_t x_stride,
                           bool first, float* y, size_t y_stride,
                           const __mmask16 (&lanes)[2]) {
  __m512 totals[kGroups][kTokens];
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t t = 0; t < kTokens; ++t) {
      totals[g][t] =
          first ? _mm512_setzero_ps()
                : _mm512_maskz_loadu_ps(lanes[g], y + t * y_stride + 16 * g);
    }
  }
  for (size_t b = 0; b < num_blocks; ++b) {
    const Slab* slabs[kGroups];
    for (size_t g = 0; g < kGroups; ++g) slabs[g] = slab + g * slab_stride + b;
    TileSums<kTokens, kGroups> sums;
    constexpr size_t kParts = kHalves ? 2 : 1;
    HWY_UNROLL(2)
    for (size_t h = 0; h < kParts; ++h) {
      HWY_UNROLL(6)
      for (size_t t = 0; t < kTokens; ++t) {
        const ActivationBlock& a = x[t * x_stride + b];
        const int32_t minus = !kHalves ? a.minus_sum
                              : h == 0 ? a.minus_half_sum
                                       : a.minus_sum - a.minus_half_sum;
        // A count of 32 and more gives zero.
        const __m512i start = _mm512_sll_epi32(_mm512_set1_epi32(minus), zero);
        for (size_t g = 0; g < kGroups; ++g) sums.v[g][t] = start;
      }
      AddProducts<Slab, kTokens, kGroups>(slabs, x + b, x_stride,
                                          kHalves ? 4 * h : 0,
                                          kHalves ? 4 * h + 4 : 8, sums);
      HWY_UNROLL(6)
      for (size_t t = 0; t < kTokens; ++t) {
        const float x_scale = x[t * x_stride + b].scale;
        for (size_t g = 0; g < kGroups; ++g) {
          totals[g][t] = AddScaled(sums.v[g][t], slabs[g]->scale[h], x_scale,
                                   totals[g][t]);
        }
      }
    }
    if constexpr (kOffsets) {
      HWY_UNROLL(6)
      for (size_t t = 0; t < kTokens; ++t) {
        const ActivationBlock& a = x[t * x_stride + b];
        const float half = kHalves ? HalfSum(a) : 0;
        for (size_t h = 0; h < kParts; ++h) {
          const float sum = !kHalves ? a.sum : h == 0 ? half : a.sum - half;
          for (size_t g = 0; g < kGroups; ++g) {
            totals[g][t] = _mm512_fmadd_ps(_mm512_load_ps(slabs[g]->offset[h]),
                                           _mm512_set1_ps(sum), totals[g][t]);
          }
        }
      }
    }
  }
  for (size_t g = 0; g < kGroups; ++g) {
    for (size_t t = 0; t < kTokens; ++t) {
      _mm512_mask_storeu_ps(y + t * y_stride + 16 * g, lanes[g], totals[g][t]);
    }
  }
}

// A slab and the tokens it is multiplied with.
template <class Slab>
struct SlabArgs {
  const Slab* slab = nullptr;  // groups are slab_stride apart
  size_t slab_stride = 0;
  size_t num_blocks = 0;
  __m128i zero;  // as Shape::kZero
  const ActivationBlock* x = nullptr;
  size_t x_stride = 0;
  bool first = false;  // nothing is in y yet
  float* y = nullptr;
  size_t y_stride = 0;
  __mmask16 lanes[2] = {0, 0};
};

template <class Slab, bool kHalves, bool kOffsets, size_t kTokens,
          size_t kGroups>
HWY_INLINE void TileAt(const SlabArgs<Slab>& a, size_t t) {
  SlabTile<Slab, kHalves, kOffsets, kTokens, kGroups>(
      a.slab, a.slab_stride, a.num_blocks, a.zero, a.x + t * a.x_stride,
      a.x_stride, a.first, a.y + t * a.y_stride, a.y_stride, a.lanes);
}

// All tokens with a slab, six at a time.
template <class Slab, bool kHalves, bool kOffsets, size_t kGroups>
void SlabTokens(const SlabArgs<Slab>& a, size_t num_tokens) {
  size_t t = 0;
  for (; t + kTileTokens <= num_tokens; t += kTileTokens) {
    TileAt<Slab, kHalves, kOffsets, kTileTokens, kGroups>(a, t);
  }
  switch (num_tokens - t) {
    case 1:
      return TileAt<Slab, kHalves, kOffsets, 1, kGroups>(a, t);
    case 2:
      return TileAt<Slab, kHalves, kOffsets, 2, kGroups>(a, t);
    case 3:
      return TileAt<Slab, kHalves, kOffsets, 3, kGroups>(a, t);
    case 4:
      return TileAt<Slab, kHalves, kOffsets, 4, kGroups>(a, t);
    case 5:
      return TileAt<Slab, kHalves, kOffsets, 5, kGroups>(a, t);
    default:
      return;
  }
}

// Rows of a matrix that may have fewer than 16: then they are copied to where
// there is room for 16.
template <class Type>
class Product {
 public:
  explicit Product(const PackedArgs& args) : a_(args), rows_(args.rows) {
    if (a_.num_rows >= kLaneRows) return;
    std::memset(a_.scratch, 0, kLaneRows * a_.row_bytes);
    std::memcpy(a_.scratch, a_.rows, a_.num_rows * a_.row_bytes);
    rows_ = a_.scratch;
    slab_at_ = (kLaneRows * a_.row_bytes + 63) / 64 * 64;
  }

  void Run() const {
    if (a_.num_tokens == 1) {
      for (size_t r = a_.begin; r < a_.end; r += kLaneRows) Direct(r);
      return;
    }
    for (size_t r = a_.begin; r < a_.end; r += 2 * kLaneRows) {
      if (a_.end - r > kLaneRows) {
        Slabs<2>(r);
      } else {
        Slabs<1>(r);
      }
    }
  }

 private:
  static constexpr std::make_index_sequence<Type::kSubBlocks> kSubs{};

  // 16 rows of the matrix that hold row r, and the lanes of rows from r on:
  // at the end of the matrix rows before r come first, and do not count.
  struct Window {
    size_t row;
    __mmask16 lanes;
    size_t shift;  // of the first lane that counts
  };
  Window At(size_t r) const {
    const size_t last = std::max(a_.num_rows, kLaneRows) - kLaneRows;
    const size_t row = std::min(r, last);
    const size_t shift = r - row;
    const size_t count = std::min(a_.end - r, kLaneRows - shift);
    return {row, static_cast<__mmask16>(((1u << count) - 1) << shift), shift};
  }
  RowBlocks Rows(size_t row) const {
    return {rows_ + row * a_.row_bytes, a_.row_bytes};
  }

  void Direct(size_t r) const {
    const Window window = At(r);
    const __m512 total = DirectSixteen<Type>(
        Rows(window.row), a_.n / kBlockElements / Type::kSubBlocks, a_.x,
        kSubs);
    _mm512_mask_storeu_ps(a_.y + window.row, window.lanes, total);
  }

  template <size_t kGroups>
  void Slabs(size_t r) const {
    auto* const slab = reinterpret_cast<SlabOf<Type>*>(a_.scratch + slab_at_);
    Window windows[kGroups];
    __mmask16 lanes[2] = {0, 0};
    for (size_t g = 0; g < kGroups; ++g) {
      windows[g] = At(r + g * kLaneRows);
      lanes[g] = windows[g].lanes;
    }
    // The two groups of a tile lie side by side in the result.
    const bool apart = kGroups == 2 && windows[1].shift != 0;
    const size_t num_blocks = a_.n / kBlockElements;
    for (size_t b = 0; b < num_blocks; b += kSlabBlocks) {
      const size_t count = std::min(kSlabBlocks, num_blocks - b);
      for (size_t g = 0; g < kGroups; ++g) {
        RowBlocks rows = Rows(windows[g].row);
        rows.base += b / Type::kSubBlocks * Type::kBlockBytes;
        PackSixteen<Type>(rows, count / Type::kSubBlocks,
                          slab + g * kSlabBlocks, kSubs);
      }
      if (!apart) {
        Tokens<kGroups>(slab, b, count, windows[0].row, lanes[0], lanes[1]);
      } else {
        for (size_t g = 0; g < kGroups; ++g) {
          Tokens<1>(slab + g * kSlabBlocks, b, count, windows[g].row, lanes[g],
                    0);
        }
      }
    }
  }

  template <size_t kGroups>
  void Tokens(const SlabOf<Type>* slab, size_t b, size_t count, size_t row,
              __mmask16 lanes0, __mmask16 lanes1) const {
    SlabArgs<SlabOf<Type>> args;
    args.slab = slab;
    args.slab_stride = kSlabBlocks;
    args.num_blocks = count;
    args.zero = _mm_cvtsi32_si128(Type::kZero);
    args.x = a_.x + b;
    args.x_stride = a_.n / kBlockElements;
    args.first = b == 0;
    args.y = a_.y + row;
    args.y_stride = a_.y_stride;
    args.lanes[0] = lanes0;
    args.lanes[1] = lanes1;
    SlabTokens<SlabOf<Type>, Type::kHalves, Type::kOffsets, kGroups>(
        args, a_.num_tokens);
  }

  const PackedArgs& a_;
  const std::byte* rows_;
  size_t slab_at_ = 0;
};

template <class Type>
void RunProduct(const PackedArgs& args) {
  Product<Type>(args).Run();
}

}  // namespace avx512

void PackedMatMulAvx512(const PackedArgs& args) {
  using verify::DType;
  switch (args.dtype) {
    case DType::kQ8_0:
      return avx512::RunProduct<avx512::Q8_0>(args);
    case DType::kQ4_0:
      return avx512::RunProduct<avx512::Q4_0>(args);
    case DType::kQ4_1:
      return avx512::RunProduct<avx512::Q4_1>(args);
    case DType::kQ5_0:
      return avx512::RunProduct<avx512::Q5_0>(args);
    case DType::kQ5_1:
      return avx512::RunProduct<avx512::Q5_1>(args);
    case DType::kIQ4NL:
      return avx512::RunProduct<avx512::Iq4Nl>(args);
    case DType::kMXFP4:
      return avx512::RunProduct<avx512::Mxfp4>(args);
    case DType::kQ2K:
      return avx512::RunProduct<avx512::Q2K>(args);
    case DType::kQ3K:
      return avx512::RunProduct<avx512::Q3K>(args);
    case DType::kQ4K:
      return avx512::RunProduct<avx512::Q4K>(args);
    case DType::kQ5K:
      return avx512::RunProduct<avx512::Q5K>(args);
    case DType::kQ6K:
      return avx512::RunProduct<avx512::Q6K>(args);
    case DType::kQ8K:
      return avx512::RunProduct<avx512::Q8K>(args);
    case DType::kIQ4XS:
      return avx512::RunProduct<avx512::Iq4Xs>(args);
    default:
      CHECK(false);
  }
}

}  // namespace inference

HWY_POP_ATTRIBUTES

namespace inference {

size_t PackedScratchBytesAvx512(size_t num_rows, size_t row_bytes) {
  const size_t padded = num_rows < avx512::kLaneRows
                            ? (avx512::kLaneRows * row_bytes + 63) / 64 * 64
                            : 0;
  return padded +
         2 * avx512::kSlabBlocks * sizeof(avx512::SlabBlock<true, true>);
}

bool HasAvx512Vnni() {
  return __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
}

}  // namespace inference

#endif  // defined(__x86_64__)
