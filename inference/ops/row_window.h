// SPDX-License-Identifier: Apache-2.0
// Rows that are the lanes of a vector, at the end of a matrix too.
#pragma once

#include <algorithm>
#include <cstddef>

namespace inference {

// `lanes` rows of a matrix from `row` on, of which `count` from lane `shift` on
// are wanted: at the end of the matrix rows before them come first.
struct RowWindow {
  size_t row;
  size_t shift;
  size_t count;
};

// The window for rows [r, end) of a matrix of num_rows, or of `lanes` if it has
// fewer.
inline RowWindow WindowAt(size_t num_rows, size_t r, size_t end, size_t lanes) {
  const size_t last = std::max(num_rows, lanes) - lanes;
  const size_t row = std::min(r, last);
  const size_t shift = r - row;
  return {row, shift, std::min(end - r, lanes - shift)};
}

}  // namespace inference
