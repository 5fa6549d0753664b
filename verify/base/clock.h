// SPDX-License-Identifier: Apache-2.0
// Time as a dependency, so that tests can set it. Time never decides trust.
#pragma once

#include <chrono>

namespace verify {

class Clock {
 public:
  using Monotonic = std::chrono::steady_clock::time_point;
  using Wall = std::chrono::system_clock::time_point;

  virtual ~Clock() = default;
  virtual Monotonic Now() const = 0;
  virtual Wall WallNow() const = 0;
};

class SystemClock final : public Clock {
 public:
  Monotonic Now() const override { return std::chrono::steady_clock::now(); }
  Wall WallNow() const override { return std::chrono::system_clock::now(); }
};

}  // namespace verify
