// SPDX-License-Identifier: Apache-2.0
// The part of a GGUF v3 file that stands before the tensor data: header,
// metadata, tensor table. Same calls, same bytes. Format:
// docs/formats/gguf.md. Tested by tests/inference/convert/gguf_writer_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"
#include "verify/checkpoint/gguf_format.h"

namespace inference {

// Keys and tensors are written in the order of the calls. Each tensor starts
// where the padded one before it ends, as llama.cpp demands. Thread-compatible.
class GgufHeader {
 public:
  // Metadata. A key must not be used twice.
  void AddUint16(std::string_view key, uint16_t value);
  void AddUint32(std::string_view key, uint32_t value);
  void AddInt32(std::string_view key, int32_t value);
  void AddFloat32(std::string_view key, float value);
  void AddBool(std::string_view key, bool value);
  void AddString(std::string_view key, std::string_view value);
  void AddStrings(std::string_view key, std::span<const std::string> values);
  void AddFloat32s(std::string_view key, std::span<const float> values);
  void AddInt32s(std::string_view key, std::span<const int32_t> values);

  // `shape` outermost first. kUnsupported (a dtype or a number of dimensions
  // that GGUF lacks), kLimit (name too long, sizes beyond 64 bits).
  verify::Result<void> AddTensor(std::string_view name,
                                 std::span<const uint64_t> shape,
                                 verify::DType dtype);

  // Takes back the last AddTensor. Requires num_tensors() > 0.
  void RemoveLastTensor();

  // Bytes().size(), without making them.
  uint64_t num_bytes() const;
  // Header, metadata and table, padded to where the data starts.
  std::string Bytes() const;

  // Offset of a tensor from the start of the data, and its size with and
  // without the padding after it. Requires index < num_tensors().
  size_t num_tensors() const { return tensors_.size(); }
  uint64_t tensor_offset(size_t index) const { return tensors_[index].offset; }
  uint64_t tensor_bytes(size_t index) const { return tensors_[index].bytes; }
  uint64_t padded_bytes(size_t index) const;
  // Sum of all padded sizes.
  uint64_t data_bytes() const { return data_bytes_; }

 private:
  struct Tensor {
    uint64_t offset = 0;
    uint64_t bytes = 0;
    size_t table_offset = 0;  // of its entry
  };

  void AddKey(std::string_view key, verify::GgufValueType type);
  void AddArray(std::string_view key, verify::GgufValueType element,
                uint64_t count);

  uint64_t num_values_ = 0;
  std::string metadata_;
  std::string table_;
  std::vector<Tensor> tensors_;
  uint64_t data_bytes_ = 0;
};

}  // namespace inference
