// SPDX-License-Identifier: Apache-2.0
// Packed weights times quantised activations on any CPU: products of bytes are
// summed exactly as integers, and scales come in as floats once a block.
// Highway re-includes this file for each CPU target.

// As kernels.cc has them; and AVX3 would have what AVX2 has, as it takes more
// than that for products of bytes: see packed_avx512.cc.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS                                               \
  (HWY_SSSE3 | HWY_AVX3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | \
   HWY_SVE2_128 | HWY_RVV)
#endif

#include "inference/ops/packed_lanes.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "inference/ops/packed_lanes.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// Highway comes after foreach_target.
#include "hwy/highway.h"
#include "inference/ops/activations.h"
#include "inference/ops/row_window.h"
#include "inference/quant/linear_blocks.h"
#include "verify/base/check.h"

#if HWY_TARGET != HWY_SCALAR
#include "inference/ops/lane_codes-inl.h"
#include "inference/ops/lane_direct-inl.h"
#include "inference/ops/lane_rows-inl.h"
#include "inference/ops/lane_slab-inl.h"
#endif

HWY_BEFORE_NAMESPACE();
namespace inference {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

// One element of 32 after the other, for a CPU without vectors.
HWY_INLINE float DotLinear(const LinearBlock& w, const ActivationBlock& x) {
  float sum = 0;
  for (size_t h = 0; h < 2; ++h) {
    int32_t dot = 0;
    for (size_t i = 16 * h; i < 16 * h + 16; ++i) dot += w.q[i] * x.q[i];
    sum += static_cast<float>(dot) * (w.scale[h] * x.scale);
  }
  return sum + (w.offset[0] * HalfSum(x, 0) + w.offset[1] * HalfSum(x, 1));
}

inline constexpr size_t kLaneSlabBytes = 0;

HWY_INLINE void PackedMatMulImpl(const PackedArgs& a) {
  const LinearReader* const reader = FindLinearReader(a.dtype);
  CHECK(reader != nullptr);
  const size_t num_linear = a.n / kActivationElements;
  LinearBlock linear[8];
  for (size_t r = a.begin; r < a.end; ++r) {
    for (size_t t = 0; t < a.num_tokens; ++t) a.y[t * a.y_stride + r] = 0;
    const std::byte* block = a.rows + r * a.row_bytes;
    for (size_t b = 0; b < num_linear; b += reader->num_linear) {
      reader->read(block, linear);
      block += reader->block_bytes;
      for (size_t t = 0; t < a.num_tokens; ++t) {
        const ActivationBlock* const x = a.x + t * num_linear + b;
        for (size_t s = 0; s < reader->num_linear; ++s) {
          a.y[t * a.y_stride + r] += DotLinear(linear[s], x[s]);
        }
      }
    }
  }
}

#else

// Packed weights times the activations of some tokens. Rows of a matrix that
// may have fewer than are lanes: then they are copied to where there is room.
template <class Type>
class LaneProduct {
 public:
  explicit HWY_INLINE LaneProduct(const PackedArgs& args)
      : a_(args), rows_(args.rows) {
    if (a_.num_rows >= kLanes) return;
    std::memset(a_.scratch, 0, kLanes * a_.row_bytes);
    std::memcpy(a_.scratch, a_.rows, a_.num_rows * a_.row_bytes);
    rows_ = a_.scratch;
    slab_at_ = hwy::RoundUpTo(kLanes * a_.row_bytes, 64);
  }

  HWY_INLINE void Run() const {
    if (a_.num_tokens == 1) {
      constexpr size_t kGroups = kDirectGroups<Type>;
      constexpr size_t kStreams = kGroups * kLanes;
      const size_t apart = (a_.end - a_.begin) / kStreams;
      for (size_t i = 0; i < apart; ++i) Streams<kGroups>(a_.begin + i, apart);
      size_t r = a_.begin + kStreams * apart;
      for (; r < a_.end; r += kLanes) Direct(At(r));
      return;
    }
    for (size_t r = a_.begin; r < a_.end; r += kLaneGroups * kLanes) {
      const RowWindow last = At(r + (kLaneGroups - 1) * kLanes);
      if (a_.end - r > kLanes && last.shift == 0) {
        Slabs<kLaneGroups>(r);
        continue;
      }
      for (size_t g = 0; g < kLaneGroups; ++g) {
        if (r + g * kLanes < a_.end) Slabs<1>(r + g * kLanes);
      }
    }
  }

 private:
  using Tile = typename Type::Tile;
  static constexpr std::make_index_sequence<Type::kSubBlocks> kSubs{};

  HWY_INLINE RowWindow At(size_t r) const {
    return WindowAt(a_.num_rows, std::min(r, a_.end), a_.end, kLanes);
  }
  HWY_INLINE LaneBlocks Rows(size_t row) const {
    return {rows_ + row * a_.row_bytes, a_.row_bytes};
  }

  // Rows from `row` on, so many apart.
  template <size_t kGroups>
  HWY_INLINE void Streams(size_t row, size_t apart) const {
    alignas(32) float sums[kGroups * kLanes];
    Direct<kGroups>({rows_ + row * a_.row_bytes, apart * a_.row_bytes}, sums);
    for (size_t i = 0; i < kGroups * kLanes; ++i) {
      a_.y[row + i * apart] = sums[i];
    }
  }

  // Rows from window.row on, of which those of the window are wanted.
  HWY_INLINE void Direct(const RowWindow& window) const {
    alignas(32) float sums[kLanes];
    Direct<1>(Rows(window.row), sums);
    std::memcpy(a_.y + window.row + window.shift, sums + window.shift,
                window.count * sizeof(float));
  }

