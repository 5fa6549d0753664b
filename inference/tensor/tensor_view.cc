// SPDX-License-Identifier: Apache-2.0
#include "inference/tensor/tensor_view.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "verify/base/check.h"

namespace inference {
namespace {

template <size_t kBytes>
void Gather(const TensorView& view, size_t begin, size_t count,
            std::byte* out) {
  const std::byte* const first = view.data + begin * view.row_bytes;
  for (size_t c = 0; c < view.cols; ++c) {
    const std::byte* from = first + c * view.col_bytes;
    std::byte* to = out + c * kBytes;
    for (size_t r = 0; r < count; ++r) {
      std::memcpy(to, from, kBytes);
      from += view.row_bytes;
      to += view.cols * kBytes;
    }
  }
}

// Where row `row` of a matrix in parts by rows begins, and how many more rows
// its part holds from there on.
std::pair<const std::byte*, size_t> FindRow(const TensorView& view,
                                            size_t row) {
  for (const ViewPart& part : view.parts) {
    if (row < part.extent) {
      return {part.data + row * view.row_bytes, part.extent - row};
    }
    row -= part.extent;
  }
  CHECK(false);
  return {};
}

void GatherFromRows(const TensorView& view, size_t begin, size_t count,
                    std::byte* out) {
  while (count > 0) {
    const auto [from, left] = FindRow(view, begin);
    const size_t here = std::min(count, left);
    std::memcpy(out, from, here * view.row_bytes);
    out += here * view.row_bytes;
    begin += here;
    count -= here;
  }
}

void GatherFromColumns(const TensorView& view, size_t begin, size_t count,
                       std::byte* out) {
  const auto element = static_cast<size_t>(verify::BlockBytes(view.dtype));
  for (const ViewPart& part : view.parts) {
    const size_t bytes = part.extent * element;
    const std::byte* from = part.data + begin * bytes;
    std::byte* to = out;
    for (size_t r = 0; r < count; ++r) {
      std::memcpy(to, from, bytes);
      from += bytes;
      to += view.row_bytes;
    }
    out += bytes;
  }
}

}  // namespace

RowBytes TensorView::Row(size_t row) const {
  CHECK(col_bytes == 0);
  if (parts.empty()) {
    return RowBytes(verify::ByteSpan(data + row * row_bytes, row_bytes));
  }
  if (!parts_are_columns) {
    return RowBytes(verify::ByteSpan(FindRow(*this, row).first, row_bytes));
  }
  std::vector<std::byte> gathered(row_bytes);
  GatherRows(*this, row, 1, gathered.data());
  return RowBytes(std::move(gathered));
}

void GatherRows(const TensorView& view, size_t begin, size_t count,
                std::byte* out) {
  CHECK(verify::BlockElements(view.dtype) == 1);
  if (!view.parts.empty()) {
    return view.parts_are_columns ? GatherFromColumns(view, begin, count, out)
                                  : GatherFromRows(view, begin, count, out);
  }
  switch (verify::BlockBytes(view.dtype)) {
    case 1:
      return Gather<1>(view, begin, count, out);
    case 2:
      return Gather<2>(view, begin, count, out);
    case 4:
      return Gather<4>(view, begin, count, out);
    case 8:
      return Gather<8>(view, begin, count, out);
    default:
      CHECK(false);
  }
}

}  // namespace inference
