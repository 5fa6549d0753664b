// SPDX-License-Identifier: Apache-2.0
// What every container boils down to: names of tensors with dtype, shape and
// the byte range that holds them. Bounds, overlap and duplicates are checked
// here, once, for all containers.
// Tested by tests/verify/checkpoint/tensor_table_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"

namespace verify {

inline constexpr uint64_t kMaxTensors = 1'000'000;
inline constexpr size_t kMaxTensorNameBytes = 4096;
inline constexpr size_t kMaxTensorDims = 8;

// Where a slice of a tensor lies; see TensorInfo::slices.
struct TensorSlice {
  uint32_t file_index = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  // Outermost first, row-major: a linear weight is [out, in].
  std::vector<uint64_t> shape;
  // Elements to skip per dimension; empty means contiguous (row-major).
  std::vector<uint64_t> strides;
  uint32_t file_index = 0;  // into the owner's list of files
  uint64_t offset = 0;      // of the first element, from the file's start
  uint64_t size_bytes = 0;  // from `offset` to the end of the last element
  // Not empty: a matrix that a tensor-parallel run cut into slices of equal
  // shape, each row-major, which stand below each other (sliced_dim 0) or side
  // by side (1) in this order. `file_index` and `offset` are then those of the
  // first, `size_bytes` is that of all.
  std::vector<TensorSlice> slices;
  size_t sliced_dim = 0;

  bool contiguous() const { return strides.empty(); }
  bool sliced() const { return !slices.empty(); }
};

// Where a tensor lies: one place, or that of each slice.
std::vector<TensorSlice> PlacesIn(const TensorInfo& tensor);

// Product of the dimensions (1 for a scalar); nothing on overflow.
std::optional<uint64_t> NumElements(const std::vector<uint64_t>& shape);

// "[32000, 4096]".
std::string ShapeText(const std::vector<uint64_t>& shape);

// Tensors in the order of Add. Thread-compatible.
class TensorTable {
 public:
  // kLimit (too many, too many dimensions, name too long), kCorrupt (name
  // twice, name with control characters, size that does not follow from dtype
  // and shape, range past `file_size`).
  Result<void> Add(TensorInfo tensor, uint64_t file_size);

  // A tensor in slices, each of which stands in a table that was checked.
  // Requires sliced(). Errors: as Add.
  Result<void> AddSliced(TensorInfo tensor);

  // Null if there is none. Valid while the table lives unchanged.
  const TensorInfo* Find(std::string_view name) const;

  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  size_t size() const { return tensors_.size(); }

 private:
  Result<void> CheckShape(const TensorInfo& tensor) const;
  Result<void> Put(TensorInfo tensor);

  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> by_name_;
};

}  // namespace verify
