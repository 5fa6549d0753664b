// SPDX-License-Identifier: Apache-2.0
#include "verify/base/utc.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

namespace verify {
namespace {

namespace chrono = std::chrono;

void AppendDigits(std::string& out, uint64_t value, size_t width) {
  std::string digits = std::to_string(value);
  out.append(width - std::min(width, digits.size()), '0');
  out += digits;
}

}  // namespace

std::string FormatUtc(int64_t seconds) {
  const chrono::sys_seconds moment(
      chrono::seconds(std::clamp<int64_t>(seconds, 0, kMaxUtcSeconds)));
  const auto day = chrono::floor<chrono::days>(moment);
  const chrono::year_month_day date(day);
  const auto rest = static_cast<uint64_t>((moment - day).count());
  std::string out;
  AppendDigits(out, static_cast<uint64_t>(static_cast<int>(date.year())), 4);
  out.push_back('-');
  AppendDigits(out, static_cast<unsigned>(date.month()), 2);
  out.push_back('-');
  AppendDigits(out, static_cast<unsigned>(date.day()), 2);
  out.push_back('T');
  AppendDigits(out, rest / 3600, 2);
  out.push_back(':');
  AppendDigits(out, rest / 60 % 60, 2);
  out.push_back(':');
  AppendDigits(out, rest % 60, 2);
  out.push_back('Z');
  return out;
}

std::optional<int64_t> ParseUtc(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00Z";
  if (text.size() != kForm.size()) return std::nullopt;
  std::array<int, 6> fields{};
  size_t field = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (kForm[i] != '0') {
      if (text[i] != kForm[i]) return std::nullopt;
      ++field;
      continue;
    }
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    fields[field] = fields[field] * 10 + (text[i] - '0');
  }
  const chrono::year_month_day date{
      chrono::year{fields[0]}, chrono::month{static_cast<unsigned>(fields[1])},
      chrono::day{static_cast<unsigned>(fields[2])}};
  if (!date.ok() || fields[0] < 1970 || fields[3] > 23 || fields[4] > 59 ||
      fields[5] > 59) {
    return std::nullopt;
  }
  const int64_t days = chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + fields[3]) * 60 + fields[4]) * 60 + fields[5];
}

}  // namespace verify
