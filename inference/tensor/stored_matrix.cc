// SPDX-License-Identifier: Apache-2.0
#include "inference/tensor/stored_matrix.h"

#include <string>
#include <utility>

#include "inference/quant/quantize.h"
#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/structure/fp8_scale.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::ModelConfig;
using verify::NameScheme;
using verify::Result;
using verify::StrCat;
using verify::TensorInfo;
using verify::TensorRole;

verify::Unexpected Refuse(const TensorInfo& tensor, std::string_view what) {
  return Fail(ErrorCode::kCorrupt,
              StrCat("tensor \"", verify::EscapeForTerminal(tensor.name), "\" ",
                     verify::ShapeText(tensor.shape), ": ", what))
      .Id("E-STRUCTURE");
}

verify::Unexpected Unsupported(const TensorInfo& tensor, std::string_view what,
                               const char* id) {
  return Fail(ErrorCode::kUnsupported,
              StrCat("tensor \"", verify::EscapeForTerminal(tensor.name),
                     "\": ", what))
      .Id(id);
}

// The whole tensor as a matrix: all dimensions but the last are rows.
Result<StoredMatrix> WholeTensor(const TensorInfo& tensor) {
  StoredMatrix matrix;
  matrix.tensor = &tensor;
  const size_t dims = tensor.shape.size();
  if (dims == 0) return Refuse(tensor, "a number, not a matrix");
  matrix.cols = tensor.shape.back();
  for (size_t d = 0; d + 1 < dims; ++d) matrix.rows *= tensor.shape[d];
  matrix.row_stride = matrix.cols;
  if (tensor.contiguous()) return matrix;  // or in slices
  if (dims > 2 || verify::BlockElements(tensor.dtype) != 1) {
    return Unsupported(tensor, "stored with strides that are not read",
                       "E-STRIDES");
  }
  matrix.row_stride = dims == 2 ? tensor.strides[0] : 0;
  matrix.col_stride = tensor.strides[dims - 1];
  return matrix;
}

// `matrix` holds one matrix for each expert, one after the other by rows.
Result<uint64_t> TakeExpert(StoredMatrix& matrix, const ModelConfig& config,
                            uint64_t expert) {
  if (config.num_experts == 0 || matrix.rows % config.num_experts != 0 ||
      expert >= config.num_experts) {
    return Refuse(*matrix.tensor, "not a matrix for each expert");
  }
  matrix.rows /= config.num_experts;
  return expert * matrix.rows * matrix.row_stride;
}

// Elements from the first to the last, both counted.
uint64_t Extent(const StoredMatrix& matrix) {
  if (matrix.rows == 0 || matrix.cols == 0) return 0;
  return (matrix.rows - 1) * matrix.row_stride +
         (matrix.cols - 1) * matrix.col_stride + 1;
}

// The numbers of an fp8 weight are to be multiplied with those of another
// tensor, whose name follows from its own: one for each block (DeepSeek's and
// transformers' weights in blocks), or one for all.
Result<MatrixScales> FindScales(const verify::Checkpoint& checkpoint,
                                const ModelConfig& config,
                                const StoredMatrix& matrix) {
  MatrixScales scales;
  const std::string name =
      verify::Fp8ScaleName(checkpoint.tensors(), *matrix.tensor);
  if (name.empty()) return scales;
  const TensorInfo& tensor = *checkpoint.tensors().Find(name);
  scales.block_rows = matrix.rows;
  scales.block_cols = matrix.cols;
  const uint64_t count = verify::NumElements(tensor.shape).value_or(0);
  const uint64_t side = config.traits.fp8_block;
  if (count != 1 && side > 0) {
    scales.block_rows = side;
    scales.block_cols = side;
    scales.blocks_in_row = (matrix.cols + side - 1) / side;
  }
  const uint64_t block_rows =
      count == 1 ? 1
                 : (matrix.rows + scales.block_rows - 1) / scales.block_rows;
  if (tensor.sliced() || !tensor.contiguous() ||
      verify::BlockElements(tensor.dtype) != 1 || !CanDecode(tensor.dtype) ||
      count != block_rows * scales.blocks_in_row) {
    return Refuse(tensor,
                  StrCat("no scales of \"",
                         verify::EscapeForTerminal(matrix.tensor->name), "\" ",
                         verify::ShapeText(matrix.tensor->shape)));
  }
  scales.tensor = &tensor;
  scales.bytes = checkpoint.Bytes(tensor);
  return scales;
}

}  // namespace

