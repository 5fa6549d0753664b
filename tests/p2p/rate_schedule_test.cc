// SPDX-License-Identifier: Apache-2.0
// Rates by the hour. Days count from Monday.
#include "p2p/rate_schedule.h"

#include <gtest/gtest.h>

#include <charconv>

namespace p2p {
namespace {

verify::Result<uint64_t> PlainNumber(std::string_view text) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || rest != end) {
    return verify::Fail(verify::ErrorCode::kInvalidArgument, "no number");
  }
  return value;
}

RateRule Rule(std::string_view text) {
  const auto rule = ParseRateRule(text, PlainNumber);
  EXPECT_TRUE(rule) << text;
  return rule ? *rule : RateRule{};
}

constexpr int kMonday = 0;
constexpr int kFriday = 4;
constexpr int kSaturday = 5;
constexpr int kSunday = 6;

WeekTime At(int weekday, int hour, int minute = 0) {
  return {weekday, hour * 60 + minute};
}

TEST(RateRuleTest, HoldsFromItsBeginToBeforeItsEnd) {
  const RateRule rule = Rule("09:00-17:30 up=5");
  EXPECT_FALSE(rule.Holds(At(kMonday, 8, 59)));
  EXPECT_TRUE(rule.Holds(At(kMonday, 9)));
  EXPECT_TRUE(rule.Holds(At(kSunday, 17, 29)));
  EXPECT_FALSE(rule.Holds(At(kMonday, 17, 30)));
}

TEST(RateRuleTest, GoesOverMidnightOnTheDayItBegan) {
  const RateRule rule = Rule("fri 22:00-07:00 up=5");
  EXPECT_FALSE(rule.Holds(At(kFriday, 6)));
  EXPECT_TRUE(rule.Holds(At(kFriday, 22)));
  EXPECT_TRUE(rule.Holds(At(kSaturday, 6, 59)));
  EXPECT_FALSE(rule.Holds(At(kSaturday, 7)));
  EXPECT_FALSE(rule.Holds(At(kSaturday, 22)));
  // From the last day of the week into the first.
  EXPECT_TRUE(Rule("sun 22:00-07:00 up=5").Holds(At(kMonday, 1)));
}

TEST(RateRuleTest, EqualEndsAreAWholeDay) {
  const RateRule rule = Rule("mon 00:00-24:00 down=1");
  EXPECT_TRUE(rule.Holds(At(kMonday, 0)));
  EXPECT_TRUE(rule.Holds(At(kMonday, 23, 59)));
  EXPECT_FALSE(rule.Holds(At(1, 0)));
  EXPECT_TRUE(Rule("mon 08:00-08:00 down=1").Holds(At(1, 7, 59)));
}

TEST(RateRuleTest, ReadsDays) {
  const auto days = [](std::string_view text) {
    std::string held;
    const RateRule rule = Rule(std::string(text) + " 00:00-24:00 up=1");
    for (const bool day : rule.days) held += day ? 'x' : '.';
    return held;
  };
  EXPECT_EQ(days("mon-fri"), "xxxxx..");
  EXPECT_EQ(days("Sat,SUN"), ".....xx");
  EXPECT_EQ(days("sat-mon,wed"), "x.x..xx");
}

TEST(RateRuleTest, RefusesWhatItCannotRead) {
  for (const char* text :
       {"", "up=1", "09:00-17:00", "09:00 up=1", "9-17 up=1",
        "25:00-26:00 up=1", "09:60-10:00 up=1", "24:01-25:00 up=1",
        "09:00-17:00 up=", "09:00-17:00 up=x", "09:00-17:00 up=1 up=2",
        "09:00-17:00 left=1", "noday 09:00-17:00 up=1", "mon- 09:00-17:00 up=1",
        "mon fri 09:00-17:00 up=1", "09:00-17:00 up"}) {
    EXPECT_FALSE(ParseRateRule(text, PlainNumber)) << text;
  }
}

TEST(RateScheduleTest, TheFirstRuleThatNamesARateDecidesIt) {
  const RateSchedule schedule = {Rule("sat-sun 00:00-24:00 up=7"),
                                 Rule("22:00-07:00 up=20 down=0")};
  const RateLimits base{100, 10};
  EXPECT_EQ(RatesAt(schedule, base, At(kMonday, 12)), base);
  EXPECT_EQ(RatesAt(schedule, base, At(kMonday, 23)), (RateLimits{0, 20}));
  EXPECT_EQ(RatesAt(schedule, base, At(kSunday, 12)), (RateLimits{100, 7}));
  EXPECT_EQ(RatesAt(schedule, base, At(kSunday, 23)), (RateLimits{0, 7}));
}

}  // namespace
}  // namespace p2p
