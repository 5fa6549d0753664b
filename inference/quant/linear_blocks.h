// SPDX-License-Identifier: Apache-2.0
// Packed blocks as small integers: an element of any packed type is
// scale * q + offset, where q is a signed byte and scale and offset are those
// of 16 neighbours. So a product with integers needs no floats but the scales.
// Tested by tests/inference/quant/linear_blocks_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "inference/quant/block_types.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

// 32 elements; scales and offsets of the first and of the last 16. All of them
// are exact.
struct LinearBlock {
  int8_t q[kBlockElements];
  float scale[2];
  float offset[2];
};

// How a packed type is read; `read` turns one of its blocks, of any alignment,
// into num_linear blocks.
struct LinearReader {
  size_t block_bytes = 0;
  size_t num_linear = 0;  // 1 or 8
  void (*read)(const std::byte* block, LinearBlock* out) = nullptr;
};

// Null for a type that is not packed. Static lifetime.
const LinearReader* FindLinearReader(verify::DType dtype);

}  // namespace inference
