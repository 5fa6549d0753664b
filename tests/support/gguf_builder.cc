// SPDX-License-Identifier: Apache-2.0
#include "tests/support/gguf_builder.h"

#include <utility>

namespace tests {

std::string GgufString(std::string_view text) {
  return ByteBuilder().U64(text.size()).Text(text).str();
}

GgufBuilder& GgufBuilder::Key(std::string_view key, uint32_t type,
                              std::string_view value) {
  keys_.Text(GgufString(key)).U32(type).Text(value);
  ++key_count_;
  return *this;
}

GgufBuilder& GgufBuilder::KeyU32(std::string_view key, uint32_t value) {
  return Key(key, 4, ByteBuilder().U32(value).str());
}

GgufBuilder& GgufBuilder::KeyText(std::string_view key,
                                  std::string_view value) {
  return Key(key, 8, GgufString(value));
}

GgufBuilder& GgufBuilder::KeyTexts(std::string_view key,
                                   const std::vector<std::string>& values) {
  ByteBuilder array;
  array.U32(8).U64(values.size());
  for (const std::string& value : values) array.Text(GgufString(value));
  return Key(key, 9, array.str());
}

GgufBuilder& GgufBuilder::Add(Tensor tensor) {
  tensors_.push_back(std::move(tensor));
  return *this;
}

std::string GgufBuilder::Build() const {
  ByteBuilder out;
  out.Text("GGUF")
      .U32(version)
      .U64(num_tensors.value_or(tensors_.size()))
      .U64(num_keys.value_or(key_count_))
      .Text(keys_.str());
  ByteBuilder data;
  for (const Tensor& tensor : tensors_) {
    out.Text(GgufString(tensor.name))
        .U32(static_cast<uint32_t>(tensor.ne.size()));
    for (const uint64_t dim : tensor.ne) out.U64(dim);
    out.U32(tensor.type).U64(tensor.offset.value_or(data.size()));
    data.Text(tensor.data).Align(alignment);
  }
  out.Align(alignment).Text(data.str());
  return out.str();
}

std::string BuildSafetensors(std::string_view header, std::string_view data) {
  return ByteBuilder().U64(header.size()).Text(header).Text(data).str();
}

}  // namespace tests
