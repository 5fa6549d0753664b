// SPDX-License-Identifier: Apache-2.0
// Proxies as users name them, and the look at one; the bytes are those of RFC
// 1928 and RFC 1929.
#include "p2p/proxy.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temp_dir.h"
#include "verify/base/file.h"

namespace p2p {
namespace {

using verify::ErrorCode;

// Accepts one connection on loopback and plays a script: what it must read,
// then what it answers.
class ScriptedProxy {
 public:
  struct Step {
    std::string expect;
    std::string answer;
  };

  explicit ScriptedProxy(std::vector<Step> steps)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.get(), generic, size), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener_.get(), generic, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, steps = std::move(steps)] { Play(steps); });
  }
  ~ScriptedProxy() { thread_.join(); }

  ProxySettings settings() const {
    ProxySettings proxy;
    proxy.kind = ProxyKind::kSocks5;
    proxy.host = "127.0.0.1";
    proxy.port = port_;
    return proxy;
  }

 private:
  void Play(const std::vector<Step>& steps) {
    const verify::UniqueFd peer(
        ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(peer.valid());
    for (const Step& step : steps) {
      std::string got(step.expect.size(), '\0');
      size_t have = 0;
      while (have < got.size()) {
        const ssize_t n =
            ::recv(peer.get(), got.data() + have, got.size() - have, 0);
        if (n <= 0) return;
        have += static_cast<size_t>(n);
      }
      EXPECT_EQ(got, step.expect);
      ::send(peer.get(), step.answer.data(), step.answer.size(), MSG_NOSIGNAL);
    }
  }

  verify::UniqueFd listener_;
  uint16_t port_ = 0;
  std::thread thread_;
};

std::string Bytes(std::initializer_list<int> values) {
  std::string bytes;
  for (const int value : values) bytes += static_cast<char>(value);
  return bytes;
}

const std::string& Associate() {
  static const std::string request = Bytes({5, 3, 0, 1, 0, 0, 0, 0, 0, 0});
  return request;
}

constexpr std::chrono::milliseconds kTimeout{2000};

TEST(ProxyUrlTest, ReadsKindsAndPorts) {
  struct Case {
    const char* url;
    ProxyKind kind;
    const char* host;
    uint16_t port;
  };
  for (const Case& c :
       {Case{"socks5://192.0.2.1:9050", ProxyKind::kSocks5, "192.0.2.1", 9050},
        Case{"SOCKS5h://proxy.example/", ProxyKind::kSocks5, "proxy.example",
             1080},
        Case{"http://[2001:db8::1]:3128", ProxyKind::kHttp, "2001:db8::1",
             3128},
        Case{"http://proxy", ProxyKind::kHttp, "proxy", 8080},
        Case{"none", ProxyKind::kNone, "", 0},
        Case{"", ProxyKind::kNone, "", 0}}) {
    const auto proxy = ParseProxyUrl(c.url);
    ASSERT_TRUE(proxy) << c.url;
    EXPECT_EQ(proxy->kind, c.kind) << c.url;
    EXPECT_EQ(proxy->host, c.host) << c.url;
    EXPECT_EQ(proxy->port, c.port) << c.url;
  }
  EXPECT_EQ(ProxyUrl(*ParseProxyUrl("socks5://[::1]:9050")),
            "socks5h://[::1]:9050");
  EXPECT_EQ(ProxyUrl({}), "");
}

TEST(ProxyUrlTest, RefusesWhatItCannotUse) {
  for (const char* url :
       {"192.0.2.1:9050", "socks4://h:1", "https://h:1", "socks5://",
        "socks5://h:0", "socks5://h:65536", "socks5://h:x",
        "socks5://h:", "socks5://[::1", "socks5://[::1]x", "socks5://h h:1"}) {
    const auto proxy = ParseProxyUrl(url);
    ASSERT_FALSE(proxy) << url;
    EXPECT_EQ(proxy.error().code, ErrorCode::kInvalidArgument) << url;
  }
}

TEST(ProxyUrlTest, DoesNotTakeOrRepeatASecret) {
  const auto proxy = ParseProxyUrl("socks5://me:hunter2@192.0.2.1:1080");
  ASSERT_FALSE(proxy);
  const verify::Error& error = proxy.error();
  EXPECT_EQ((error.message + error.hint).find("hunter2"), std::string::npos);
  EXPECT_NE(error.hint.find("--proxy-auth"), std::string::npos);
}

