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

// Nothing of the machine's own environment.
class EnvironmentGuard {
 public:
  EnvironmentGuard() {
    for (const char* name :
         {"all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"}) {
      ::unsetenv(name);
    }
  }
  ~EnvironmentGuard() {
    ::unsetenv("all_proxy");
    ::unsetenv("no_proxy");
  }
};

TEST(SettingsOfTest, PrivateModeFindsPeersByNothingButNames) {
  const EnvironmentGuard guard;
  SessionFlags flags;
  EXPECT_TRUE(SettingsOf(flags)->enable_dht);
  EXPECT_TRUE(SettingsOf(flags)->fallback_trackers);
  flags.is_private = true;
  const auto settings = SettingsOf(flags);
  ASSERT_TRUE(settings);
  EXPECT_FALSE(settings->enable_dht);
  EXPECT_FALSE(settings->enable_lsd);
  EXPECT_FALSE(settings->enable_pex);
  EXPECT_FALSE(settings->fallback_trackers);
}

TEST(SettingsOfTest, ReadsTheSchedule) {
  const EnvironmentGuard guard;
  SessionFlags flags;
  flags.schedule = {"22:00-07:00 up=20MB down=0"};
  const auto settings = SettingsOf(flags);
  ASSERT_TRUE(settings);
  ASSERT_EQ(settings->schedule.size(), 1u);
  EXPECT_EQ(settings->schedule[0].up_bytes_per_s, 20'000'000u);
  EXPECT_EQ(settings->schedule[0].down_bytes_per_s, 0u);
  flags.schedule = {"22:00-07:00 up=fast"};
  const auto bad = SettingsOf(flags);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, verify::ErrorCode::kInvalidArgument);
  EXPECT_NE(bad.error().message.find("--schedule"), std::string::npos);
}

TEST(SettingsOfTest, TakesTheProxyOfTheEnvironmentUnlessToldOtherwise) {
  const EnvironmentGuard guard;
  SessionFlags flags;
  ::setenv("all_proxy", "socks5h://192.0.2.1:9050", 1);
  EXPECT_EQ(SettingsOf(flags)->proxy.host, "192.0.2.1");
  flags.proxy = "none";
  EXPECT_FALSE(SettingsOf(flags)->proxy.is_set());
  flags.proxy = "http://192.0.2.2:3128";
  EXPECT_EQ(SettingsOf(flags)->proxy.host, "192.0.2.2");
  flags.proxy.clear();
  ::setenv("no_proxy", "*", 1);
  EXPECT_FALSE(SettingsOf(flags)->proxy.is_set());
  // One that cannot be used is no reason to go without.
  ::unsetenv("no_proxy");
  ::setenv("all_proxy", "socks4://192.0.2.1:9050", 1);
  EXPECT_FALSE(SettingsOf(flags));
}

TEST(SettingsOfTest, RefusesWhatAProxyRulesOut) {
  const EnvironmentGuard guard;
  SessionFlags base;
  base.proxy = "socks5://192.0.2.1";
  EXPECT_TRUE(SettingsOf(base));
  base.port = 0;
  EXPECT_TRUE(SettingsOf(base));
  const auto refused = [](SessionFlags flags) {
    const auto settings = SettingsOf(flags);
    return !settings &&
           settings.error().code == verify::ErrorCode::kInvalidArgument;
  };
  SessionFlags flags = base;
  flags.port = 6881;
  EXPECT_TRUE(refused(flags));
  flags = base;
  flags.listen = "192.0.2.7";
  EXPECT_TRUE(refused(flags));
  flags = base;
  flags.port_map = true;
  EXPECT_TRUE(refused(flags));
  flags = base;
  flags.offline_lan = true;
  EXPECT_TRUE(refused(flags));
  flags = base;
  flags.interface_name = "eth0";
  EXPECT_TRUE(refused(flags));
}

TEST(SettingsOfTest, RefusesUrlsThatItWouldHaveToDrop) {
  const EnvironmentGuard guard;
  SessionFlags flags;
  flags.trackers = {"ftp://tracker.example.org/announce"};
  EXPECT_FALSE(SettingsOf(flags));
  flags.trackers = {"http://127.0.0.1:6969/announce"};
  flags.web_seeds = {"udp://seed.example.org:80"};
  EXPECT_FALSE(SettingsOf(flags));
  flags.web_seeds = {"http://127.0.0.1:8000/models/"};
  EXPECT_TRUE(SettingsOf(flags));
}

}  // namespace
}  // namespace cli
