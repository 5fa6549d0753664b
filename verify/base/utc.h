// SPDX-License-Identifier: Apache-2.0
// Moments as RFC 3339 writes them in UTC, to the second:
// "2026-01-31T10:00:00Z". Tested by tests/verify/base/utc_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace verify {

// Seconds since 1970 of the last second of the year 9999.
inline constexpr int64_t kMaxUtcSeconds = 253'402'300'799;

// `seconds` since 1970, from 0 to kMaxUtcSeconds; others are brought there.
std::string FormatUtc(int64_t seconds);

// Seconds since 1970 of exactly that form, from 1970 on; nothing for another
// text, a day that is not in the calendar or a leap second.
std::optional<int64_t> ParseUtc(std::string_view text);

}  // namespace verify
