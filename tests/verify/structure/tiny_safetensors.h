// SPDX-License-Identifier: Apache-2.0
// A small safetensors file with some tensors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/gguf_builder.h"
#include "verify/base/text.h"

namespace tests {

class TinySafetensors {
 public:
  void Add(std::string_view name, std::string_view dtype,
           const std::vector<uint64_t>& shape, std::string_view data) {
    std::string dims;
    for (const uint64_t dim : shape) {
      if (!dims.empty()) dims += ",";
      dims += std::to_string(dim);
    }
    if (!header_.empty()) header_ += ",";
    header_ +=
        verify::StrCat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":[",
                       dims, "],\"data_offsets\":[", data_.size(), ",",
                       data_.size() + data.size(), "]}");
    data_ += data;
  }

  std::string Bytes() const {
    return BuildSafetensors("{" + header_ + "}", data_);
  }

 private:
  std::string header_;
  std::string data_;
};

}  // namespace tests
