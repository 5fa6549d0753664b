// SPDX-License-Identifier: Apache-2.0
// Which trackers, web seeds and DHT nodes a session may use.
#include "p2p/discovery.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "p2p/endpoint_policy.h"

namespace p2p {
namespace {

SessionSettings Proxied(ProxyKind kind, bool carries_udp) {
  SessionSettings settings;
  settings.proxy.kind = kind;
  settings.proxy.host = "192.0.2.1";
  settings.proxy.port = 1080;
  settings.proxy.carries_udp = carries_udp;
  return settings;
}

TEST(DiscoveryTest, FallbackListKeepsOurOwnRules) {
  for (const std::string_view url : FallbackTrackers()) {
    EXPECT_EQ(UrlProblem(url, EndpointKind::kTracker, false), std::nullopt)
        << url;
  }
  EXPECT_GE(FallbackTrackers().size(), 5u);
}

TEST(DiscoveryTest, FallbackIsForPublicTorrentsInTheOpen) {
  SessionSettings settings;
  EXPECT_FALSE(MayUseFallback(settings, false));  // not asked for
  settings.fallback_trackers = true;
  EXPECT_TRUE(MayUseFallback(settings, false));
  EXPECT_FALSE(MayUseFallback(settings, true));  // private torrent
  settings.lan_only = true;
  EXPECT_FALSE(MayUseFallback(settings, false));
  settings.lan_only = false;
  for (const char* loopback : {"127.0.0.1", "127.9.9.9", "::1"}) {
    settings.listen_address = loopback;
    EXPECT_FALSE(MayUseFallback(settings, false)) << loopback;
  }
  settings.listen_address = "192.0.2.7";
  EXPECT_TRUE(MayUseFallback(settings, false));
}

TEST(DiscoveryTest, FallbackLeavesOutWhatIsUsedAndWhatTheProxyCannotCarry) {
  const std::string used(FallbackTrackers().front());
  const auto rest = ChooseFallback({}, {used});
  EXPECT_EQ(rest.size(), FallbackTrackers().size() - 1);
  EXPECT_EQ(std::find(rest.begin(), rest.end(), used), rest.end());
  for (const std::string& url :
       ChooseFallback(Proxied(ProxyKind::kSocks5, false), {})) {
    EXPECT_EQ(url.rfind("http://", 0), 0u) << url;
  }
  EXPECT_EQ(ChooseFallback(Proxied(ProxyKind::kSocks5, true), {}).size(),
            FallbackTrackers().size());
}

TEST(DiscoveryTest, TheUsersUrlsComeFirstAndMayBeLocal) {
  SessionSettings settings;
  settings.trackers = {"http://127.0.0.1:6969/announce"};
  const std::vector<std::string> named = {
      "udp://tracker.example.org:1337", "http://127.0.0.1:6969/announce",
      "http://10.0.0.1:6969/announce", "udp://tracker.example.org:1337"};
  EXPECT_EQ(ChooseTrackers(settings, named),
            (std::vector<std::string>{"http://127.0.0.1:6969/announce",
                                      "udp://tracker.example.org:1337"}));
  settings.web_seeds = {"http://192.168.1.2:8080/models/"};
  EXPECT_EQ(ChooseWebSeeds(settings, {"http://192.168.1.3:8080/",
                                      "https://seed.example.org/"}),
            (std::vector<std::string>{"http://192.168.1.2:8080/models/",
                                      "https://seed.example.org/"}));
}

TEST(DiscoveryTest, A7KeepsFiftyTrackersOfTenThousand) {
  std::vector<std::string> named;
  for (int i = 0; i < 10'000; ++i) {
    named.push_back("udp://t" + std::to_string(i) + ".example.org:1337");
  }
  EXPECT_EQ(ChooseTrackers({}, named).size(), kMaxEndpoints);
}

TEST(DiscoveryTest, A8NeverUsesWhatALinkMayNotAskFor) {
  const std::vector<std::string> named = {
      "http://127.0.0.1:8080/admin?x", "http://169.254.169.254/",
      "file:///etc/passwd", "ftp://example.org/announce",
      "http://user:pass@example.org/announce"};
  EXPECT_TRUE(ChooseTrackers({}, named).empty());
  EXPECT_TRUE(ChooseWebSeeds({}, named).empty());
}

TEST(DiscoveryTest, OnALanOnlyLocalAndNamedOnesAreUsed) {
  SessionSettings settings;
  settings.lan_only = true;
  settings.trackers = {"http://tracker.example.org:80/announce"};
  EXPECT_EQ(ChooseTrackers(settings, {"http://10.0.0.1:6969/announce",
                                      "udp://outside.example.org:1337",
                                      "http://node7:6969/announce"}),
            (std::vector<std::string>{"http://tracker.example.org:80/announce",
                                      "http://10.0.0.1:6969/announce",
                                      "http://node7:6969/announce"}));
  EXPECT_TRUE(ChooseWebSeeds(settings, {"https://huggingface.co/x/"}).empty());
}

TEST(DiscoveryTest, AProxyWithoutUdpRulesOutUdpTrackers) {
  const auto settings = Proxied(ProxyKind::kSocks5, false);
  EXPECT_TRUE(TrackerProblem(settings, "udp://t.example.org:1337", false));
  EXPECT_TRUE(TrackerProblem(settings, "UDP://t.example.org:1337", true));
  EXPECT_FALSE(TrackerProblem(settings, "https://t.example.org/a", false));
  EXPECT_FALSE(TrackerProblem(Proxied(ProxyKind::kSocks5, true),
                              "udp://t.example.org:1337", false));
}

TEST(DiscoveryTest, AnHttpProxyRulesOutHttpsNamesThatWouldBeLookedUp) {
  const auto settings = Proxied(ProxyKind::kHttp, false);
  EXPECT_TRUE(TrackerProblem(settings, "https://t.example.org/a", false));
  EXPECT_FALSE(TrackerProblem(settings, "https://192.0.2.9/a", false));
  EXPECT_FALSE(TrackerProblem(settings, "http://t.example.org/a", false));
}

TEST(DiscoveryTest, WaysIntoTheDht) {
  SessionSettings settings;
  const std::string well_known = DhtBootstrapNodes(settings);
  EXPECT_GE(std::count(well_known.begin(), well_known.end(), ','), 3);
  settings.dht_nodes = {{"192.0.2.3", 6881}, {"::1", 7}, {"node.example", 8}};
  EXPECT_EQ(DhtBootstrapNodes(settings),
            "192.0.2.3:6881,[::1]:7,node.example:8");
  // A name would be looked up beside the proxy.
  auto proxied = Proxied(ProxyKind::kSocks5, true);
  EXPECT_EQ(DhtBootstrapNodes(proxied), "");
  proxied.dht_nodes = settings.dht_nodes;
  EXPECT_EQ(DhtBootstrapNodes(proxied), "192.0.2.3:6881,[::1]:7");
  settings.enable_dht = false;
  EXPECT_EQ(DhtBootstrapNodes(settings), "");
}

TEST(EffectiveSettingsTest, AProxySwitchesOffWhatGoesAroundIt) {
  auto settings = Proxied(ProxyKind::kSocks5, false);
  settings.port_map = true;
  settings.listen_address = "192.0.2.2";
  settings.port = 6881;
  const SessionSettings effective = Effective(settings);
  EXPECT_TRUE(effective.anonymous);
  EXPECT_FALSE(effective.enable_dht);
  EXPECT_FALSE(effective.enable_lsd);
  EXPECT_FALSE(effective.enable_utp);
  EXPECT_FALSE(effective.port_map);
  EXPECT_FALSE(effective.port.has_value());
  EXPECT_EQ(effective.listen_address, "");
  EXPECT_TRUE(Effective(Proxied(ProxyKind::kSocks5, true)).enable_dht);
}

TEST(EffectiveSettingsTest, TheLanModeHasNoDhtAndUsesPrivateAddresses) {
  SessionSettings settings;
  settings.lan_only = true;
  settings.fallback_trackers = true;
  const SessionSettings effective = Effective(settings);
  EXPECT_FALSE(effective.enable_dht);
  EXPECT_TRUE(effective.enable_lsd);
  EXPECT_TRUE(effective.allow_local);
  EXPECT_FALSE(effective.fallback_trackers);
}

}  // namespace
}  // namespace p2p
