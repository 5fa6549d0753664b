// SPDX-License-Identifier: Apache-2.0
// Floats to packed blocks, by searching for the scales of each block that give
// the smallest squared error. Compiled once for each CPU target with Highway
// and chosen at run time; the bytes are the same on all of them.
// Tested on every target by tests/inference/quant/encode_blocks_test.cc.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "verify/checkpoint/dtype.h"

namespace inference {

struct BlockEncoder {
  std::string_view target;  // "AVX3"

  // Packs a row; `dtype` is one of those that HasBlockEncoder names, the sizes
  // are as for EncodeRow in quantize.h, and so is the result.
  bool (*encode_row)(verify::DType dtype, std::span<const float> values,
                     std::span<const float> importance,
                     std::span<std::byte> out) = nullptr;
};

// q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, iq4_nl and mxfp4.
bool HasBlockEncoder(verify::DType dtype);

// The best that this CPU can run. Static lifetime. Thread-safe.
const BlockEncoder& BestBlockEncoder();

// Every compiled target that this CPU can run, for tests.
std::vector<const BlockEncoder*> RunnableBlockEncoders();

}  // namespace inference
