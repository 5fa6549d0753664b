// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/tensor_stream.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "inference/ops/kernels.h"
#include "inference/quant/float_formats.h"
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

// Rows that do not lie side by side are gathered together: as many as share the
// lines of memory.
constexpr uint64_t kGatherRows = 32;

bool IsFinite(float value) {
  return (std::bit_cast<uint32_t>(value) & 0x7fffffffu) < 0x7f800000u;
}

bool AllFinite(std::span<const float> values) {
  uint32_t max = 0;
  for (const float value : values) {
    max = std::max(max, std::bit_cast<uint32_t>(value) & 0x7fffffffu);
  }
  return max < 0x7f800000u;
}

// Where row `row` of the result lies in the source.
class RowOrder {
 public:
  RowOrder(const StoredMatrix& source, const RowForm& form) {
    const uint64_t stored = source.half_rotated_heads;
    const uint64_t wanted = form.half_rotated_heads;
    if ((stored == 0) == (wanted == 0)) return;
    head_dim_ = source.rows / std::max(stored, wanted);
    to_half_ = wanted != 0;
  }

  // Interleaved order pairs rows 2i and 2i + 1 of a head where half-rotated
  // order pairs i and i + head_dim / 2.
  uint64_t SourceRow(uint64_t row) const {
    if (head_dim_ == 0) return row;
    const uint64_t half = head_dim_ / 2;
    const uint64_t in_head = row % head_dim_;
    const uint64_t from = to_half_ ? in_head % half * 2 + in_head / half
                                   : in_head % 2 * half + in_head / 2;
    return row - in_head + from;
  }

  // Rows change places only within groups of so many.
  uint64_t group() const { return std::max<uint64_t>(1, head_dim_); }

 private:
  uint64_t head_dim_ = 0;  // 0: rows stay where they are
  bool to_half_ = false;
};

// Where rows of a matrix are: the matrix itself, or some of its rows.
// `whole` has the factors of all rows.
struct RowPlace {
  const StoredMatrix& matrix;
  const StoredMatrix& whole;
  uint64_t first_row = 0;
};

// Reads rows of one matrix; one for each thread.
class RowReader {
 public:
  RowReader(const StoredMatrix& source, const RowForm& form,
            const RowPlace& place)
      : order_(source, form),
        view_(place.matrix.View()),
        num_rows_(place.matrix.rows),
        first_row_(place.first_row) {
    row_bytes_ =
        static_cast<size_t>(*verify::DTypeBytes(view_.dtype, source.cols));
  }

  uint64_t SourceRow(uint64_t row) const { return order_.SourceRow(row); }

  // The bytes of a row of the result: a view of the map, or of what was
  // gathered, valid until the next call. Rows are asked for in order.
  ByteSpan Row(uint64_t row) {
    const uint64_t from = order_.SourceRow(row) - first_row_;
    if (view_.has_rows()) {
      return {view_.data + from * view_.row_bytes, row_bytes_};
    }
    if (from < first_ || from >= first_ + count_) {
      first_ = from;
      count_ = std::min(kGatherRows, num_rows_ - from);
      gathered_.resize(static_cast<size_t>(count_) * row_bytes_);
      GatherRows(view_, static_cast<size_t>(first_),
                 static_cast<size_t>(count_), gathered_.data());
    }
    return {gathered_.data() + (from - first_) * row_bytes_, row_bytes_};
  }

 private:
  RowOrder order_;
  TensorView view_;
  uint64_t num_rows_;
  uint64_t first_row_;
  size_t row_bytes_ = 0;
  std::vector<std::byte> gathered_;
  uint64_t first_ = 0;  // of the rows gathered
  uint64_t count_ = 0;
};

// A value that was finite and is beyond the type would become infinite.
template <typename T, T (*Encode)(float), float (*Decode)(T)>
bool EncodeAll(std::span<const float> values, std::span<std::byte> out) {
  for (size_t i = 0; i < values.size(); ++i) {
    const T element = Encode(values[i]);
    if (IsFinite(values[i]) && !IsFinite(Decode(element))) return false;
    std::memcpy(out.data() + i * sizeof(T), &element, sizeof(T));
  }
  return true;
}

// EncodeRow that lets NaN and infinity through. Requires IsPlainFloat(to).
bool EncodeKeeping(DType to, std::span<const float> values,
                   std::span<std::byte> out) {
  if (to == DType::kF16) {
    return EncodeAll<uint16_t, FloatToHalf, HalfToFloat>(values, out);
  }
  if (to == DType::kBF16) {
    return EncodeAll<uint16_t, FloatToBf16, Bf16ToFloat>(values, out);
  }
  std::memcpy(out.data(), values.data(), out.size());
  return true;
}

