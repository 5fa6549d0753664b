// SPDX-License-Identifier: Apache-2.0
// Rate limits by the hour: "22:00-07:00 up=20MB down=0". Text and arithmetic
// only; the session asks what holds now. Tested by
// tests/p2p/rate_schedule_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "verify/base/result.h"

namespace p2p {

// Bytes per second; 0: unlimited.
struct RateLimits {
  uint64_t down_bytes_per_s = 0;
  uint64_t up_bytes_per_s = 0;

  bool operator==(const RateLimits&) const = default;
};

// A minute of the week in local time.
struct WeekTime {
  int weekday = 0;  // 0: Monday
  int minute = 0;   // of the day, 0 to 1439
};

// One rule. It begins on `days` at `begin` and lasts to `end`, on the next day
// if `end` is not later than `begin`; a rule whose ends are equal holds for 24
// hours. A rate that it does not name is the one that holds without rules.
struct RateRule {
  std::array<bool, 7> days{};  // from Monday
  int begin_minute = 0;        // 0 to 1439
  int end_minute = 0;          // 0 to 1439; 24:00 is read as 00:00
  std::optional<uint64_t> down_bytes_per_s;
  std::optional<uint64_t> up_bytes_per_s;

  bool Holds(WeekTime now) const;
};

using RateSchedule = std::vector<RateRule>;

// Reads a size such as "20MB" or "0": what the caller's flags take as well.
using SizeReader =
    std::function<verify::Result<uint64_t>(std::string_view text)>;

// "[DAYS ]HH:MM-HH:MM RATES", RATES one or both of "up=SIZE" and "down=SIZE",
// DAYS a list of days and ranges of days such as "mon-fri,sun" (default: all).
// Errors: kInvalidArgument, saying which part.
verify::Result<RateRule> ParseRateRule(std::string_view text,
                                       const SizeReader& read_size);

// What holds at `now`: for each rate the first rule that holds and names it,
// else that of `base`.
RateLimits RatesAt(const RateSchedule& schedule, const RateLimits& base,
                   WeekTime now);

// Local time by the system's clock and zone.
WeekTime LocalWeekTime();

}  // namespace p2p
