// SPDX-License-Identifier: Apache-2.0
// Element types of tensors, plain and packed in blocks.
// Tested by tests/verify/checkpoint/dtype_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace verify {

enum class DType {
  kF64, kF32, kF16, kBF16, kF8E4M3, kF8E5M2,
  kI64, kI32, kI16, kI8, kU64, kU32, kU16, kU8, kBool,
  kQ8_0,  // 32 elements in 34 bytes: half scale, 32 signed bytes
  // The other packed GGUF types whose numbers are read.
  kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ2K, kQ3K, kQ4K, kQ5K, kQ6K, kQ8K, kIQ4NL,
  kIQ4XS, kMXFP4,
  // Packed GGUF types that are opened and sized only: their codes are places in
  // tables of vectors, or digits of base three.
  kIQ1S, kIQ1M, kIQ2XXS, kIQ2XS, kIQ2S, kIQ3XXS, kIQ3S, kTQ1_0, kTQ2_0,
};

// Lower-case name as users write it: "bf16", "q8_0".
std::string_view DTypeName(DType dtype);

// Elements per block (1 for plain types) and bytes per block.
uint64_t BlockElements(DType dtype);
uint64_t BlockBytes(DType dtype);

// Bytes of `num_elements` in a row; nothing if they are no whole number of
// blocks or the size overflows.
std::optional<uint64_t> DTypeBytes(DType dtype, uint64_t num_elements);

}  // namespace verify