// `values`: of `bytes`, decoded.
bool WriteRow(DType from, ByteSpan bytes, const RowForm& form,
              std::span<const float> values, std::span<std::byte> out) {
  const bool keep =
      form.non_finite == NonFinite::kKeep && IsPlainFloat(form.dtype);
  if (from == form.dtype) {
    // Packed again, blocks could come out differently.
    if (!keep && !AllFinite(values)) return false;
    std::copy(bytes.begin(), bytes.end(), out.begin());
    return true;
  }
  if (keep && !AllFinite(values)) return EncodeKeeping(form.dtype, values, out);
  return EncodeRow(form.dtype, values, out, form.importance);
}

// Rows [first, first + count) of the result, as rows of the source: all of a
// group that changes places.
struct SourceRows {
  uint64_t begin = 0;
  uint64_t end = 0;
};

SourceRows GroupsOf(const StoredMatrix& source, const RowForm& form,
                    uint64_t first, uint64_t count) {
  const uint64_t group = RowOrder(source, form).group();
  return {first / group * group,
          std::min(source.rows, (first + count + group - 1) / group * group)};
}

Result<void> ConvertFrom(const RowPlace& place, const StoredMatrix& source,
                         const RowForm& form, uint64_t first, uint64_t count,
                         std::span<std::byte> out) {
  CHECK(first <= source.rows && count <= source.rows - first);
  const DType from = source.tensor->dtype;
  const size_t row_bytes =
      static_cast<size_t>(*verify::DTypeBytes(form.dtype, source.cols));
  CHECK(out.size() == count * row_bytes);
  CHECK(form.importance.empty() || form.importance.size() == source.cols);
  RowReader reader(source, form, place);
  std::vector<float> values(static_cast<size_t>(source.cols));
  for (uint64_t i = 0; i < count; ++i) {
    const ByteSpan bytes = reader.Row(first + i);
    if (from == DType::kBF16) {
      // What releases are made of, for what this CPU has; any other type leaves
      // the source at a fraction of that rate.
      BestKernels().decode_row(from, bytes.data(), values.size(),
                               values.data());
    } else {
      DecodeRow(from, bytes, values);
    }
    ScaleRow(place.whole, reader.SourceRow(first + i), values);
    if (WriteRow(from, bytes, form, values,
                 out.subspan(static_cast<size_t>(i) * row_bytes, row_bytes))) {
      continue;
    }
    return Fail(ErrorCode::kCorrupt,
                StrCat("tensor \"", EscapeForTerminal(source.tensor->name),
                       "\", row ", first + i,
                       ": a value that is not finite or does not fit ",
                       verify::DTypeName(form.dtype)))
        .Id("E-NOT-FINITE")
        .Hint(IsPlainFloat(form.dtype)
                  ? "--allow-nonfinite keeps NaN and infinity as they are"
                  : "packed types cannot hold NaN or infinity");
  }
  return {};
}

}  // namespace

Result<uint64_t> ConvertedRowBytes(const StoredMatrix& source, DType to) {
  const TensorInfo& tensor = *source.tensor;
  const auto from_bytes = verify::DTypeBytes(tensor.dtype, source.cols);
  const auto to_bytes = verify::DTypeBytes(to, source.cols);
  if (CanDecodeRows(source) && CanEncode(to) && from_bytes.has_value() &&
      to_bytes.has_value() && source.cols != 0) {
    return *to_bytes;
  }
  return Fail(ErrorCode::kUnsupported,
              StrCat("tensor \"", EscapeForTerminal(tensor.name), "\" ",
                     verify::ShapeText(tensor.shape), ": ",
                     verify::DTypeName(tensor.dtype),
                     " cannot be converted to ", verify::DTypeName(to)))
      .Id("E-DTYPE");
}

Result<void> ConvertRows(const StoredMatrix& source, const RowForm& form,
                         uint64_t first, uint64_t count,
                         std::span<std::byte> out) {
  return ConvertFrom({source, source, 0}, source, form, first, count, out);
}

Result<void> ConvertRows(const HeldRows& held, const StoredMatrix& source,
                         const RowForm& form, uint64_t first, uint64_t count,
                         std::span<std::byte> out) {
  return ConvertFrom({held.matrix(), held.whole(), held.first_row()}, source,
                     form, first, count, out);
}

