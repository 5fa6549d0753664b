// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/session_flags.h"

namespace cli {
namespace {

TEST(ParseSizeTest, TakesDecimalAndBinaryUnits) {
  EXPECT_EQ(*ParseSize("1000", "--down"), 1000u);
  EXPECT_EQ(*ParseSize("5MB", "--down"), 5'000'000u);
  EXPECT_EQ(*ParseSize("1.5 KiB", "--down"), 1536u);
  EXPECT_EQ(*ParseSize("2g", "--down"), 2'000'000'000u);
  for (const char* text : {"", "MB", "-1", "5 XB", "nan", "1e30"}) {
    EXPECT_FALSE(ParseSize(text, "--down")) << text;
  }
}

TEST(ParseDurationTest, TakesSecondsMinutesHours) {
  EXPECT_EQ(*ParseDuration("90", "--time"), 90.0);
  EXPECT_EQ(*ParseDuration("15m", "--time"), 900.0);
  EXPECT_EQ(*ParseDuration("2h", "--time"), 7200.0);
  EXPECT_FALSE(ParseDuration("soon", "--time"));
}

TEST(SettingsOfTest, ReadsPeers) {
  SessionFlags flags;
  flags.peers = {"127.0.0.1:6881", "[::1]:80", "host.example:1"};
  const auto settings = SettingsOf(flags);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->peers[0].first, "127.0.0.1");
  EXPECT_EQ(settings->peers[1].first, "::1");
  EXPECT_EQ(settings->peers[1].second, 80);
  for (const char* peer : {"nohost", ":80", "host:", "host:0", "host:65536",
                           "::1:80", "host:80x"}) {
    flags.peers = {peer};
    const auto bad = SettingsOf(flags);
    ASSERT_FALSE(bad) << peer;
    EXPECT_EQ(bad.error().code, verify::ErrorCode::kInvalidArgument);
  }
}

TEST(SettingsOfTest, AFixedPortIsToldFromNone) {
  SessionFlags flags;
  EXPECT_FALSE(SettingsOf(flags)->port.has_value());
  flags.port = 0;
  EXPECT_EQ(SettingsOf(flags)->port, 0);
}

}  // namespace
}  // namespace cli
