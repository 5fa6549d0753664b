// SPDX-License-Identifier: Apache-2.0
// The vector part of the number scan: one pass over a run of plain
// floating-point elements, compiled per CPU target.
// Tested on every target by tests/verify/structure/number_kernels_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "verify/checkpoint/dtype.h"

namespace verify {

// Elements of the longest run. A lane adds up at most this many numbers in
// single precision before they go to a double: the sums of a run are right to
// about 1e-5 of the sum of magnitudes.
inline constexpr size_t kMaxRun = 1024;

struct RunStats {
  uint32_t max_bits = 0;  // largest magnitude, in the type's own encoding
  uint32_t num_zero = 0;
  uint32_t num_denormal = 0;  // zero not among them
  bool same = true;           // all elements have the bits of the first
  float min = 0;
  float max = 0;
  float sum = 0;
  float sum_squares = 0;
};

// How a type encodes magnitudes: bits below the sign.
struct MagnitudeBits {
  uint32_t first_bad = 0;     // this and above: infinity or NaN
  uint32_t first_normal = 0;  // below: denormal or zero
};

// Of kBF16, kF16 and kF32.
constexpr MagnitudeBits MagnitudeBitsOf(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return {0x7F80, 0x80};
    case DType::kF16:
      return {0x7C00, 0x400};
    default:
      return {0x7F80'0000, 0x80'0000};
  }
}

// `dtype`: kBF16, kF16 or kF32. 0 < num_elements <= kMaxRun; `data` needs no
// alignment. If max_bits reaches MagnitudeBits::first_bad, what is not a count
// or a comparison of bits says nothing. Thread-safe.
RunStats ScanRun(DType dtype, const std::byte* data, size_t num_elements);

}  // namespace verify
