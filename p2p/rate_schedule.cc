// SPDX-License-Identifier: Apache-2.0
#include "p2p/rate_schedule.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr int kMinutesPerDay = 24 * 60;
constexpr std::array<std::string_view, 7> kDayNames = {
    "mon", "tue", "wed", "thu", "fri", "sat", "sun"};

verify::Unexpected BadPart(std::string_view part, std::string_view wanted) {
  return Fail(ErrorCode::kInvalidArgument,
              StrCat("\"", EscapeForTerminal(part, 80), "\" is not ", wanted));
}

// The text up to the next blank, which is taken off `rest`.
std::string_view NextWord(std::string_view& rest) {
  rest = verify::TrimAscii(rest);
  const size_t end = std::min(rest.find_first_of(" \t"), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

std::optional<int> Digits(std::string_view text, int max) {
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || text.size() > 2 || error != std::errc{} || rest != end ||
      value < 0 || value > max) {
    return std::nullopt;
  }
  return value;
}

std::optional<int> ParseMinute(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto hour = Digits(text.substr(0, colon), 24);
  const std::string_view minute_text = text.substr(colon + 1);
  const auto minute = Digits(minute_text, 59);
  if (!hour.has_value() || !minute.has_value() || minute_text.size() != 2 ||
      (*hour == 24 && *minute != 0)) {
    return std::nullopt;
  }
  return (*hour * 60 + *minute) % kMinutesPerDay;
}

std::optional<size_t> DayIndex(std::string_view name) {
  const std::string lower = verify::AsciiLower(name);
  const auto found = std::find(kDayNames.begin(), kDayNames.end(), lower);
  if (found == kDayNames.end()) return std::nullopt;
  return static_cast<size_t>(found - kDayNames.begin());
}

// "mon-fri,sun"; a range may go over the end of the week ("sat-mon").
std::optional<std::array<bool, 7>> ParseDays(std::string_view text) {
  std::array<bool, 7> days{};
  while (true) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, comma);
    const size_t dash = std::min(part.find('-'), part.size());
    const auto first = DayIndex(part.substr(0, dash));
    const auto last =
        dash == part.size() ? first : DayIndex(part.substr(dash + 1));
    if (!first.has_value() || !last.has_value()) return std::nullopt;
    for (size_t day = *first;; day = (day + 1) % days.size()) {
      days[day] = true;
      if (day == *last) break;
    }
    if (comma == text.size()) return days;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

bool RateRule::Holds(WeekTime now) const {
  const auto today = static_cast<size_t>(now.weekday);
  const size_t yesterday = (today + days.size() - 1) % days.size();
  if (begin_minute < end_minute) {
    return days[today] && now.minute >= begin_minute && now.minute < end_minute;
  }
  return (days[today] && now.minute >= begin_minute) ||
         (days[yesterday] && now.minute < end_minute);
}

Result<RateRule> ParseRateRule(std::string_view text,
                               const SizeReader& read_size) {
  RateRule rule;
  std::string_view rest = text;
  std::string_view word = NextWord(rest);
  if (!word.empty() && word.find(':') == std::string_view::npos) {
    const auto days = ParseDays(word);
    if (!days.has_value()) {
      return BadPart(word, "a list of days such as mon-fri,sun");
    }
    rule.days = *days;
    word = NextWord(rest);
  } else {
    rule.days.fill(true);
  }
  const size_t dash = word.find('-');
  const auto begin = ParseMinute(word.substr(0, dash));
  const auto end = dash == std::string_view::npos
                       ? std::nullopt
                       : ParseMinute(word.substr(dash + 1));
  if (!begin.has_value() || !end.has_value()) {
    return BadPart(word, "a span of hours such as 22:00-07:00");
  }
  rule.begin_minute = *begin;
  rule.end_minute = *end;
  for (word = NextWord(rest); !word.empty(); word = NextWord(rest)) {
    const size_t equals = std::min(word.find('='), word.size());
    const std::string name = verify::AsciiLower(word.substr(0, equals));
    std::optional<uint64_t>* const rate = name == "up" ? &rule.up_bytes_per_s
                                          : name == "down"
                                              ? &rule.down_bytes_per_s
                                              : nullptr;
    if (rate == nullptr || equals == word.size() || rate->has_value()) {
      return BadPart(word, "up=RATE or down=RATE, each at most once");
    }
    ASSIGN_OR_RETURN(*rate, read_size(word.substr(equals + 1)));
  }
  if (!rule.up_bytes_per_s.has_value() && !rule.down_bytes_per_s.has_value()) {
    return BadPart(text, "a rule with up=RATE or down=RATE");
  }
  return rule;
}

RateLimits RatesAt(const RateSchedule& schedule, const RateLimits& base,
                   WeekTime now) {
  std::optional<uint64_t> down;
  std::optional<uint64_t> up;
  for (const RateRule& rule : schedule) {
    if (!rule.Holds(now)) continue;
    if (!down.has_value()) down = rule.down_bytes_per_s;
    if (!up.has_value()) up = rule.up_bytes_per_s;
  }
  return {down.value_or(base.down_bytes_per_s),
          up.value_or(base.up_bytes_per_s)};
}

WeekTime LocalWeekTime() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return {(local.tm_wday + 6) % 7, local.tm_hour * 60 + local.tm_min};
}

}  // namespace p2p
