// SPDX-License-Identifier: Apache-2.0
// Rows of any element type to floats and back; results are the same bits on
// every machine. Tested by tests/inference/quant/quantize_test.cc.
#pragma once

#include <cstddef>
#include <span>

#include "inference/quant/block_types.h"
#include "inference/quant/float_formats.h"
#include "verify/base/bytes.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

// f32, f16 or bf16: elements that lie by themselves.
bool IsPlainFloat(verify::DType dtype);

// Whether DecodeRow reads, EncodeRow writes this type. Decoded are f64, f32,
// f16, bf16, f8_e4m3 and all packed types; encoded are f32, f16, bf16, q8_0,
// q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, iq4_nl and mxfp4. Whether the
// engine computes with a type is another matter: CanCompute in
// inference/model/weights.cc.
bool CanDecode(verify::DType dtype);
bool CanEncode(verify::DType dtype);

// Elements to floats (f64 rounds; f8 as it is, without scales that lie
// elsewhere). Codes and scales that are NaN give NaN. Requires CanDecode(dtype)
// and bytes.size() == DTypeBytes(dtype, out.size()); any alignment.
void DecodeRow(verify::DType dtype, verify::ByteSpan bytes,
               std::span<float> out);

// Floats to elements: the nearest, ties to even, for plain types; for packed
// ones blocks of the smallest squared error that a search finds, each error
// weighted by the importance of its column (docs/decisions/0008; q8_0 without
// importance: see EncodeQ8_0). Requires CanEncode(dtype),
// out.size() == DTypeBytes(dtype, values.size()), and importance for all values
// or none; any alignment. Weights count within a block alone.
// False if a value is not finite or does not fit the type (beyond 65504 for
// f16; for packed types, beyond what blocks with scales of at most 65504 can
// stand for), or a weight is negative or not finite; `out` is then not defined.
bool EncodeRow(verify::DType dtype, std::span<const float> values,
               std::span<std::byte> out,
               std::span<const float> importance = {});

// Blocks of 32 with scale d = max|x| / 127: q = x / d rounded half away from
// zero with d in float, then d stored as half. Requires
// values.size() == 32 * blocks.size(). False if a value is not finite or a
// scale is beyond half.
bool EncodeQ8_0(std::span<const float> values, std::span<BlockQ8_0> blocks);

// out[i] = scale * q[i]. Requires out.size() == 32 * blocks.size().
void DecodeQ8_0(std::span<const BlockQ8_0> blocks, std::span<float> out);

}  // namespace inference
