// SPDX-License-Identifier: Apache-2.0
// The inner loops of the engine, compiled once for each CPU target with
// Highway and chosen at run time. What each one means is the plain loop of the
// same name in ops/reference.h.
// Tested on every target by tests/inference/ops/kernels_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "verify/checkpoint/dtype.h"

namespace inference {

// Keys that one call of `attend` takes at most.
inline constexpr size_t kAttentionBlockKeys = 256;

// Query heads of one kv head against a run of keys. Pointers are not owned.
struct AttendArgs {
  const float* q = nullptr;  // [group, head_dim]
  size_t group = 0;
  size_t head_dim = 0;
  const uint16_t* keys = nullptr;    // halves; row j at keys + j * stride
  const uint16_t* values = nullptr;  // the same
  size_t stride = 0;                 // in elements
  size_t count = 0;                  // keys, 1..kAttentionBlockKeys
  float scale = 0;                   // of the scores
  // Result, per query head: the largest score, the sum of exp(score - max)
  // and the values weighted by exp(score - max).
  float* max = nullptr;     // [group]
  float* sum = nullptr;     // [group]
  float* out = nullptr;     // [group, head_dim]
  float* scores = nullptr;  // scratch, [group, kAttentionBlockKeys]
};

// Weights may have any alignment. `dtype` is one of f32, f16, bf16, q8_0
// (then n is a multiple of 32). A dot product adds up in an order that depends
// on n and the target alone: dot_rows and panel_matmul give the same bits.
struct Kernels {
  std::string_view target;  // "AVX3"

  // out[i] = element i of a row.
  void (*decode_row)(verify::DType dtype, const std::byte* row, size_t n,
                     float* out) = nullptr;
  // out[r] = row r . x, for num_rows rows of n elements, row_bytes apart.
  void (*dot_rows)(verify::DType dtype, const std::byte* rows, size_t row_bytes,
                   size_t num_rows, const float* x, size_t n,
                   float* out) = nullptr;
  // y[t * y_stride + r] = panel row r . (x + t * n), panel [num_rows, n].
  void (*panel_matmul)(const float* panel, size_t num_rows, const float* x,
                       size_t num_tokens, size_t n, float* y,
                       size_t y_stride) = nullptr;
  // out = x / sqrt(mean(x^2) + eps) * gain.
  void (*rms_norm)(const float* x, const float* gain, size_t n, float eps,
                   float* out) = nullptr;
  // gate[i] = silu(gate[i]) * up[i].
  void (*silu_multiply)(float* gate, const float* up, size_t n) = nullptr;
  // y[i] += scale * x[i].
  void (*multiply_add)(float scale, const float* x, size_t n,
                       float* y) = nullptr;
  // out[i] = x[i] as half, nearest, ties to even.
  void (*to_half)(const float* x, size_t n, uint16_t* out) = nullptr;
  void (*attend)(const AttendArgs& args) = nullptr;
};

// The best that this CPU can run. Static lifetime. Thread-safe.
const Kernels& BestKernels();

// Every compiled target that this CPU can run, for tests.
std::vector<const Kernels*> RunnableKernels();

}  // namespace inference
