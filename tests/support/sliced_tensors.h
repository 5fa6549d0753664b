// SPDX-License-Identifier: Apache-2.0
// The tensors of one model cut as a tensor-parallel run cuts them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/tiny_checkpoint.h"
#include "verify/checkpoint/dtype.h"

namespace tests {

// Rows or columns [first, first + extent) of a matrix.
inline TinyTensor SliceOf(const TinyTensor& whole, size_t dim, uint64_t first,
                          uint64_t extent) {
  TinyTensor slice{whole.name, whole.dtype, whole.shape, {}};
  slice.shape[dim] = extent;
  const uint64_t item = verify::BlockBytes(whole.dtype);
  for (uint64_t r = 0; r < slice.shape[0]; ++r) {
    const uint64_t row = dim == 0 ? first + r : r;
    const uint64_t col = dim == 1 ? first : 0;
    const auto begin =
        whole.data.begin() +
        static_cast<std::ptrdiff_t>((row * whole.shape[1] + col) * item);
    slice.data.insert(
        slice.data.end(), begin,
        begin + static_cast<std::ptrdiff_t>(slice.shape[1] * item));
  }
  return slice;
}

// The dimension along which a run cuts a tensor of Mistral's names; -1 if each
// file has all of it. Embeddings: `embedding_dim`.
inline int CutDim(std::string_view name, int embedding_dim) {
  if (name.ends_with("norm.weight") || name.ends_with(".gate.weight")) {
    return -1;
  }
  if (name == "tok_embeddings.weight") return embedding_dim;
  return name.ends_with("wo.weight") || name.ends_with("w2.weight") ? 1 : 0;
}

// The tensors of each of `number` files.
inline std::vector<std::vector<TinyTensor>> Sliced(
    const std::vector<TinyTensor>& tensors, uint64_t number,
    int embedding_dim = 1) {
  std::vector<std::vector<TinyTensor>> files(static_cast<size_t>(number));
  for (const TinyTensor& tensor : tensors) {
    const int dim = CutDim(tensor.name, embedding_dim);
    for (uint64_t i = 0; i < number; ++i) {
      auto& file = files[static_cast<size_t>(i)];
      if (dim < 0) {
        file.push_back(tensor);
        continue;
      }
      const uint64_t extent = tensor.shape[static_cast<size_t>(dim)] / number;
      file.push_back(
          SliceOf(tensor, static_cast<size_t>(dim), i * extent, extent));
    }
  }
  return files;
}

}  // namespace tests
