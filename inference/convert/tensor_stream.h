// SPDX-License-Identifier: Apache-2.0
// Rows of a stored matrix, of any element type that can be decoded, as rows of
// another type, in the order of rows that a layout has. Tested by
// tests/inference/convert/tensor_stream_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inference/convert/convert_options.h"
#include "inference/tensor/stored_matrix.h"
#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"

namespace inference {

// How rows are written.
struct RowForm {
  verify::DType dtype = verify::DType::kBF16;
  // As in StoredMatrix: 0: rows 2i and 2i + 1 of a head are a pair
  // (docs/formats/layouts.md); else the number of heads whose rows i and
  // i + head_dim / 2 are.
  uint64_t half_rotated_heads = 0;
  NonFinite non_finite = NonFinite::kRefuse;
};

// Bytes of a converted row. kUnsupported (E-DTYPE): an element type that is not
// decoded or not encoded, or rows that are no whole number of its blocks.
verify::Result<uint64_t> ConvertedRowBytes(const StoredMatrix& source,
                                           verify::DType to);

// Writes rows [first, first + count) of the result to `out`. The bytes depend
// on the rows alone, not on how they are grouped. Requires that
// ConvertedRowBytes has no objection, that the rows are there, and `out` of
// their size. Thread-safe.
// Errors: kCorrupt with the id E-NOT-FINITE: a value of the first row named is
// not finite or does not fit the type.
verify::Result<void> ConvertRows(const StoredMatrix& source,
                                 const RowForm& form, uint64_t first,
                                 uint64_t count, std::span<std::byte> out);

// How many rows are best converted at once at the least: those that share
// their lines of memory.
uint64_t RowsTogether(const StoredMatrix& source);

// The bytes of `source` that ConvertRows reads for those rows, and perhaps
// some between them.
std::vector<verify::ByteSpan> BytesOfRows(const StoredMatrix& source,
                                          const RowForm& form, uint64_t first,
                                          uint64_t count);

}  // namespace inference