  template <size_t kGroups>
  HWY_INLINE void Direct(const LaneBlocks& rows, float* sums) const {
    DirectRows<Type, kGroups>(
        rows, a_.n / kActivationElements / Type::kSubBlocks, a_.x, sums, kSubs);
  }

  template <size_t kGroups>
  void Slabs(size_t r) const {
    auto* const slab =
        reinterpret_cast<LaneSlabOf<Type>*>(a_.scratch + slab_at_);
    RowWindow windows[kGroups];
    bool whole = true;
    for (size_t g = 0; g < kGroups; ++g) {
      windows[g] = At(r + g * kLanes);
      whole = whole && windows[g].count == kLanes;
    }
    const size_t num_blocks = a_.n / kActivationElements;
    for (size_t b = 0; b < num_blocks; b += kLaneSlabBlocks) {
      LaneTile<Tile> tile;
      tile.slab = slab;
      tile.slab_stride = kLaneSlabBlocks;
      tile.num_blocks = std::min(kLaneSlabBlocks, num_blocks - b);
      for (size_t g = 0; g < kGroups; ++g) {
        LaneBlocks rows = Rows(windows[g].row);
        rows.base += b / Type::kSubBlocks * Type::kBlockBytes;
        PackSlab<Type>(rows, tile.num_blocks / Type::kSubBlocks,
                       slab + g * kLaneSlabBlocks, kSubs);
      }
      tile.x = a_.x + b;
      tile.x_stride = num_blocks;
      tile.first = b == 0;
      if (whole) {
        tile.y = a_.y + windows[0].row;
        tile.y_stride = a_.y_stride;
        RunTokens<Tile, kGroups>(tile, a_.num_tokens);
      } else {
        RunApart<kGroups>(tile, windows);
      }
    }
  }

  // Some lanes are not wanted: the sums go by way of a buffer.
  template <size_t kGroups>
  void RunApart(LaneTile<Tile> tile,
                const RowWindow (&windows)[kGroups]) const {
    alignas(32) float sums[kLaneTokens][kGroups * kLanes] = {};
    const auto copy = [&](size_t t, size_t count, auto&& each) {
      for (size_t i = 0; i < count; ++i) {
        for (size_t g = 0; g < kGroups; ++g) {
          const RowWindow& window = windows[g];
          each(sums[i] + g * kLanes + window.shift,
               a_.y + (t + i) * a_.y_stride + window.row + window.shift,
               window.count * sizeof(float));
        }
      }
    };
    tile.y = &sums[0][0];
    tile.y_stride = kGroups * kLanes;
    const ActivationBlock* const x = tile.x;
    for (size_t t = 0; t < a_.num_tokens; t += kLaneTokens) {
      const size_t count = std::min(kLaneTokens, a_.num_tokens - t);
      copy(t, count, [](float* sum, const float* y, size_t bytes) {
        std::memcpy(sum, y, bytes);
      });
      tile.x = x + t * tile.x_stride;
      RunTokens<Tile, kGroups>(tile, count);
      copy(t, count, [](const float* sum, float* y, size_t bytes) {
        std::memcpy(y, sum, bytes);
      });
    }
  }

  const PackedArgs& a_;
  const std::byte* rows_;
  size_t slab_at_ = 0;
};

inline constexpr size_t kLaneSlabBytes =
    kLaneGroups * kLaneSlabBlocks * sizeof(LaneSlab<false, true, true>);

HWY_INLINE void PackedMatMulImpl(const PackedArgs& a) {
  using verify::DType;
  switch (a.dtype) {
    case DType::kQ8_0:
      return LaneProduct<LaneQ8_0>(a).Run();
    case DType::kQ4_0:
      return LaneProduct<LaneQ4_0>(a).Run();
    case DType::kQ4_1:
      return LaneProduct<LaneQ4_1>(a).Run();
    case DType::kQ5_0:
      return LaneProduct<LaneQ5_0>(a).Run();
    case DType::kQ5_1:
      return LaneProduct<LaneQ5_1>(a).Run();
    case DType::kIQ4NL:
      return LaneProduct<LaneIq4Nl>(a).Run();
    case DType::kMXFP4:
      return LaneProduct<LaneMxfp4>(a).Run();
    case DType::kQ2K:
      return LaneProduct<LaneQ2K>(a).Run();
    case DType::kQ3K:
      return LaneProduct<LaneQ3K>(a).Run();
    case DType::kQ4K:
      return LaneProduct<LaneQ4K>(a).Run();
    case DType::kQ5K:
      return LaneProduct<LaneQ5K>(a).Run();
    case DType::kQ6K:
      return LaneProduct<LaneQ6K>(a).Run();
    case DType::kQ8K:
      return LaneProduct<LaneQ8K>(a).Run();
    case DType::kIQ4XS:
      return LaneProduct<LaneIq4Xs>(a).Run();
    default:
      CHECK(false);
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE

template <>
void PackedMatMulOn<HWY_TARGET>(const PackedArgs& args) {
  HWY_NAMESPACE::PackedMatMulImpl(args);
}

}  // namespace inference
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace inference {

size_t LaneScratchBytes(size_t num_rows, size_t row_bytes) {
  constexpr size_t kMostLanes = 8;
  size_t bytes = HWY_STATIC_DISPATCH(kLaneSlabBytes);
#if HWY_TARGETS & HWY_AVX2
  bytes = std::max(bytes, N_AVX2::kLaneSlabBytes);
#endif
  if (num_rows < kMostLanes) {
    bytes += hwy::RoundUpTo(kMostLanes * row_bytes, 64);
  }
  return bytes;
}

}  // namespace inference
#endif  // HWY_ONCE
