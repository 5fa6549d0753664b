// SPDX-License-Identifier: Apache-2.0
#include "p2p/endpoint_policy.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace p2p {
namespace {

TEST(EndpointPolicyTest, AcceptsOrdinaryTrackers) {
  for (const std::string_view url :
       {"udp://tracker.opentrackr.org:1337/announce",
        "http://tracker.example.org/announce", "https://tracker.example.org",
        "HTTP://Tracker.Example.org:80/announce?key=a%20b",
        "udp://open.stealth.si:80/announce", "udp://192.0.2.1:6969",
        "https://[2001:db8::1]:8443/announce", "http://a_b.example.org./x",
        "udp://x.example.org:443"}) {
    EXPECT_EQ(UrlProblem(url, EndpointKind::kTracker, false), std::nullopt)
        << url;
  }
}

TEST(EndpointPolicyTest, RefusesWhateverTheUserAllows) {
  const std::string long_url =
      "http://example.org/" + std::string(kMaxUrlBytes, 'a');
  for (const std::string_view url :
       {std::string_view("file:///etc/passwd"), std::string_view("ftp://a.b/"),
        std::string_view("gopher://a.b:7000/"), std::string_view("//a.b/"),
        std::string_view("a.b"), std::string_view(""),
        std::string_view("http://"), std::string_view("http:///x"),
        std::string_view("http://user:pass@a.b/"),
        std::string_view("http://user@a.b/"),
        std::string_view("http://a.b:22/"), std::string_view("http://a.b:25/"),
        std::string_view("udp://a.b:53"), std::string_view("http://a.b:0/"),
        std::string_view("http://a.b:65536/"), std::string_view("http://a.b:/"),
        std::string_view("http://a.b:8x/"),
        std::string_view("http://a.b:99999999999/"),
        std::string_view("http://a.b:-80/"), std::string_view("http://a..b/"),
        std::string_view("http://.a.b/"), std::string_view("http://a b.c/"),
        std::string_view("http://a.b/\r\nHost: c"),
        std::string_view("http://a.b\\@c.d/"),
        std::string_view("http://t\xC3\xA4st.example/"),
        std::string_view("http://%31%32%37.0.0.1/"),
        std::string_view("http://[::1/"), std::string_view("http://[::1]x/"),
        std::string_view("http://[127.0.0.1]/"),
        std::string_view("http://[fe80::1%25eth0]/"),
        // Never a peer: unspecified, multicast, broadcast, metadata service.
        std::string_view("http://0.0.0.0:8080/"),
        std::string_view("http://224.0.0.1:8080/"),
        std::string_view("http://255.255.255.255:8080/"),
        std::string_view("http://[::]:8080/"),
        std::string_view("http://[ff02::1]:8080/"),
        std::string_view("http://169.254.169.254/"),
        std::string_view("http://[::ffff:169.254.169.254]/"),
        // Addresses that getaddrinfo reads and inet_pton does not.
        std::string_view("http://127.1:8080/"),
        std::string_view("http://2130706433:8080/"),
        std::string_view("http://0x7f000001:8080/"),
        std::string_view("http://0x7f.1:8080/"),
        std::string_view("http://0177.0.0.1:8080/"),
        std::string_view("http://1.2.3.4.5:8080/"),
        std::string_view("http://a.b.1:8080/"), std::string_view(long_url)}) {
    EXPECT_TRUE(UrlProblem(url, EndpointKind::kTracker, true).has_value())
        << url;
    EXPECT_TRUE(UrlProblem(url, EndpointKind::kTracker, false).has_value())
        << url;
  }
}

TEST(EndpointPolicyTest, LocalHostsNeedPermission) {
  for (const std::string_view host : {"127.0.0.1",
                                      "127.255.255.254",
                                      "10.0.0.1",
                                      "172.16.0.1",
                                      "172.31.255.255",
                                      "192.168.1.1",
                                      "100.64.0.1",
                                      "100.127.255.255",
                                      "169.254.1.1",
                                      "198.18.0.1",
                                      "192.0.0.1",
                                      "0.1.2.3",
                                      "::1",
                                      "fe80::1",
                                      "febf::1",
                                      "fc00::1",
                                      "fdff::1",
                                      "fec0::1",
                                      "::ffff:127.0.0.1",
                                      "::ffff:10.1.2.3",
                                      "::10.1.2.3",
                                      "2002:7f00:1::",
                                      "64:ff9b::7f00:1",
                                      "64:ff9b:1::1",
                                      "localhost",
                                      "LOCALHOST",
                                      "localhost.",
                                      "a.localhost",
                                      "nas",
                                      "nas.local",
                                      "x.internal",
                                      "x.lan",
                                      "x.home.arpa"}) {
    EXPECT_TRUE(HostProblem(host, false).has_value()) << host;
    EXPECT_EQ(HostProblem(host, true), std::nullopt) << host;
    EXPECT_TRUE(IsLocalHost(host)) << host;
  }
}

TEST(EndpointPolicyTest, NeighboursOfLocalNetworksAreGlobal) {
  for (const std::string_view host :
       {"126.255.255.255",  "128.0.0.1",
        "11.0.0.1",         "172.15.255.255",
        "172.32.0.1",       "192.167.1.1",
        "192.169.1.1",      "100.63.255.255",
        "100.128.0.1",      "169.253.1.1",
        "198.17.1.1",       "198.20.0.1",
        "1.0.0.1",          "223.255.255.255",
        "2001:db8::1",      "fbff::1",
        "2002:808:808::",   "64:ff9b::808:808",
        "::ffff:8.8.8.8",   "localhost.example.org",
        "local.example.org"}) {
    EXPECT_EQ(HostProblem(host, false), std::nullopt) << host;
    EXPECT_FALSE(IsLocalHost(host)) << host;
  }
}

TEST(EndpointPolicyTest, WebSeedsAreHttpOnly) {
  EXPECT_TRUE(UrlProblem("udp://a.b:6969", EndpointKind::kWebSeed, true));
  EXPECT_EQ(UrlProblem("https://a.b/c/", EndpointKind::kWebSeed, false),
            std::nullopt);
}

TEST(EndpointPolicyTest, PeersFollowTheSameRules) {
  EXPECT_EQ(PeerProblem("192.0.2.1", 6881, false), std::nullopt);
  EXPECT_EQ(PeerProblem("2001:db8::1", 6881, false), std::nullopt);
  EXPECT_EQ(PeerProblem("127.0.0.1", 6881, true), std::nullopt);
  EXPECT_TRUE(PeerProblem("192.0.2.1", 22, true));
  EXPECT_TRUE(PeerProblem("192.0.2.1", 0, true));
  EXPECT_TRUE(PeerProblem("", 6881, true));
  EXPECT_TRUE(PeerProblem(std::string_view("a\0b", 3), 6881, true));
  const auto problem = PeerProblem("127.0.0.1", 6881, false);
  ASSERT_TRUE(problem.has_value());
  EXPECT_NE(problem->find("--allow-local"), std::string::npos);
  EXPECT_NE(problem->find("--peer"), std::string::npos);
}

// The filter of a session is made of these ranges: both must say the same.
TEST(EndpointPolicyTest, RangesAreWhatHostsAreRefusedFor) {
  const std::vector<LocalRange> ranges = LocalRanges();
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "9.255.255.255",
                           "10.0.0.0",
                           "10.255.255.255",
                           "11.0.0.0",
                           "100.63.255.255",
                           "100.64.0.0",
                           "100.127.255.255",
                           "100.128.0.0",
                           "127.0.0.1",
                           "169.254.169.254",
                           "169.254.1.1",
                           "172.15.255.255",
                           "172.16.0.0",
                           "172.31.255.255",
                           "172.32.0.0",
                           "192.0.0.8",
                           "192.0.1.0",
                           "192.168.0.1",
                           "198.18.0.1",
                           "198.20.0.0",
                           "223.255.255.255",
                           "224.0.0.1",
                           "255.255.255.255",
                           "8.8.8.8",
                           "::",
                           "::1",
                           "::2",
                           "::ffff:10.0.0.1",
                           "::ffff:8.8.8.8",
                           "::10.0.0.1",
                           "64:ff9b::a00:1",
                           "64:ff9b::808:808",
                           "64:ff9b:1::1",
                           "2002:a00:1::",
                           "2002:808:808::1",
                           "2002:7f00:1::1",
                           "fbff::1",
                           "fc00::1",
                           "fdff::1",
                           "fe00::1",
                           "fe80::1",
                           "febf::1",
                           "fec0::1",
                           "feff::1",
                           "ff02::1",
                           "2001:db8::1"}) {
    const auto address = ParseIpAddress(text);
    ASSERT_TRUE(address.has_value()) << text;
    const bool in_range =
        std::any_of(ranges.begin(), ranges.end(), [&](const LocalRange& local) {
          return local.range.first.is_v6 == address->is_v6 &&
                 local.range.first <= *address && *address <= local.range.last;
        });
    EXPECT_EQ(in_range, HostProblem(text, false).has_value()) << text;
  }
}

TEST(EndpointPolicyTest, FindsTheHostOfAUrl) {
  EXPECT_EQ(UrlHost("http://a.example:80/x"), "a.example");
  EXPECT_EQ(UrlHost("udp://[2001:db8::1]:6969"), "2001:db8::1");
  EXPECT_EQ(UrlHost("http://a.example?x"), "a.example");
  EXPECT_EQ(UrlHost("nothing"), "");
}

}  // namespace
}  // namespace p2p
