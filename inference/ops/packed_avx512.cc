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
#include "inference/ops/activations.h"
#include "inference/ops/row_window.h"
#include "inference/quant/block_types.h"
#include "verify/base/check.h"

// All other headers come before: their inline functions must not be compiled
// for this CPU, since the linker keeps one copy for all.
HWY_PUSH_ATTRIBUTES(
    "sse2,sse3,ssse3,sse4.1,sse4.2,avx,avx2,fma,f16c,bmi,bmi2,avx512f,"
    "avx512cd,avx512bw,avx512dq,avx512vl,avx512vnni")

#include "inference/ops/avx512_codes-inl.h"
#include "inference/ops/avx512_direct-inl.h"
#include "inference/ops/avx512_scales-inl.h"
#include "inference/ops/avx512_slab-inl.h"
#include "inference/ops/avx512_sums-inl.h"

namespace inference {
namespace avx512 {

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
      const size_t apart = (a_.end - a_.begin) / kLaneRows;
      for (size_t i = 0; i < apart; ++i) Streams(a_.begin + i, apart);
      size_t r = a_.begin + kLaneRows * apart;
      for (; r < a_.end; r += kLaneRows) Direct(r);
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

  // 16 rows of the matrix that hold row r, and the lanes that count.
  struct Window {
    size_t row;
    __mmask16 lanes;
    size_t shift;  // of the first lane that counts
  };
  Window At(size_t r) const {
    const auto [row, shift, count] =
        WindowAt(a_.num_rows, r, a_.end, kLaneRows);
    return {row, static_cast<__mmask16>(((1u << count) - 1) << shift), shift};
  }
  RowBlocks Rows(size_t row) const {
    return {rows_ + row * a_.row_bytes, a_.row_bytes};
  }

  // 16 rows from `row` on, so many apart.
  void Streams(size_t row, size_t apart) const {
    alignas(64) float sums[kLaneRows];
    _mm512_store_ps(sums,
                    Direct({rows_ + row * a_.row_bytes, apart * a_.row_bytes}));
    for (size_t i = 0; i < kLaneRows; ++i) a_.y[row + i * apart] = sums[i];
  }

  // The rows of the window of row r.
  void Direct(size_t r) const {
    const Window window = At(r);
    _mm512_mask_storeu_ps(a_.y + window.row, window.lanes,
                          Direct(Rows(window.row)));
  }

  HWY_INLINE __m512 Direct(const RowBlocks& rows) const {
    return DirectSixteen<Type>(rows, a_.n / kBlockElements / Type::kSubBlocks,
                               a_.x, kSubs);
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
