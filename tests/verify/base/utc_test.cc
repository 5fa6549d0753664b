// SPDX-License-Identifier: Apache-2.0
#include "verify/base/utc.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace verify {
namespace {

// Expected values from GNU date -u -d @N.
TEST(UtcTest, WritesAndReadsMoments) {
  for (const auto& [seconds, text] :
       {std::pair<int64_t, const char*>{0, "1970-01-01T00:00:00Z"},
        {951'827'696, "2000-02-29T12:34:56Z"},
        {1'700'000'000, "2023-11-14T22:13:20Z"},
        {4'294'967'296, "2106-02-07T06:28:16Z"},
        {kMaxUtcSeconds, "9999-12-31T23:59:59Z"}}) {
    EXPECT_EQ(FormatUtc(seconds), text);
    EXPECT_EQ(ParseUtc(text), seconds) << text;
  }
  EXPECT_EQ(FormatUtc(-1), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatUtc(INT64_MAX), "9999-12-31T23:59:59Z");
}

TEST(UtcTest, RefusesOtherForms) {
  for (const char* text :
       {"", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14T22:13:20z",
        "2023-11-14 22:13:20Z", "2023-11-14T22:13:20+00:00",
        "2023-11-14T22:13:20.0Z", "2023-02-29T00:00:00Z",
        "2023-00-01T00:00:00Z", "2023-13-01T00:00:00Z", "2023-01-00T00:00:00Z",
        "2023-01-01T24:00:00Z", "2023-01-01T00:60:00Z", "2016-12-31T23:59:60Z",
        "1969-12-31T23:59:59Z", "+023-01-01T00:00:00Z",
        "2023-01-01T00:00:00ZZ"}) {
    EXPECT_FALSE(ParseUtc(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace verify