TEST(ProxyLoginTest, ComesFromAFileThatOthersCannotRead) {
  const tests::TempDir temp;
  const std::string path = temp.File("login");
  std::ofstream(path) << "me:se:cret\nsecond line\n";
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  ProxySettings proxy;
  ASSERT_TRUE(ReadProxyLogin(path, proxy));
  EXPECT_EQ(proxy.user, "me");
  EXPECT_EQ(proxy.password, "se:cret");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  const auto open = ReadProxyLogin(path, proxy);
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().code, ErrorCode::kInvalidArgument);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  std::string too_long(256, 'u');
  too_long += ":x";
  const std::vector<std::string> unusable = {"nocolon", ":x", "x:", too_long};
  for (const std::string& text : unusable) {
    std::ofstream(path) << text;
    EXPECT_FALSE(ReadProxyLogin(path, proxy)) << text;
  }
}

TEST(ProbeProxyTest, FindsThatItCarriesUdp) {
  ScriptedProxy proxy(
      {{Bytes({5, 1, 0}), Bytes({5, 0})},
       {Associate(), Bytes({5, 0, 0, 1, 127, 0, 0, 1, 0x1F, 0x90})}});
  const auto found = ProbeProxy(proxy.settings(), kTimeout);
  ASSERT_TRUE(found) << found.error().ToString();
  EXPECT_TRUE(found->carries_udp);
}

// The library would send datagrams to that address, whatever it is.
TEST(ProbeProxyTest, TrustsNoRelayAtAnotherAddress) {
  for (const std::string& answer :
       {Bytes({5, 0, 0, 1, 0, 0, 0, 0, 0x1F, 0x90}),
        Bytes({5, 0, 0, 1, 192, 0, 2, 9, 0x1F, 0x90}),
        Bytes({5, 0, 0, 4, 0, 0, 0, 0, 0, 0}),
        Bytes({5, 7, 0, 1, 0, 0, 0, 0, 0, 0})}) {
    ScriptedProxy proxy(
        {{Bytes({5, 1, 0}), Bytes({5, 0})}, {Associate(), answer}});
    const auto found = ProbeProxy(proxy.settings(), kTimeout);
    ASSERT_TRUE(found) << found.error().ToString();
    EXPECT_FALSE(found->carries_udp);
  }
}

TEST(ProbeProxyTest, LogsIn) {
  ScriptedProxy proxy(
      {{Bytes({5, 2, 0, 2}), Bytes({5, 2})},
       {Bytes({1, 2}) + "me" + Bytes({3}) + "pwd", Bytes({1, 0})},
       {Associate(), Bytes({5, 7, 0, 1, 0, 0, 0, 0, 0, 0})}});
  ProxySettings settings = proxy.settings();
  settings.user = "me";
  settings.password = "pwd";
  EXPECT_TRUE(ProbeProxy(settings, kTimeout));
}

TEST(ProbeProxyTest, SaysWhatTheProxyWants) {
  {
    ScriptedProxy proxy({{Bytes({5, 1, 0}), Bytes({5, 0xFF})}});
    const auto found = ProbeProxy(proxy.settings(), kTimeout);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().id, "E-PROXY");
    EXPECT_NE(found.error().message.find("wants a login"), std::string::npos);
  }
  {
    ScriptedProxy proxy(
        {{Bytes({5, 2, 0, 2}), Bytes({5, 2})},
         {Bytes({1, 1}) + "u" + Bytes({1}) + "p", Bytes({1, 1})}});
    ProxySettings settings = proxy.settings();
    settings.user = "u";
    settings.password = "p";
    const auto found = ProbeProxy(settings, kTimeout);
    ASSERT_FALSE(found);
    EXPECT_NE(found.error().message.find("refused the login"),
              std::string::npos);
  }
  {
    ScriptedProxy proxy({{Bytes({5, 1, 0}), "HTTP/1.0 400"}});
    const auto found = ProbeProxy(proxy.settings(), kTimeout);
    ASSERT_FALSE(found);
    EXPECT_NE(found.error().message.find("does not speak SOCKS5"),
              std::string::npos);
  }
}

TEST(ProbeProxyTest, B10FailsWhereNobodyListens) {
  // Bound but not listening: connections are refused.
  const verify::UniqueFd held(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(held.get(), generic, size), 0);
  ASSERT_EQ(::getsockname(held.get(), generic, &size), 0);
  ProxySettings proxy;
  proxy.kind = ProxyKind::kHttp;
  proxy.host = "127.0.0.1";
  proxy.port = ntohs(address.sin_port);
  const auto found = ProbeProxy(proxy, kTimeout);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNetwork);
  EXPECT_EQ(found.error().id, "E-PROXY");
}

}  // namespace
}  // namespace p2p