Result<void> HeldRows::Load(const SourceReader& reader,
                            const StoredMatrix& source, const RowForm& form,
                            uint64_t first, uint64_t count) {
  const auto [begin, end] = GroupsOf(source, form, first, count);
  matrix_ = source;
  matrix_.rows = end - begin;
  first_row_ = begin;
  if (source.scales.tensor != nullptr) {
    scales_.resize(source.scales.bytes.size());
    RETURN_IF_ERROR(reader.Read(source.scales.bytes, scales_));
  }
  whole_ = source;
  whole_.scales.bytes = scales_;
  // Rows that lie closer than their elements: those of a transposed matrix.
  if (source.slices.empty() && source.row_stride < source.col_stride) {
    return LoadAcross(reader, source);
  }
  std::vector<ByteSpan> spans = BytesOfRows(source, form, first, count);
  if (source.slices.empty() && source.col_stride != 1) {
    const uint64_t item = verify::BlockBytes(source.tensor->dtype);
    const uint64_t last =
        (end - 1) * source.row_stride + (source.cols - 1) * source.col_stride;
    const uint64_t from = begin * source.row_stride;
    spans = {
        source.bytes.subspan(static_cast<size_t>(from * item),
                             static_cast<size_t>((last + 1 - from) * item))};
  }
  return LoadSlices(reader, source, spans);
}

// A panel: of each column what these rows have of it, side by side.
Result<void> HeldRows::LoadAcross(const SourceReader& reader,
                                  const StoredMatrix& source) {
  const uint64_t item = verify::BlockBytes(source.tensor->dtype);
  const uint64_t of_column = (matrix_.rows - 1) * source.row_stride + 1;
  const auto column_bytes = static_cast<size_t>(of_column * item);
  bytes_.resize(static_cast<size_t>(source.cols) * column_bytes);
  for (uint64_t c = 0; c < source.cols; ++c) {
    const uint64_t at = first_row_ * source.row_stride + c * source.col_stride;
    RETURN_IF_ERROR(reader.Read(
        source.bytes.subspan(static_cast<size_t>(at * item), column_bytes),
        std::span(bytes_).subspan(static_cast<size_t>(c) * column_bytes,
                                  column_bytes)));
  }
  matrix_.col_stride = of_column;
  matrix_.bytes = bytes_;
  return {};
}

// Slices by rows become one again, since their rows follow each other; those by
// columns stay side by side.
Result<void> HeldRows::LoadSlices(const SourceReader& reader,
                                  const StoredMatrix& source,
                                  const std::vector<ByteSpan>& spans) {
  size_t size = 0;
  for (const ByteSpan span : spans) size += span.size();
  bytes_.resize(size);
  matrix_.bytes = bytes_;
  matrix_.slices.clear();
  size_t at = 0;
  for (const ByteSpan span : spans) {
    const auto part = std::span(bytes_).subspan(at, span.size());
    RETURN_IF_ERROR(reader.Read(span, part));
    if (!source.slices.empty() && source.slices_are_columns) {
      matrix_.slices.emplace_back(part);
    }
    at += span.size();
  }
  if (!matrix_.slices.empty()) matrix_.bytes = {};
  return {};
}

uint64_t RowsWithin(const StoredMatrix& source, const RowForm& form,
                    uint64_t bytes) {
  if (source.col_stride != 1) return std::max<uint64_t>(1, source.rows);
  const uint64_t group = RowOrder(source, form).group();
  const auto row_bytes = verify::DTypeBytes(source.tensor->dtype, source.cols);
  const uint64_t rows = bytes / std::max<uint64_t>(1, row_bytes.value_or(1));
  return std::max(group, rows / group * group);
}

uint64_t RowsTogether(const StoredMatrix& source) {
  return source.View().has_rows() ? 1 : kGatherRows;
}

std::vector<ByteSpan> BytesOfRows(const StoredMatrix& source,
                                  const RowForm& form, uint64_t first,
                                  uint64_t count) {
  // Columns that lie apart: every row has bytes nearly everywhere.
  if (source.col_stride != 1 || count == 0) return source.Spans();
  const SourceRows rows = GroupsOf(source, form, first, count);
  const uint64_t begin = rows.begin;
  const uint64_t end = rows.end;
  // Those of rows [begin, end) that `bytes`, which begin with row `at`, hold.
  std::vector<ByteSpan> found;
  const auto add = [&](ByteSpan bytes, uint64_t at, uint64_t row_bytes) {
    const auto offset = [&](uint64_t row) {
      return static_cast<size_t>(std::min<uint64_t>(
          row > at ? (row - at) * row_bytes : 0, bytes.size()));
    };
    const size_t from = offset(begin);
    if (offset(end) > from) {
      found.push_back(bytes.subspan(from, offset(end) - from));
    }
  };
  if (source.slices.empty()) {
    add(source.bytes, 0, source.View().row_bytes);
    return found;
  }
  const uint64_t rows_each = source.slices_are_columns
                                 ? source.rows
                                 : source.rows / source.slices.size();
  for (size_t i = 0; i < source.slices.size(); ++i) {
    add(source.slices[i], source.slices_are_columns ? 0 : i * rows_each,
        source.slices[i].size() / std::max<uint64_t>(1, rows_each));
  }
  return found;
}

}  // namespace inference
