// SPDX-License-Identifier: Apache-2.0
// Lanes run along the row: 32 elements a step, 16 sums of a (row, token), added
// up at the end. A step is the same in every tile, so a row gives the same bits
// with any neighbours and any number of tokens. Nothing is repacked: 4 rows and
// 6 tokens need 10 loads for 24 products.
#include "inference/ops/bf16_avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "hwy/base.h"

HWY_PUSH_ATTRIBUTES(
    "sse2,sse3,ssse3,sse4.1,sse4.2,avx,avx2,fma,bmi,bmi2,avx512f,avx512bw,"
    "avx512dq,avx512vl,avx512bf16")

namespace inference {
namespace {

constexpr size_t kStep = 32;
constexpr size_t kTileRows = 4;
constexpr size_t kTileTokens = 6;

// 32 elements, and those that `mask` names, then zeros.
struct WholeStep {
  HWY_INLINE __m512bh Load(const void* p) const {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
  }
};
struct LastStep {
  __mmask32 mask;
  HWY_INLINE __m512bh Load(const void* p) const {
    return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(mask, p));
  }
};

template <size_t kRows, size_t kTokens>
struct Sums {
  __m512 v[kRows][kTokens];
};

// Elements from `rows` and `x` on.
template <size_t kRows, size_t kTokens, class Step>
HWY_INLINE void AddStep(Step step, const std::byte* rows, size_t row_bytes,
                        const uint16_t* x, size_t n,
                        Sums<kRows, kTokens>& sums) {
  __m512bh w[kRows];
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) w[r] = step.Load(rows + r * row_bytes);
  HWY_UNROLL(6)
  for (size_t t = 0; t < kTokens; ++t) {
    const __m512bh v = step.Load(x + t * n);
    HWY_UNROLL(4)
    for (size_t r = 0; r < kRows; ++r) {
      sums.v[r][t] = _mm512_dpbf16_ps(sums.v[r][t], w[r], v);
    }
  }
}

template <size_t kRows, size_t kTokens>
HWY_INLINE void Tile(const std::byte* rows, size_t row_bytes, size_t n,
                     const uint16_t* x, float* y, size_t y_stride) {
  Sums<kRows, kTokens> sums;
  HWY_UNROLL(4)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(6)
    for (size_t t = 0; t < kTokens; ++t) sums.v[r][t] = _mm512_setzero_ps();
  }
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    AddStep(WholeStep(), rows + i * sizeof(uint16_t), row_bytes, x + i, n,
            sums);
  }
  if (i < n) {
    AddStep(LastStep{(1u << (n - i)) - 1}, rows + i * sizeof(uint16_t),
            row_bytes, x + i, n, sums);
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t t = 0; t < kTokens; ++t) {
      y[t * y_stride + r] = _mm512_reduce_add_ps(sums.v[r][t]);
    }
  }
}

template <size_t kRows>
void Rows(const std::byte* rows, const Bf16Args& a, float* y) {
  size_t t = 0;
  for (; t + kTileTokens <= a.num_tokens; t += kTileTokens) {
    Tile<kRows, kTileTokens>(rows, a.row_bytes, a.n, a.x + t * a.n,
                             y + t * a.y_stride, a.y_stride);
  }
  for (; t + 2 <= a.num_tokens; t += 2) {
    Tile<kRows, 2>(rows, a.row_bytes, a.n, a.x + t * a.n, y + t * a.y_stride,
                   a.y_stride);
  }
  if (t < a.num_tokens) {
    Tile<kRows, 1>(rows, a.row_bytes, a.n, a.x + t * a.n, y + t * a.y_stride,
                   a.y_stride);
  }
}

}  // namespace

void Bf16MatMulAvx512(const Bf16Args& a) {
  size_t r = 0;
  for (; r + kTileRows <= a.num_rows; r += kTileRows) {
    Rows<kTileRows>(a.rows + r * a.row_bytes, a, a.y + r);
  }
  for (; r < a.num_rows; ++r) Rows<1>(a.rows + r * a.row_bytes, a, a.y + r);
}

}  // namespace inference

HWY_POP_ATTRIBUTES

namespace inference {

bool HasAvx512Bf16() {
  return __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bf16") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
}

}  // namespace inference

#endif  // defined(__x86_64__)
