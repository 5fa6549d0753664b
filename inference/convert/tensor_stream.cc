// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/tensor_stream.h"

#include <algorithm>
#include <atomic>
#include <bit>
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

// Rows that do not lie side by side are gathered together: as many as share the
// lines of memory.
constexpr uint64_t kGatherRows = 32;

bool AllFinite(std::span<const float> values) {
  uint32_t max = 0;
  for (const float value : values) {
    max = std::max(max, std::bit_cast<uint32_t>(value) & 0x7fffffffu);
  }
  return max < 0x7f800000u;
}

// Reads rows of one matrix; one for each thread.
class RowReader {
 public:
  explicit RowReader(const StoredMatrix& source)
      : source_(source), view_(source.View()) {
    if (source.half_rotated_heads != 0) {
      head_dim_ = source.rows / source.half_rotated_heads;
    }
    row_bytes_ =
        static_cast<size_t>(*verify::DTypeBytes(view_.dtype, source.cols));
  }

  // The bytes of a row of the result: a view of the map, or of what was
  // gathered, valid until the next call. Rows are asked for in order.
  ByteSpan Row(uint64_t row) {
    const uint64_t from = SourceRow(row);
    if (view_.has_rows()) {
      return {view_.data + from * view_.row_bytes, row_bytes_};
    }
    if (from < first_ || from >= first_ + count_) {
      first_ = from;
      count_ = std::min(kGatherRows, source_.rows - from);
      gathered_.resize(static_cast<size_t>(count_) * row_bytes_);
      GatherRows(view_, static_cast<size_t>(first_),
                 static_cast<size_t>(count_), gathered_.data());
    }
    return {gathered_.data() + (from - first_) * row_bytes_, row_bytes_};
  }

 private:
  // Interleaved order pairs rows 2i and 2i + 1 of a head where half-rotated
  // order pairs i and i + head_dim / 2.
  uint64_t SourceRow(uint64_t row) const {
    if (head_dim_ == 0) return row;
    const uint64_t in_head = row % head_dim_;
    return row - in_head + (in_head % 2) * (head_dim_ / 2) + in_head / 2;
  }

  const StoredMatrix& source_;
  TensorView view_;
  uint64_t head_dim_ = 0;
  size_t row_bytes_ = 0;
  std::vector<std::byte> gathered_;
  uint64_t first_ = 0;  // of the rows gathered
  uint64_t count_ = 0;
};

// Converts rows [begin, end) to `out`, which starts with row `begin`; the
// first row that does not convert, if there is one.
std::optional<uint64_t> ConvertRows(const StoredMatrix& source, DType to,
                                    uint64_t to_row_bytes, uint64_t begin,
                                    uint64_t end, std::span<std::byte> out) {
  const DType from = source.tensor->dtype;
  RowReader reader(source);
  std::vector<float> values(static_cast<size_t>(source.cols));
  for (uint64_t row = begin; row < end; ++row) {
    const ByteSpan bytes = reader.Row(row);
    const auto row_out =
        out.subspan(static_cast<size_t>((row - begin) * to_row_bytes),
                    static_cast<size_t>(to_row_bytes));
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

// Bytes of a converted row.
Result<uint64_t> ConvertedRowBytes(const StoredMatrix& source, DType to) {
  const TensorInfo& tensor = *source.tensor;
  const auto from_bytes = verify::DTypeBytes(tensor.dtype, source.cols);
  const auto to_bytes = verify::DTypeBytes(to, source.cols);
  // The scales of fp8 lie in other tensors, which are not looked for here.
  const bool scaled_elsewhere = tensor.dtype == DType::kF8E4M3;
  if (CanDecode(tensor.dtype) && !scaled_elsewhere && CanEncode(to) &&
      from_bytes.has_value() && to_bytes.has_value() && source.cols != 0) {
    return *to_bytes;
  }
  return Fail(ErrorCode::kUnsupported,
              StrCat("tensor \"", EscapeForTerminal(tensor.name), "\" ",
                     verify::ShapeText(tensor.shape), ": ",
                     verify::DTypeName(tensor.dtype),
                     " cannot be converted to ", verify::DTypeName(to)))
      .Id("E-DTYPE");
}

}  // namespace

Result<void> StreamRows(const StoredMatrix& source, DType to,
                        verify::ThreadPool& pool,
                        const verify::CancelToken& cancel,
                        const ByteSink& sink) {
  const TensorInfo& tensor = *source.tensor;
  ASSIGN_OR_RETURN(const uint64_t row_bytes, ConvertedRowBytes(source, to));
  const uint64_t batch_rows = std::max<uint64_t>(1, kBatchBytes / row_bytes);
  const auto range_rows = static_cast<size_t>(std::max<uint64_t>(
      source.col_stride == 1 ? 1 : kGatherRows, kRangeBytes / row_bytes));
  std::vector<std::byte> batch;
  for (uint64_t first = 0; first < source.rows; first += batch_rows) {
    if (cancel.cancelled()) {
      return Fail(ErrorCode::kCancelled, "the conversion was cancelled");
    }
    const uint64_t rows = std::min(batch_rows, source.rows - first);
    batch.resize(static_cast<size_t>(rows * row_bytes));
    constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
    std::atomic<uint64_t> bad_row{kNone};
    pool.ParallelFor(
        static_cast<size_t>(rows), range_rows, [&](size_t begin, size_t end) {
          const auto bad = ConvertRows(
              source, to, row_bytes, first + begin, first + end,
              std::span(batch).subspan(begin * static_cast<size_t>(row_bytes)));
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
