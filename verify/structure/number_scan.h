// SPDX-License-Identifier: Apache-2.0
// Looks for NaN, infinity and sameness in the stored form of numbers, at the
// speed of memory: integer tests on the exponent, no conversion.
// Tested by tests/verify/structure/number_scan_test.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "verify/base/bytes.h"
#include "verify/checkpoint/dtype.h"
#include "verify/checkpoint/tensor_table.h"

namespace verify {

struct NumberScan {
  uint64_t num_nan = 0;
  uint64_t num_infinite = 0;
  uint64_t first_bad = 0;  // element index, row-major; if any is bad
  bool constant = true;    // all elements (blocks, if packed) are the same

  bool finite() const { return num_nan == 0 && num_infinite == 0; }
};

// Whether the scan knows the type; integers hold no NaN and are not scanned.
bool CanScan(DType dtype);

// How many elements the scan of a tensor goes through: all, or where strides
// make elements share storage, those of the storage, so that a small file
// cannot ask for endless work.
uint64_t NumScanned(const TensorInfo& tensor);

// Elements [begin, end) of NumScanned() of a tensor whose bytes
// (TensorInfo::size_bytes from its offset) are `bytes`. For packed types a bad
// scale makes all elements of its block bad, and begin and end are multiples of
// the block. `constant` is in comparison with the tensor's first element.
// Thread-safe.
NumberScan ScanElements(const TensorInfo& tensor, ByteSpan bytes,
                        uint64_t begin, uint64_t end);

// The first element as a number; nothing for packed types.
std::optional<double> FirstElement(const TensorInfo& tensor, ByteSpan bytes);

}  // namespace verify
