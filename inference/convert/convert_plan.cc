// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/convert_plan.h"

#include <algorithm>
#include <span>
#include <utility>

#include "verify/base/text.h"

namespace inference {
namespace {

using verify::Result;
using verify::StrCat;
using verify::TensorSpec;

// Raised with every change of the bytes that conversions write.
constexpr int kWriterVersion = 1;

// Grows the unit that is open and closes it when it is full.
class UnitCutter {
 public:
  UnitCutter(const UnitRules& rules, std::vector<Unit>& units)
      : unit_bytes_(std::max<uint64_t>(1, rules.bytes)),
        one_matrix_(rules.one_matrix),
        units_(units) {}

  bool one_matrix() const { return one_matrix_; }

  // What follows is of another matrix.
  void BeginMatrix() { full_ = full_ || one_matrix_; }

  // Bytes of the open unit for a place that follows it; opens one if need be.
  Unit& At(uint32_t file, uint64_t offset) {
    if (units_.empty() || full_ || units_.back().file != file) {
      units_.push_back({file, offset, 0, {}});
      full_ = false;
    }
    return units_.back();
  }

  // Rows that the open unit still takes, at least `together`.
  uint64_t Room(const Unit& unit, uint64_t row_bytes, uint64_t together) {
    const uint64_t left =
        unit.bytes < unit_bytes_ ? unit_bytes_ - unit.bytes : 0;
    const uint64_t rows = left / row_bytes / together * together;
    return std::max(rows, together);
  }

  void Grow(Unit& unit, uint64_t bytes) {
    unit.bytes += bytes;
    full_ = unit.bytes >= unit_bytes_;
  }

  // Padding stands in the unit of the row before it, full or not.
  void Pad(uint64_t bytes) { units_.back().bytes += bytes; }

  // Closes the open unit unless `bytes` more fit, so that rows which have to
  // stay together do not make it twice as long.
  void MakeRoom(uint64_t bytes) {
    if (!units_.empty() && units_.back().bytes > 0 &&
        units_.back().bytes + bytes > unit_bytes_) {
      full_ = true;
    }
  }

 private:
  uint64_t unit_bytes_;
  bool one_matrix_;
  std::vector<Unit>& units_;
  bool full_ = false;
};

Result<void> CutTensor(const PlannedTensor& tensor, uint32_t index,
                       UnitCutter& cutter) {
  uint64_t at = tensor.offset;
  for (uint32_t s = 0; s < tensor.sources.size(); ++s) {
    const StoredMatrix& source = tensor.sources[s];
    ASSIGN_OR_RETURN(const uint64_t row_bytes,
                     ConvertedRowBytes(source, tensor.form.dtype));
    const bool is_across = source.slices.empty() && source.col_stride != 1;
    const uint64_t together = is_across && cutter.one_matrix()
                                  ? std::max<uint64_t>(1, source.rows)
                                  : RowsTogether(source);
    cutter.BeginMatrix();
    for (uint64_t first = 0; first < source.rows;) {
      const uint64_t left = source.rows - first;
      cutter.MakeRoom(std::min(left, together) * row_bytes);
      Unit& unit = cutter.At(tensor.file, at);
      const uint64_t count =
          std::min(left, cutter.Room(unit, row_bytes, together));
      unit.rows.push_back({index, s, first, count, unit.bytes});
      cutter.Grow(unit, count * row_bytes);
      first += count;
      at += count * row_bytes;
    }
  }
  CHECK(at == tensor.offset + tensor.bytes);
  const uint64_t padding = tensor.padded_bytes - tensor.bytes;
  if (padding > 0) cutter.Pad(padding);
  return {};
}

Result<void> CheckScalesIn(const SourceReader& reader,
                           const StoredMatrix& matrix) {
  if (matrix.scales.tensor == nullptr) return {};
  std::vector<std::byte> bytes(matrix.scales.bytes.size());
  RETURN_IF_ERROR(reader.Read(matrix.scales.bytes, bytes));
  StoredMatrix held = matrix;
  held.scales.bytes = bytes;
  return CheckScales(held);
}

class PlanHasher {
 public:
  template <typename... Pieces>
  void Line(const Pieces&... pieces) {
    hasher_.Update(verify::AsBytes(StrCat(pieces..., '\n')));
  }
  verify::Sha256Digest Finish() { return hasher_.Finish(); }