TensorView StoredMatrix::View() const {
  TensorView view;
  view.dtype = tensor->dtype;
  view.rows = static_cast<size_t>(rows);
  view.cols = static_cast<size_t>(cols);
  view.data = slices.empty() ? bytes.data() : slices.front().data();
  // What was found fits its tensor, so no size overflows.
  const uint64_t block = verify::BlockElements(view.dtype);
  const uint64_t block_bytes = verify::BlockBytes(view.dtype);
  view.row_bytes = static_cast<size_t>(row_stride / block * block_bytes);
  if (col_stride != 1) {
    view.col_bytes = static_cast<size_t>(col_stride * block_bytes);
  }
  view.parts_are_columns = slices_are_columns;
  for (const verify::ByteSpan slice : slices) {
    const size_t extent =
        (slices_are_columns ? view.cols : view.rows) / slices.size();
    view.parts.push_back({slice.data(), extent});
  }
  return view;
}

std::vector<verify::ByteSpan> StoredMatrix::Spans() const {
  if (!slices.empty()) return slices;
  return {bytes};
}

uint64_t RotatedHeads(const ModelConfig& config, TensorRole role) {
  if (role == TensorRole::kAttentionQ) return config.num_heads;
  return role == TensorRole::kAttentionK ? config.num_kv_heads : 0;
}

Result<StoredMatrix> FindStoredMatrix(const verify::Checkpoint& checkpoint,
                                      const ModelConfig& config,
                                      TensorRole role, int64_t layer,
                                      int64_t expert) {
  const TensorInfo* const tensor = checkpoint.tensors().Find(
      verify::TensorName(config.family, config.names, role, layer, expert));
  CHECK(tensor != nullptr);
  ASSIGN_OR_RETURN(StoredMatrix matrix, WholeTensor(*tensor));
  uint64_t first = 0;
  const bool holds_all = config.names == NameScheme::kGguf ||
                         config.names == NameScheme::kMistralStacked;
  if (expert >= 0 && holds_all) {
    ASSIGN_OR_RETURN(first,
                     TakeExpert(matrix, config, static_cast<uint64_t>(expert)));
    if (config.names == NameScheme::kMistralStacked &&
        role == TensorRole::kFfnDown) {
      std::swap(matrix.rows, matrix.cols);
      std::swap(matrix.row_stride, matrix.col_stride);
    }
  }
  if (config.rope_style == verify::RopeStyle::kHalf) {
    matrix.half_rotated_heads = RotatedHeads(config, role);
  }
  if (tensor->sliced()) {
    if (matrix.rows * matrix.cols != verify::NumElements(tensor->shape) ||
        tensor->shape.size() != 2) {
      return Unsupported(*tensor, "stacked experts in slices are not read",
                         "E-PARTS");
    }
    matrix.slices = checkpoint.Slices(*tensor);
    matrix.slices_are_columns = tensor->sliced_dim == 1;
    return matrix;
  }
  if (matrix.col_stride != 1 && verify::BlockElements(tensor->dtype) != 1) {
    return Unsupported(*tensor, "packed blocks cannot be read across",
                       "E-STRIDES");
  }
  if (matrix.row_stride % verify::BlockElements(tensor->dtype) != 0) {
    return Refuse(*tensor, "rows are no whole number of blocks");
  }
  const auto begin = verify::DTypeBytes(tensor->dtype, first);
  const auto size = verify::DTypeBytes(tensor->dtype, Extent(matrix));
  if (!begin.has_value() || !size.has_value() || *begin > tensor->size_bytes ||
      *size > tensor->size_bytes - *begin) {
    return Refuse(*tensor, "more elements than the tensor has bytes for");
  }
  matrix.bytes = checkpoint.Bytes(*tensor).subspan(static_cast<size_t>(*begin),
                                                   static_cast<size_t>(*size));
  if (tensor->dtype == verify::DType::kF8E4M3) {
    ASSIGN_OR_RETURN(matrix.scales, FindScales(checkpoint, config, matrix));
  }
  return matrix;
}

}  // namespace inference
