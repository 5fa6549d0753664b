// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/tensor_stream.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "inference/quant/quantize.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ByteSpan;
using verify::DType;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using verify::TensorInfo;

// Output of one batch, and what one thread takes of it at a time.
constexpr uint64_t kBatchBytes = 16u << 20;
constexpr uint64_t kRangeBytes = 256u << 10;

struct Matrix {
  uint64_t num_rows = 1;
  uint64_t row_elements = 1;
  uint64_t from_row_bytes = 0;  // contiguous source
  uint64_t to_row_bytes = 0;
};

bool AllFinite(std::span<const float> values) {
  uint32_t max = 0;
  for (const float value : values) {
    max = std::max(max, std::bit_cast<uint32_t>(value) & 0x7fffffffu);
  }
  return max < 0x7f800000u;
}

class RowReader {
 public:
  RowReader(const RowSource& source, const Matrix& matrix)
      : source_(source), matrix_(matrix) {
    const TensorInfo& tensor = *source.tensor;
    if (source.half_rotated_heads != 0) {
      head_dim_ = matrix.num_rows / source.half_rotated_heads;
    }
    element_bytes_ = verify::BlockBytes(tensor.dtype);
  }

  // The bytes of a row of the result: a view of the map, or gathered into
  // `buffer`.
  ByteSpan Row(uint64_t row, std::vector<std::byte>& buffer) const {
    const uint64_t from = SourceRow(row);
    const TensorInfo& tensor = *source_.tensor;
    if (tensor.contiguous()) {
      return source_.bytes.subspan(
          static_cast<size_t>(from * matrix_.from_row_bytes),
          static_cast<size_t>(matrix_.from_row_bytes));
    }
    buffer.resize(static_cast<size_t>(matrix_.row_elements * element_bytes_));
    uint64_t element = RowStart(from);
    const uint64_t step = tensor.strides.back();
    for (uint64_t i = 0; i < matrix_.row_elements; ++i, element += step) {
      std::memcpy(buffer.data() + i * element_bytes_,
                  source_.bytes.data() + element * element_bytes_,
                  static_cast<size_t>(element_bytes_));
    }
    return buffer;
  }

 private:
  // Interleaved order pairs rows 2i and 2i + 1 of a head where half-rotated
  // order pairs i and i + head_dim / 2.
  uint64_t SourceRow(uint64_t row) const {
    if (head_dim_ == 0) return row;
    const uint64_t in_head = row % head_dim_;
    return row - in_head + (in_head % 2) * (head_dim_ / 2) + in_head / 2;
  }

  // Where a row of a tensor with strides starts, in elements.
  uint64_t RowStart(uint64_t row) const {
    const TensorInfo& tensor = *source_.tensor;
    uint64_t element = 0;
    for (size_t d = tensor.shape.size() - 1; d > 0; --d) {
      element += row % tensor.shape[d - 1] * tensor.strides[d - 1];
      row /= tensor.shape[d - 1];
    }
    return element;
  }

  const RowSource& source_;
  const Matrix& matrix_;
  uint64_t head_dim_ = 0;
  uint64_t element_bytes_ = 0;
};

// Converts rows [begin, end) to `out`, which starts with row `begin`; the
// first row that does not convert, if there is one.
std::optional<uint64_t> ConvertRows(const RowReader& reader,
                                    const Matrix& matrix, DType from, DType to,
                                    uint64_t begin, uint64_t end,
                                    std::span<std::byte> out) {
  std::vector<float> values(static_cast<size_t>(matrix.row_elements));
  std::vector<std::byte> gathered;
  for (uint64_t row = begin; row < end; ++row) {
    const ByteSpan bytes = reader.Row(row, gathered);
    const auto row_out =
        out.subspan(static_cast<size_t>((row - begin) * matrix.to_row_bytes),
                    static_cast<size_t>(matrix.to_row_bytes));
    DecodeRow(from, bytes, values);
    if (from == to) {
      // Packed again, blocks could come out differently.
      if (!AllFinite(values)) return row;
      std::copy(bytes.begin(), bytes.end(), row_out.begin());
    } else if (!EncodeRow(to, values, row_out)) {
      return row;
    }
  }
  return std::nullopt;
}

Result<Matrix> AsMatrix(const TensorInfo& tensor, DType to) {
  Matrix matrix;
  if (!tensor.shape.empty()) matrix.row_elements = tensor.shape.back();
  for (size_t d = 0; d + 1 < tensor.shape.size(); ++d) {
    matrix.num_rows *= tensor.shape[d];
  }
  const auto from_bytes = verify::DTypeBytes(tensor.dtype, matrix.row_elements);
  const auto to_bytes = verify::DTypeBytes(to, matrix.row_elements);
  const bool gatherable =
      tensor.contiguous() || verify::BlockElements(tensor.dtype) == 1;
  // The scales of fp8 lie in other tensors, which are not looked for here.
  const bool scaled_elsewhere = tensor.dtype == DType::kF8E4M3;
  if (!CanDecode(tensor.dtype) || scaled_elsewhere || !CanEncode(to) ||
      !from_bytes.has_value() || !to_bytes.has_value() || !gatherable ||
      matrix.row_elements == 0) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("tensor \"", EscapeForTerminal(tensor.name), "\" ",
                       verify::ShapeText(tensor.shape), ": ",
                       verify::DTypeName(tensor.dtype),
                       " cannot be converted to ", verify::DTypeName(to)))
        .Id("E-DTYPE");
  }
  matrix.from_row_bytes = *from_bytes;
  matrix.to_row_bytes = *to_bytes;
  return matrix;
}

}  // namespace

Result<void> StreamRows(const RowSource& source, DType to,
                        verify::ThreadPool& pool,
                        const verify::CancelToken& cancel,
                        const ByteSink& sink) {
  const TensorInfo& tensor = *source.tensor;
  ASSIGN_OR_RETURN(const Matrix matrix, AsMatrix(tensor, to));
  const RowReader reader(source, matrix);

  const uint64_t batch_rows =
      std::max<uint64_t>(1, kBatchBytes / matrix.to_row_bytes);
  const auto range_rows = static_cast<size_t>(
      std::max<uint64_t>(1, kRangeBytes / matrix.to_row_bytes));
  std::vector<std::byte> batch;
  for (uint64_t first = 0; first < matrix.num_rows; first += batch_rows) {
    if (cancel.cancelled()) {
      return Fail(ErrorCode::kCancelled, "the conversion was cancelled");
    }
    const uint64_t rows = std::min(batch_rows, matrix.num_rows - first);
    batch.resize(static_cast<size_t>(rows * matrix.to_row_bytes));
    constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
    std::atomic<uint64_t> bad_row{kNone};
    pool.ParallelFor(
        static_cast<size_t>(rows), range_rows, [&](size_t begin, size_t end) {
          const auto bad = ConvertRows(
              reader, matrix, tensor.dtype, to, first + begin, first + end,
              std::span(batch).subspan(
                  begin * static_cast<size_t>(matrix.to_row_bytes)));
          if (!bad.has_value()) return;
          uint64_t known = bad_row.load();
          while (*bad < known && !bad_row.compare_exchange_weak(known, *bad)) {
          }
        });
    if (bad_row.load() != kNone) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("tensor \"", EscapeForTerminal(tensor.name),
                         "\", row ", bad_row.load(),
                         ": a value that is not finite or does not fit ",
                         verify::DTypeName(to)))
          .Id("E-NOT-FINITE");
    }
    RETURN_IF_ERROR(sink(batch));
  }
  return {};
}

}  // namespace inference