 private:
  verify::Sha256Hasher hasher_;
};

void HashTensor(const PlannedTensor& tensor, PlanHasher& hasher) {
  hasher.Line(
      "tensor ", tensor.name, ' ', verify::ShapeText(tensor.shape), ' ',
      verify::DTypeName(tensor.form.dtype), ' ', tensor.form.half_rotated_heads,
      ' ', tensor.form.non_finite == NonFinite::kKeep ? 1 : 0, ' ', tensor.file,
      ' ', tensor.offset, ' ', tensor.bytes, ' ', tensor.padded_bytes);
  for (const std::vector<float>& weights : tensor.importance) {
    hasher.Line(
        "importance ",
        verify::HexEncode(verify::Sha256(std::as_bytes(std::span(weights)))));
  }
  for (const StoredMatrix& source : tensor.sources) {
    hasher.Line("source ", source.tensor->file_index, ' ',
                source.tensor->offset, ' ', source.tensor->name, ' ',
                verify::DTypeName(source.tensor->dtype), ' ', source.rows, ' ',
                source.cols, ' ', source.row_stride, ' ', source.col_stride,
                ' ', source.half_rotated_heads, ' ', source.slices.size(), ' ',
                source.slices_are_columns ? 1 : 0);
    if (source.scales.tensor == nullptr) continue;
    hasher.Line("scales ", source.scales.tensor->file_index, ' ',
                source.scales.tensor->offset, ' ', source.scales.block_rows,
                ' ', source.scales.block_cols);
  }
}

}  // namespace

uint64_t ConvertPlan::total_bytes() const {
  uint64_t sum = 0;
  for (const PlannedFile& file : files) sum += file.bytes;
  return sum;
}

uint64_t ConvertPlan::head_bytes() const {
  uint64_t sum = 0;
  for (const PlannedFile& file : files) sum += file.head.size();
  return sum;
}

uint64_t ConvertPlan::num_weighed() const {
  return static_cast<uint64_t>(std::count_if(
      tensors.begin(), tensors.end(),
      [](const PlannedTensor& tensor) { return !tensor.importance.empty(); }));
}

Result<std::vector<StoredMatrix>> FindSources(const ConvertSource& source,
                                              const TensorSpec& spec) {
  const bool of_experts = spec.shape.size() == 3;
  const int64_t count =
      of_experts ? static_cast<int64_t>(source.config.num_experts) : 1;
  std::vector<StoredMatrix> sources;
  for (int64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(
        const StoredMatrix matrix,
        FindStoredMatrix(source.checkpoint, source.config, spec.role,
                         spec.layer, of_experts ? i : spec.expert));
    RETURN_IF_ERROR(CheckScalesIn(source.reader, matrix));
    sources.push_back(matrix);
  }
  return sources;
}

Result<PlannedTensor> PlanTensor(const ConvertSource& source,
                                 const TensorSpec& spec, const RowForm& form) {
  PlannedTensor planned;
  planned.name = spec.name;
  planned.shape = spec.shape;
  planned.form = form;
  ASSIGN_OR_RETURN(planned.sources, FindSources(source, spec));
  for (const StoredMatrix& matrix : planned.sources) {
    ASSIGN_OR_RETURN(const uint64_t row_bytes,
                     ConvertedRowBytes(matrix, form.dtype));
    // Both from shapes that were checked against the source's bytes, of which
    // no type has less than an eighth.
    planned.bytes += matrix.rows * row_bytes;
  }
  planned.padded_bytes = planned.bytes;
  if (source.importance.has_value() && UsesImportance(form.dtype)) {
    for (size_t i = 0; i < planned.sources.size(); ++i) {
      planned.importance.push_back(ColumnWeights(*source.importance, spec, i));
      if (planned.importance.back().empty()) {
        planned.importance.clear();  // nothing is known of this tensor
        break;
      }
    }
  }
  return planned;
}

Result<std::vector<Unit>> CutUnits(const std::vector<PlannedTensor>& tensors,
                                   const UnitRules& rules) {
  std::vector<Unit> units;
  UnitCutter cutter(rules, units);
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    RETURN_IF_ERROR(CutTensor(tensors[i], i, cutter));
  }
  return units;
}

verify::Sha256Digest DigestOf(const ConvertPlan& plan,
                              const std::vector<std::string>& source_states) {
  PlanHasher hasher;
  hasher.Line("writer ", kWriterVersion);
  for (const std::string& state : source_states) hasher.Line("from ", state);
  for (const PlannedFile& file : plan.files) {
    hasher.Line("file ", file.name, ' ', file.bytes, ' ', file.head.size(), ' ',
                verify::HexEncode(verify::Sha256(verify::AsBytes(file.head))));
  }
  for (const PlannedTensor& tensor : plan.tensors) HashTensor(tensor, hasher);
  for (const Unit& unit : plan.units) {
    hasher.Line("unit ", unit.file, ' ', unit.offset, ' ', unit.bytes);
  }
  return hasher.Finish();
}

}  // namespace inference
