// SPDX-License-Identifier: Apache-2.0
// Reading of untrusted bytes: little-endian loads, a bounds-checked cursor and
// checked arithmetic. Every parser of the project goes through these.
// Tested by tests/verify/base/bytes_test.cc.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "verify/base/check.h"
#include "verify/base/result.h"

namespace verify {

static_assert(std::endian::native == std::endian::little,
              "loads and mapped weights assume a little-endian machine");

using ByteSpan = std::span<const std::byte>;

// a + b, a * b, or nothing where the result does not fit.
template <std::unsigned_integral T>
constexpr std::optional<T> CheckedAdd(T a, T b) {
  T sum{};
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}
template <std::unsigned_integral T>
constexpr std::optional<T> CheckedMul(T a, T b) {
  T product{};
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// The smallest multiple of `alignment` that is >= value. Requires a power of
// two; nothing on overflow.
template <std::unsigned_integral T>
constexpr std::optional<T> AlignUp(T value, T alignment) {
  const auto sum = CheckedAdd<T>(value, alignment - 1);
  if (!sum.has_value()) return std::nullopt;
  return *sum & ~(alignment - 1);
}

// Loads T from the first sizeof(T) bytes, any alignment. Requires
// bytes.size() >= sizeof(T).
template <typename T>
T LoadLe(ByteSpan bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  CHECK(bytes.size() >= sizeof(T));
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

inline std::string_view AsText(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline ByteSpan AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A cursor over bytes that it does not own; they must outlive it. A read past
// the end is kCorrupt with the offset, and leaves the cursor where it was.
class ByteReader {
 public:
  // `base_offset`: where `bytes` stands in its file, for error offsets.
  explicit ByteReader(ByteSpan bytes, uint64_t base_offset = 0)
      : bytes_(bytes), base_offset_(base_offset) {}

  uint64_t offset() const { return base_offset_ + position_; }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  bool empty() const { return remaining() == 0; }

  template <typename T>
  Result<T> Read() {
    if (remaining() < sizeof(T)) return Truncated(sizeof(T));
    const T value = LoadLe<T>(bytes_.subspan(position_));
    position_ += sizeof(T);
    return value;
  }

  // A view of the next `count` bytes.
  Result<ByteSpan> ReadBytes(uint64_t count) {
    if (remaining() < count) return Truncated(count);
    const ByteSpan view =
        bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return view;
  }

 private:
  Unexpected Truncated(uint64_t wanted) const;

  ByteSpan bytes_;
  uint64_t base_offset_ = 0;
  size_t position_ = 0;
};

}  // namespace verify
