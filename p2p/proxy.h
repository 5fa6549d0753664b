// SPDX-License-Identifier: Apache-2.0
// A proxy that all traffic of a session goes through, as a user names it, and
// a look whether it is there and what it carries. SOCKS5: RFC 1928, RFC 1929.
// Tested by tests/p2p/proxy_test.cc and tests/scripts/proxy_no_leak.py.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "verify/base/result.h"

namespace p2p {

enum class ProxyKind { kNone, kSocks5, kHttp };

struct ProxySettings {
  ProxyKind kind = ProxyKind::kNone;
  std::string host;  // name or address, IPv6 without brackets
  uint16_t port = 0;
  std::string user;  // empty: no login
  std::string password;
  // Set by ProbeProxy: it relays UDP (SOCKS5 UDP ASSOCIATE), which the DHT and
  // udp trackers need. False until then.
  bool carries_udp = false;

  bool is_set() const { return kind != ProxyKind::kNone; }
};

// "socks5://HOST:PORT", "socks5h://" (the same: names are always left to the
// proxy) or "http://"; the port is 1080 or 8080 where none is given. "none" and
// the empty text are no proxy. Errors: kInvalidArgument; a user name or
// password in the text is refused (secrets come from a file).
verify::Result<ProxySettings> ParseProxyUrl(std::string_view url);

// Fills user and password from the first line of a file, "USER:PASSWORD", each
// 1 to 255 bytes. Errors: kNotFound, kIo, kInvalidArgument (another form, or
// others may read the file).
verify::Result<void> ReadProxyLogin(const std::string& path,
                                    ProxySettings& proxy);

// "socks5h://192.0.2.1:1080" as libcurl takes it, without the login; empty if
// there is no proxy.
std::string ProxyUrl(const ProxySettings& proxy);

// Connects to the proxy, logs in, asks whether it carries UDP, and hangs up.
// Returns the settings with the address that answered in place of a name, and
// carries_udp. Resolving its own name is the one request made outside it.
// Blocks at most `timeout` for each step. Errors: kNetwork, id E-PROXY.
verify::Result<ProxySettings> ProbeProxy(const ProxySettings& proxy,
                                         std::chrono::milliseconds timeout);

}  // namespace p2p
