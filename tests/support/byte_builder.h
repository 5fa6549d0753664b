// SPDX-License-Identifier: Apache-2.0
// Puts binary files together byte by byte, little-endian, right or wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace tests {

class ByteBuilder {
 public:
  ByteBuilder& U8(uint8_t value) { return Number(value); }
  ByteBuilder& U16(uint16_t value) { return Number(value); }
  ByteBuilder& U32(uint32_t value) { return Number(value); }
  ByteBuilder& U64(uint64_t value) { return Number(value); }
  ByteBuilder& I32(int32_t value) { return Number(value); }
  ByteBuilder& I64(int64_t value) { return Number(value); }
  ByteBuilder& F32(float value) { return Number(value); }
  ByteBuilder& F64(double value) { return Number(value); }
  ByteBuilder& Text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  ByteBuilder& Zeros(size_t count) {
    bytes_.append(count, '\0');
    return *this;
  }
  // Zeros up to the next multiple.
  ByteBuilder& Align(size_t alignment) {
    while (bytes_.size() % alignment != 0) bytes_ += '\0';
    return *this;
  }

  size_t size() const { return bytes_.size(); }
  const std::string& str() const { return bytes_; }

 private:
  template <typename T>
  ByteBuilder& Number(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes_.append(raw, sizeof(T));
    return *this;
  }

  std::string bytes_;
};

}  // namespace tests
