// SPDX-License-Identifier: Apache-2.0
// Rows of a stored matrix as numbers.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/quant/quantize.h"
#include "inference/tensor/stored_matrix.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ByteSpan;
using verify::DType;
using verify::Result;

// Rows that do not lie side by side are gathered together: as many as share the
// lines of memory, if they are not long.
constexpr uint64_t kGatherRows = 32;
constexpr uint64_t kMaxGatherBytes = 1u << 20;

// The factors of blocks [begin, end), counted row by row.
void ReadScales(const MatrixScales& scales, uint64_t begin, uint64_t end,
                std::vector<float>& out) {
  const uint64_t item = verify::BlockBytes(scales.tensor->dtype);
  out.resize(static_cast<size_t>(end - begin));
  DecodeRow(scales.tensor->dtype,
            scales.bytes.subspan(static_cast<size_t>(begin * item),
                                 static_cast<size_t>((end - begin) * item)),
            out);
}

// Multiplies row `row` with its factors.
void ApplyScales(const MatrixScales& scales, uint64_t row,
                 std::span<float> values, std::vector<float>& factors) {
  const uint64_t first = row / scales.block_rows * scales.blocks_in_row;
  ReadScales(scales, first, first + scales.blocks_in_row, factors);
  const auto width = static_cast<size_t>(scales.block_cols);
  for (size_t block = 0, at = 0; at < values.size(); ++block, at += width) {
    const size_t end = std::min(values.size(), at + width);
    for (size_t c = at; c < end; ++c) values[c] *= factors[block];
  }
}

}  // namespace

bool CanDecodeRows(const StoredMatrix& matrix) {
  const DType dtype = matrix.tensor->dtype;
  const bool needs_scales = dtype == DType::kF8E4M3;
  return CanDecode(dtype) && (!needs_scales || matrix.scales.tensor != nullptr);
}

Result<void> CheckScales(const StoredMatrix& matrix) {
  const MatrixScales& scales = matrix.scales;
  if (scales.tensor == nullptr) return {};
  const uint64_t count =
      scales.bytes.size() / verify::BlockBytes(scales.tensor->dtype);
  std::vector<float> factors;
  for (uint64_t begin = 0; begin < count; begin += scales.blocks_in_row) {
    ReadScales(scales, begin, begin + scales.blocks_in_row, factors);
    const auto bad = std::find_if(
        factors.begin(), factors.end(),
        [](float factor) { return !std::isfinite(factor) || factor <= 0; });
    if (bad == factors.end()) continue;
    return verify::Fail(
               verify::ErrorCode::kCorrupt,
               verify::StrCat(
                   "tensor \"", verify::EscapeForTerminal(scales.tensor->name),
                   "\": scale ",
                   begin + static_cast<uint64_t>(bad - factors.begin()), " is ",
                   static_cast<double>(*bad), ", expected a number above zero"))
        .Id("E-SCALE")
        .Hint("this copy is damaged; fetch it again");
  }
  return {};
}

void ScaleRow(const StoredMatrix& matrix, uint64_t row,
              std::span<float> values) {
  CHECK(row < matrix.rows && values.size() == matrix.cols);
  if (matrix.scales.tensor == nullptr) return;
  std::vector<float> factors;
  ApplyScales(matrix.scales, row, values, factors);
}

void DecodeRows(const StoredMatrix& matrix, uint64_t first, uint64_t count,
                std::span<float> out) {
  CHECK(CanDecodeRows(matrix) && first <= matrix.rows &&
        count <= matrix.rows - first && out.size() == count * matrix.cols);
  const TensorView view = matrix.View();
  const auto cols = static_cast<size_t>(matrix.cols);
  const auto row_bytes =
      static_cast<size_t>(verify::DTypeBytes(view.dtype, cols).value_or(0));
  const auto at_once = std::clamp<uint64_t>(
      kMaxGatherBytes / std::max<size_t>(1, row_bytes), 1, kGatherRows);
  std::vector<std::byte> gathered;
  std::vector<float> factors;
  for (uint64_t done = 0; done < count;) {
    const uint64_t row = first + done;
    const uint64_t here = view.has_rows() ? 1 : std::min(count - done, at_once);
    const std::byte* bytes = view.data + row * view.row_bytes;
    if (!view.has_rows()) {
      gathered.resize(static_cast<size_t>(here) * row_bytes);
      GatherRows(view, static_cast<size_t>(row), static_cast<size_t>(here),
                 gathered.data());
      bytes = gathered.data();
    }
    for (uint64_t r = 0; r < here; ++r) {
      const auto values =
          out.subspan(static_cast<size_t>(done + r) * cols, cols);
      DecodeRow(view.dtype, ByteSpan(bytes + r * row_bytes, row_bytes), values);
      if (matrix.scales.tensor != nullptr) {
        ApplyScales(matrix.scales, row + r, values, factors);
      }
    }
    done += here;
  }
}

}  // namespace inference
