// SPDX-License-Identifier: Apache-2.0
// How floats are laid out for products of several tokens.
// Tested by tests/inference/ops/float_products_test.cc.
#pragma once

#include <algorithm>
#include <cstddef>

namespace inference {

// Elements of a row that are multiplied before the next ones are laid out:
// those of a tile of tokens stay in the first cache, those of the rows of one
// call in the second. A whole number of blocks of every type.
inline constexpr size_t kFloatSlabColumns = 1024;

// Rows and tokens whose sums stay in registers, `lanes` along the row.
struct FloatTile {
  size_t lanes;
  size_t rows;
  size_t tokens;

  static constexpr size_t RoundUp(size_t n, size_t step) {
    return (n + step - 1) / step * step;
  }

  // Floats of tokens as `pack_tokens` lays them out: slabs of
  // kFloatSlabColumns, of tiles of tokens, of vectors of each token in turn;
  // what is missing is zero.
  size_t TokenFloats(size_t num_tokens, size_t n) const {
    return RoundUp(num_tokens, tokens) * RoundUp(n, lanes);
  }

  // Floats of scratch that `float_matmul` needs: rows of one slab in the same
  // layout, the sums so far, and a row as it is decoded.
  size_t SlabFloats(size_t num_rows, size_t n) const {
    return RoundUp(num_rows, rows) *
           std::min(RoundUp(n, lanes), kFloatSlabColumns);
  }
  size_t SumFloats(size_t num_rows, size_t num_tokens) const {
    return RoundUp(num_rows, rows) * RoundUp(num_tokens, tokens) * lanes;
  }
  size_t ScratchFloats(size_t num_rows, size_t num_tokens, size_t n) const {
    return SlabFloats(num_rows, n) + SumFloats(num_rows, num_tokens) +
           kFloatSlabColumns;
  }
};

}  // namespace inference
