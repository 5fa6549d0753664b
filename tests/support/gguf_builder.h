// SPDX-License-Identifier: Apache-2.0
// GGUF and safetensors files, right or wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/byte_builder.h"

namespace tests {

// A length and its bytes.
std::string GgufString(std::string_view text);

class GgufBuilder {
 public:
  // Key, type id, value bytes as they stand in the file.
  GgufBuilder& Key(std::string_view key, uint32_t type, std::string_view value);
  GgufBuilder& KeyU32(std::string_view key, uint32_t value);
  GgufBuilder& KeyText(std::string_view key, std::string_view value);
  GgufBuilder& KeyTexts(std::string_view key,
                        const std::vector<std::string>& values);

  struct Tensor {
    std::string name;
    std::vector<uint64_t> ne;  // innermost first, as in the file
    uint32_t type = 0;
    std::string data;
    std::optional<uint64_t> offset;  // a lie instead of the running sum
  };
  GgufBuilder& Add(Tensor tensor);

  // Header fields that lie, if set.
  uint32_t version = 3;
  uint32_t alignment = 32;  // of the layout; the key is the caller's
  std::optional<uint64_t> num_tensors;
  std::optional<uint64_t> num_keys;

  std::string Build() const;

 private:
  ByteBuilder keys_;
  uint64_t key_count_ = 0;
  std::vector<Tensor> tensors_;
};

// N, the header, the data.
std::string BuildSafetensors(std::string_view header, std::string_view data);

}  // namespace tests
