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

#include "inference/ops/activations.h"
#include "inference/ops/float_tile.h"
#include "inference/ops/kv_row.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

// Keys that one call of `attend` takes at most.
inline constexpr size_t kAttentionBlockKeys = 256;

// Queries (heads of one token or of several) against a run of keys of one kv
// head, each against all of them. Pointers are not owned.
struct AttendArgs {
  const float* q = nullptr;  // [num_queries, head_dim]
  size_t num_queries = 0;
  size_t head_dim = 0;  // with kQ8_0 a multiple of kKvBlock
  KvType type = KvType::kF16;
  const std::byte* keys = nullptr;    // row j at keys + j * row_bytes
  const std::byte* values = nullptr;  // the same
  size_t row_bytes = 0;
  size_t count = 0;  // keys, 1..kAttentionBlockKeys
  float scale = 0;   // of the scores
  // Result, per query: the largest score, the sum of exp(score - max) and the
  // values weighted by exp(score - max). The same bits whatever other queries
  // are beside it.
  float* max = nullptr;     // [num_queries]
  float* sum = nullptr;     // [num_queries]
  float* out = nullptr;     // [num_queries, head_dim]
  float* scores = nullptr;  // scratch, [num_queries, kAttentionBlockKeys]
};

// Packed weights, [num_rows, n], times the activations of some tokens, each a
// row of n / 32 blocks: y[t * y_stride + r] for the rows from `begin` up to
// `end`. Pointers are not owned.
struct PackedArgs {
  verify::DType dtype = verify::DType::kQ8_0;  // any that IsPackedWeight names
  const std::byte* rows = nullptr;
  size_t row_bytes = 0;
  size_t num_rows = 0;
  size_t n = 0;
  size_t begin = 0;
  size_t end = 0;
  const ActivationBlock* x = nullptr;  // [num_tokens, n / 32]
  size_t num_tokens = 0;
  float* y = nullptr;
  size_t y_stride = 0;
  std::byte* scratch = nullptr;  // PackedScratchBytes, on a cache line
};

// Ranges of rows that begin at multiples of this waste nothing.
inline constexpr size_t kPackedRows = 32;

// Whether elements lie in blocks, with scales of their own.
bool IsPackedWeight(verify::DType dtype);

// Memory that `packed_matmul` needs for a matrix.
size_t PackedScratchBytes(size_t num_rows, size_t row_bytes);

// The same for bf16 weights with activations that are rounded to bf16.
struct Bf16Args {
  const std::byte* rows = nullptr;  // from the first row to multiply on
  size_t row_bytes = 0;
  size_t num_rows = 0;
  size_t n = 0;
  const uint16_t* x = nullptr;  // [num_tokens, n]
  size_t num_tokens = 0;
  float* y = nullptr;  // y[t * y_stride + r]
  size_t y_stride = 0;
};

// Weights of any type times the activations of several tokens, as floats.
struct FloatArgs {
  verify::DType dtype = verify::DType::kF32;
  const std::byte* rows = nullptr;  // from the first row to multiply on
  size_t row_bytes = 0;
  size_t num_rows = 0;
  size_t n = 0;
  const float* x = nullptr;  // as pack_tokens has laid them out
  size_t num_tokens = 0;
  float* y = nullptr;  // y[t * y_stride + r]
  size_t y_stride = 0;
  float* scratch = nullptr;  // float_tile's ScratchFloats, on a cache line
};

// Streams of rows, one row after the other in each, that dot_rows reads at once
// for one token: so many rows, and a multiple of it, are best. Gigabytes come a
// fifth faster by it than by eight rows side by side or by one stream.
inline constexpr size_t kRowStreams = 6;

// Weights may have any alignment. Where a `dtype` is asked for it is f32, f16
// or bf16, and for decode_row and float_matmul any that can be decoded. A dot
// product adds up in an order that depends on n and the target alone: dot_rows
// and float_matmul give the same bits, and so do packed_matmul and bf16_matmul
// for any number of tokens.
struct Kernels {
  std::string_view target;  // "AVX3"
  FloatTile float_tile;

  // out[i] = element i of a row.
  void (*decode_row)(verify::DType dtype, const std::byte* row, size_t n,
                     float* out) = nullptr;
  // y[t * y_stride + r] = row r . x[t], for num_rows rows of n elements,
  // row_bytes apart, and x [num_tokens, n]: rows as they lie, for few tokens.
  void (*dot_rows)(verify::DType dtype, const std::byte* rows, size_t row_bytes,
                   size_t num_rows, const float* x, size_t num_tokens, size_t n,
                   float* y, size_t y_stride) = nullptr;
  // Tokens [begin, end) of x [num_tokens, n] as float_matmul reads them. `out`
  // has float_tile.TokenFloats(num_tokens, n), on a cache line; `begin` is a
  // whole number of tiles, and so is `end`, or it is num_tokens.
  void (*pack_tokens)(const float* x, size_t num_tokens, size_t n, size_t begin,
                      size_t end, float* out) = nullptr;
  void (*float_matmul)(const FloatArgs& args) = nullptr;
  // n / 32 blocks; elements beyond the last whole block are left out.
  void (*quantize_row)(const float* x, size_t n,
                       ActivationBlock* out) = nullptr;
  void (*packed_matmul)(const PackedArgs& args) = nullptr;
  // Null where the CPU has no products of bf16: then bf16 is multiplied as
  // floats.
  void (*bf16_matmul)(const Bf16Args& args) = nullptr;
  // out = x / sqrt(mean(x^2) + eps) * gain; `out` may be `x`.
  void (*rms_norm)(const float* x, const float* gain, size_t n, float eps,
                   float* out) = nullptr;
  // gate[i] = silu(gate[i]) * up[i].
  void (*silu_multiply)(float* gate, const float* up, size_t n) = nullptr;
  // y[i] += scale * x[i].
  void (*multiply_add)(float scale, const float* x, size_t n,
                       float* y) = nullptr;
  // out[i] = x[i] as bf16, nearest, ties to even.
  void (*to_bf16)(const float* x, size_t n, uint16_t* out) = nullptr;
  // Numbers as they are kept for attention: as halves, or each block of 32 as
  // bytes, x / scale to the nearest with scale = largest / 127 as a half. What
  // is not finite stays visible. `n` is a whole number of blocks.
  void (*store_kv)(KvType type, const float* x, size_t n,
                   std::byte* out) = nullptr;
  void (*attend)(const AttendArgs& args) = nullptr;
};

// The best that this CPU can run. Static lifetime. Thread-safe.
const Kernels& BestKernels();

// Every compiled target that this CPU can run, for tests.
std::vector<const Kernels*> RunnableKernels();

}  // namespace inference
