// SPDX-License-Identifier: Apache-2.0
// Packed blocks to floats. Layouts: block_types.h. The products are made and
// rounded in the order of the formulas there, left to right, so that the
// floats are the same on every machine.
// Tested by tests/inference/quant/decode_blocks_test.cc.
#pragma once

#include "inference/quant/block_types.h"

namespace inference {

// All elements of one block. NaN scales give NaN; nothing else fails: any
// bytes are a block.
void DecodeBlock(const BlockQ8_0& block, float* out);
void DecodeBlock(const BlockQ4_0& block, float* out);
void DecodeBlock(const BlockQ4_1& block, float* out);
void DecodeBlock(const BlockQ5_0& block, float* out);
void DecodeBlock(const BlockQ5_1& block, float* out);
void DecodeBlock(const BlockQ2K& block, float* out);
void DecodeBlock(const BlockQ3K& block, float* out);
void DecodeBlock(const BlockQ4K& block, float* out);
void DecodeBlock(const BlockQ5K& block, float* out);
void DecodeBlock(const BlockQ6K& block, float* out);
void DecodeBlock(const BlockQ8K& block, float* out);
void DecodeBlock(const BlockIq4Nl& block, float* out);
void DecodeBlock(const BlockIq4Xs& block, float* out);
void DecodeBlock(const BlockMxfp4& block, float* out);

}  // namespace inference
