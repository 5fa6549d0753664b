// SPDX-License-Identifier: Apache-2.0
// Rows of a stored matrix, of any element type that can be decoded, as rows of
// another type, in the order of rows that a layout has. Tested by
// tests/inference/convert/tensor_stream_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inference/convert/convert_options.h"
#include "inference/convert/source_reader.h"
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
  // What errors of each column count in packed types; empty: all alike. Of a
  // row of the source, or none.
  std::span<const float> importance = {};
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

// Rows of a source in memory of its own, which nobody can cut off while they
// are converted. Used again and again, by one thread. Neither copyable nor
// movable: the matrix looks at the buffers.
class HeldRows {
 public:
  HeldRows() = default;
  HeldRows(const HeldRows&) = delete;
  HeldRows& operator=(const HeldRows&) = delete;

  // Reads what ConvertRows needs for those rows of the result, and scales.
  // Errors: those of SourceReader::Read.
  verify::Result<void> Load(const SourceReader& reader,
                            const StoredMatrix& source, const RowForm& form,
                            uint64_t first, uint64_t count);

  // The rows from first_row() on, in their stored order; of a matrix that is
  // not whole only these may be asked for.
  const StoredMatrix& matrix() const { return matrix_; }
  uint64_t first_row() const { return first_row_; }
  // The source with factors of our own, for ScaleRow.
  const StoredMatrix& whole() const { return whole_; }

 private:
  verify::Result<void> LoadAcross(const SourceReader& reader,
                                  const StoredMatrix& source);
  verify::Result<void> LoadSlices(const SourceReader& reader,
                                  const StoredMatrix& source,
                                  const std::vector<verify::ByteSpan>& spans);

  StoredMatrix matrix_;
  StoredMatrix whole_;
  uint64_t first_row_ = 0;
  std::vector<std::byte> bytes_;
  std::vector<std::byte> scales_;
};

// As above, of rows that `held` has loaded for the same arguments.
verify::Result<void> ConvertRows(const HeldRows& held,
                                 const StoredMatrix& source,
                                 const RowForm& form, uint64_t first,
                                 uint64_t count, std::span<std::byte> out);

// Rows of the result that are made of no more than about `bytes` of the source,
// at least those that change places with each other: stretches that begin at
// multiples of it are read once. All rows where they do not lie side by side.
uint64_t RowsWithin(const StoredMatrix& source, const RowForm& form,
                    uint64_t bytes);

// How many rows are best converted at once at the least: those that share
// their lines of memory.
uint64_t RowsTogether(const StoredMatrix& source);

// The bytes of `source` that ConvertRows reads for those rows, and perhaps
// some between them.
std::vector<verify::ByteSpan> BytesOfRows(const StoredMatrix& source,
                                          const RowForm& form, uint64_t first,
                                          uint64_t count);

}  // namespace inference
