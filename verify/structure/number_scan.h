// SPDX-License-Identifier: Apache-2.0
// One pass over the numbers of a tensor: NaN, infinity, zeros, denormals,
// range, mean, scale, and rows that are all the same. At the speed of memory
// for bf16, f16 and f32; other types are rarer and looked at one by one.
// Tested by tests/verify/structure/number_scan_test.cc.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "verify/base/bytes.h"
#include "verify/checkpoint/dtype.h"
#include "verify/checkpoint/tensor_table.h"

namespace verify {

// Of packed types the numbers are the scales, one for each block (the first
// where a block has two), but bad elements and `constant` are of the blocks.
struct NumberScan {
  uint64_t num_nan = 0;
  uint64_t num_infinite = 0;
  uint64_t first_bad = 0;  // element index, row-major; if any is bad
  bool constant = true;    // all elements (blocks, if packed) are the same

  // Of the finite numbers.
  uint64_t count = 0;
  uint64_t num_zero = 0;
  uint64_t num_denormal = 0;  // zeros not among them
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  double sum = 0;
  double sum_squares = 0;

  // Of tensors with two dimensions or more, rows that lie wholly in the range:
  // all elements the same, and all zero. Of packed types only the latter.
  uint64_t constant_rows = 0;
  uint64_t zero_rows = 0;
  uint64_t first_constant_row = 0;  // if there is one

  bool finite() const { return num_nan == 0 && num_infinite == 0; }
  double mean() const;
  double rms() const;  // root of the mean square; 0 if there are no numbers
  double deviation() const;
  double max_magnitude() const;
  // Adds what was found in a later range of the same tensor. `constant` is in
  // comparison with the first element of the tensor, so it adds up too.
  void Merge(const NumberScan& later);
};

// Longer rows are not looked at as rows.
inline constexpr uint64_t kMaxRowElements = uint64_t{1} << 20;

// Whether the scan knows the type; integers hold no NaN and are not scanned.
bool CanScan(DType dtype);
// Whether its numbers are scales of blocks.
bool IsPacked(DType dtype);

// How many elements the scan of a tensor goes through: all, or where strides
// make elements share storage, those of the storage, so that a small file
// cannot ask for endless work.
uint64_t NumScanned(const TensorInfo& tensor);

// Elements [begin, end) of NumScanned() of a tensor whose bytes
// (TensorInfo::size_bytes from its offset) are `bytes`. For packed types a bad
// scale makes all elements of its block bad, and begin and end are multiples of
// the block. `constant` is in comparison with the tensor's first element.
// Sums are right to about 1e-5 and may differ in the last digits from one CPU
// to another. Thread-safe.
NumberScan ScanElements(const TensorInfo& tensor, ByteSpan bytes,
                        uint64_t begin, uint64_t end);

// The first element as a number; nothing for packed types.
std::optional<double> FirstElement(const TensorInfo& tensor, ByteSpan bytes);

}  // namespace verify
