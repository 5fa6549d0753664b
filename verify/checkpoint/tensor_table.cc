// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/tensor_table.h"

#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace verify {
namespace {

bool HasControlCharacter(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return true;
  }
  return false;
}

Unexpected Refuse(const TensorInfo& tensor, std::string_view what) {
  return Fail(ErrorCode::kCorrupt,
              StrCat("tensor \"", EscapeForTerminal(tensor.name, 128),
                     "\": ", what))
      .At(tensor.offset)
      .Id("E-TENSOR");
}

// Bytes from the first to the end of the last element, from dtype, shape and
// strides; nothing on overflow, for a row that is no whole number of blocks,
// and for strides on a packed type.
std::optional<uint64_t> SpanBytes(const TensorInfo& tensor) {
  const auto num_elements = NumElements(tensor.shape);
  if (!num_elements.has_value()) return std::nullopt;
  if (tensor.contiguous()) {
    const uint64_t block = BlockElements(tensor.dtype);
    if (block != 1 &&
        (tensor.shape.empty() || tensor.shape.back() % block != 0)) {
      return std::nullopt;
    }
    return DTypeBytes(tensor.dtype, *num_elements);
  }
  if (BlockElements(tensor.dtype) != 1) return std::nullopt;
  if (*num_elements == 0) return 0;
  uint64_t last = 0;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    const auto step = CheckedMul(tensor.shape[i] - 1, tensor.strides[i]);
    if (!step.has_value()) return std::nullopt;
    const auto sum = CheckedAdd(last, *step);
    if (!sum.has_value()) return std::nullopt;
    last = *sum;
  }
  const auto span = CheckedAdd<uint64_t>(last, 1);
  if (!span.has_value()) return std::nullopt;
  return DTypeBytes(tensor.dtype, *span);
}

}  // namespace

std::vector<TensorSlice> PlacesIn(const TensorInfo& tensor) {
  if (tensor.sliced()) return tensor.slices;
  return {{tensor.file_index, tensor.offset, tensor.size_bytes}};
}

std::optional<uint64_t> NumElements(const std::vector<uint64_t>& shape) {
  // A zero dimension makes the product zero whatever the others are: looked
  // for first, so that it can never hide an overflow from a later guard.
  for (const uint64_t dim : shape) {
    if (dim == 0) return 0;
  }
  uint64_t product = 1;
  for (const uint64_t dim : shape) {
    const auto next = CheckedMul(product, dim);
    if (!next.has_value()) return std::nullopt;
    product = *next;
  }
  return product;
}

std::string ShapeText(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

// All but the place.
Result<void> TensorTable::CheckShape(const TensorInfo& tensor) const {
  if (tensors_.size() >= kMaxTensors) {
    return Fail(ErrorCode::kLimit, StrCat("more than ", kMaxTensors,
                                          " tensors in one checkpoint"));
  }
  if (tensor.name.size() > kMaxTensorNameBytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("tensor name of ", tensor.name.size(),
                       " bytes, at most ", kMaxTensorNameBytes));
  }
  if (tensor.shape.size() > kMaxTensorDims) {
    return Fail(ErrorCode::kLimit,
                StrCat("tensor \"", EscapeForTerminal(tensor.name, 128),
                       "\": ", tensor.shape.size(), " dimensions, at most ",
                       kMaxTensorDims));
  }
  if (tensor.name.empty()) return Refuse(tensor, "the name is empty");
  if (!IsValidUtf8(tensor.name) || HasControlCharacter(tensor.name)) {
    return Refuse(tensor, "the name has control characters or is not UTF-8");
  }
  if (!tensor.strides.empty() && tensor.strides.size() != tensor.shape.size()) {
    return Refuse(tensor, StrCat(tensor.strides.size(), " strides for ",
                                 tensor.shape.size(), " dimensions"));
  }
  const auto span = SpanBytes(tensor);
  if (!span.has_value()) {
    return Refuse(tensor,
                  StrCat("shape ", ShapeText(tensor.shape), " of ",
                         DTypeName(tensor.dtype), " has no size in bytes"));
  }
  if (*span != tensor.size_bytes) {
    return Refuse(tensor, StrCat(tensor.size_bytes, " bytes declared, ",
                                 DTypeName(tensor.dtype), " ",
                                 ShapeText(tensor.shape), " takes ", *span));
  }
  return {};
}

Result<void> TensorTable::Put(TensorInfo tensor) {
  if (!by_name_.emplace(tensor.name, tensors_.size()).second) {
    return Refuse(tensor, "the name stands twice");
  }
  tensors_.push_back(std::move(tensor));
  return {};
}

Result<void> TensorTable::Add(TensorInfo tensor, uint64_t file_size) {
  RETURN_IF_ERROR(CheckShape(tensor));
  const auto end = CheckedAdd(tensor.offset, tensor.size_bytes);
  if (!end.has_value() || *end > file_size) {
    return Refuse(tensor,
                  StrCat(tensor.size_bytes, " bytes from byte ", tensor.offset,
                         " on, but the file has ", file_size));
  }
  return Put(std::move(tensor));
}

Result<void> TensorTable::AddSliced(TensorInfo tensor) {
  CHECK(tensor.sliced());
  RETURN_IF_ERROR(CheckShape(tensor));
  return Put(std::move(tensor));
}

const TensorInfo* TensorTable::Find(std::string_view name) const {
  const auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

}  // namespace verify
