// SPDX-License-Identifier: Apache-2.0
// StrongInt<Tag, T>: an index that cannot be mixed up with another.
#pragma once

#include <compare>

namespace verify {

template <typename Tag, typename T>
class StrongInt {
 public:
  using value_type = T;

  constexpr StrongInt() = default;
  constexpr explicit StrongInt(T value) : value_(value) {}

  constexpr T value() const { return value_; }
  constexpr auto operator<=>(const StrongInt&) const = default;
  constexpr StrongInt& operator++() {
    ++value_;
    return *this;
  }

 private:
  T value_{};
};

}  // namespace verify
