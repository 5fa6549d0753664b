// SPDX-License-Identifier: Apache-2.0
#include "p2p/proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "p2p/endpoint_policy.h"
#include "p2p/ip_ranges.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using SteadyClock = std::chrono::steady_clock;

constexpr size_t kMaxLoginFileBytes = 4096;
constexpr size_t kMaxLoginPartBytes = 255;  // RFC 1929

verify::Unexpected FailProxy(const ProxySettings& proxy,
                             std::string_view what) {
  return Fail(ErrorCode::kNetwork,
              StrCat("proxy ", EscapeForTerminal(ProxyUrl(proxy)), ": ", what))
      .Id("E-PROXY")
      .Hint(
          "nothing was sent around it; start the proxy or give another one, "
          "and run the same command again");
}

// A connection to the proxy. Every step has its own end of time.
class ProxyConnection {
 public:
  ProxyConnection(verify::UniqueFd socket, std::chrono::milliseconds timeout)
      : socket_(std::move(socket)), timeout_(timeout) {}

  int fd() const { return socket_.get(); }

  bool WaitFor(short events) const {
    const auto end = SteadyClock::now() + timeout_;
    while (true) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - SteadyClock::now());
      pollfd entry{socket_.get(), events, 0};
      const int ready = ::poll(
          &entry, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
      if (ready > 0) return true;
      if (ready < 0 && errno == EINTR) continue;
      return false;
    }
  }

  bool Send(std::span<const uint8_t> bytes) const {
    while (!bytes.empty()) {
      if (!WaitFor(POLLOUT)) return false;
      const ssize_t sent =
          ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return false;
      bytes = bytes.subspan(static_cast<size_t>(sent));
    }
    return true;
  }

  bool Receive(std::span<uint8_t> bytes) const {
    while (!bytes.empty()) {
      if (!WaitFor(POLLIN)) return false;
      const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      bytes = bytes.subspan(static_cast<size_t>(got));
    }
    return true;
  }

 private:
  verify::UniqueFd socket_;
  std::chrono::milliseconds timeout_;
};

std::string AddressText(const addrinfo& entry) {
  std::array<char, NI_MAXHOST> text{};
  if (::getnameinfo(entry.ai_addr, entry.ai_addrlen, text.data(), text.size(),
                    nullptr, 0, NI_NUMERICHOST) != 0) {
    return {};
  }
  return text.data();
}

// The first address of the proxy that answers; `address` is told.
Result<ProxyConnection> Connect(const ProxySettings& proxy,
                                std::chrono::milliseconds timeout,
                                std::string& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(
      proxy.host.c_str(), std::to_string(proxy.port).c_str(), &hints, &found);
  if (status != 0) return FailProxy(proxy, ::gai_strerror(status));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found,
                                                             ::freeaddrinfo);
  std::string reason = "no address";
  for (const addrinfo* entry = found; entry != nullptr;
       entry = entry->ai_next) {
    verify::UniqueFd fd(::socket(
        entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) continue;
    ProxyConnection connection(std::move(fd), timeout);
    if (::connect(connection.fd(), entry->ai_addr, entry->ai_addrlen) != 0) {
      if (errno != EINPROGRESS) {
        reason = std::strerror(errno);
        continue;
      }
      if (!connection.WaitFor(POLLOUT)) {
        reason = "no answer";
        continue;
      }
      int error_number = 0;
      socklen_t size = sizeof(error_number);
      ::getsockopt(connection.fd(), SOL_SOCKET, SO_ERROR, &error_number, &size);
      if (error_number != 0) {
        reason = std::strerror(error_number);
        continue;
      }
    }
    address = AddressText(*entry);
    return connection;
  }
  return FailProxy(proxy, reason);
}

Result<void> LogIn(const ProxyConnection& connection,
                   const ProxySettings& proxy) {
  std::vector<uint8_t> hello = {5, 1, 0};
  if (!proxy.user.empty()) hello = {5, 2, 0, 2};
  std::array<uint8_t, 2> answer{};
  if (!connection.Send(hello) || !connection.Receive(answer)) {
    return FailProxy(proxy, "it does not answer as SOCKS5 does");
  }
  if (answer[0] != 5) return FailProxy(proxy, "it does not speak SOCKS5");
  if (answer[1] == 0) return {};
  if (answer[1] != 2 || proxy.user.empty()) {
    return FailProxy(proxy, proxy.user.empty()
                                ? "it wants a login; give --proxy-auth"
                                : "it takes no login by user and password");
  }
  std::vector<uint8_t> login = {1};
  for (const std::string* part : {&proxy.user, &proxy.password}) {
    login.push_back(static_cast<uint8_t>(part->size()));
    login.insert(login.end(), part->begin(), part->end());
  }
  if (!connection.Send(login) || !connection.Receive(answer)) {
    return FailProxy(proxy, "it hung up at the login");
  }
  if (answer[1] != 0) return FailProxy(proxy, "it refused the login");
  return {};
}

// UDP counts as carried only if its relay stands at the proxy's own IPv4
// address: libtorrent 2.0.8 takes no other, and sends where it is told.
bool CarriesUdp(const ProxyConnection& connection, const std::string& address) {
  constexpr std::array<uint8_t, 10> kAssociate = {5, 3, 0, 1, 0, 0, 0, 0, 0, 0};
  std::array<uint8_t, 10> answer{};
  if (!connection.Send(kAssociate) ||
      !connection.Receive(std::span(answer).first<4>())) {
    return false;
  }
  constexpr uint8_t kIpV4 = 1;
  if (answer[0] != 5 || answer[1] != 0 || answer[3] != kIpV4 ||
      !connection.Receive(std::span(answer).subspan<4>())) {
    return false;
  }
  const auto proxy_address = ParseIpAddress(address);
  return proxy_address.has_value() && !proxy_address->is_v6 &&
         std::equal(answer.begin() + 4, answer.begin() + 8,
                    proxy_address->bytes.begin());
}

}  // namespace

Result<ProxySettings> ParseProxyUrl(std::string_view url) {
  ProxySettings proxy;
  url = verify::TrimAscii(url);
  if (url.empty() || url == "none") return proxy;
  const auto bad = [](std::string_view why) {
    return Fail(ErrorCode::kInvalidArgument, std::string(why))
        .Hint("give socks5://HOST:PORT or http://HOST:PORT");
  };
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return bad("no URL of a proxy");
  const std::string scheme = verify::AsciiLower(url.substr(0, scheme_end));
  if (scheme == "socks5" || scheme == "socks5h") {
    proxy.kind = ProxyKind::kSocks5;
    proxy.port = 1080;
  } else if (scheme == "http") {
    proxy.kind = ProxyKind::kHttp;
    proxy.port = 8080;
  } else {
    return bad(StrCat("a proxy of kind \"", EscapeForTerminal(scheme, 40),
                      "\" is not known"));
  }
  std::string_view authority = url.substr(scheme_end + 3);
  if (authority.find('@') != std::string_view::npos) {
    // Not repeated: the text may end up in a log.
    return Fail(ErrorCode::kInvalidArgument,
                "the URL of the proxy holds a user name or password")
        .Hint(
            "put USER:PASSWORD into a file that only you can read, and give "
            "it as --proxy-auth FILE");
  }
  if (authority.ends_with('/')) authority.remove_suffix(1);
  std::string_view host = authority;
  std::string_view port_text;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad("its address has no end");
    host = authority.substr(1, close - 1);
    const std::string_view rest = authority.substr(close + 1);
    has_port = rest.starts_with(':');
    if (has_port) port_text = rest.substr(1);
    if (!has_port && !rest.empty()) return bad("its address has no end");
  } else if (const size_t colon = authority.find(':');
             colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port_text = authority.substr(colon + 1);
    has_port = true;
  }
  if (!IsPlainHost(host)) {
    return bad(
        StrCat("\"", EscapeForTerminal(host, 80), "\" is no host of a proxy"));
  }
  proxy.host = host;
  if (has_port) {
    const char* const end = port_text.data() + port_text.size();
    const auto [rest, error] =
        std::from_chars(port_text.data(), end, proxy.port);
    if (error != std::errc{} || rest != end || proxy.port == 0) {
      return bad(StrCat("\"", EscapeForTerminal(port_text, 20),
                        "\" is no port of a proxy"));
    }
  }
  return proxy;
}

Result<void> ReadProxyLogin(const std::string& path, ProxySettings& proxy) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
      (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("\"", EscapeForTerminal(path),
                       "\" can be read by others than its owner"))
        .Hint("chmod 600 it; it holds a password");
  }
  ASSIGN_OR_RETURN(const std::string text,
                   verify::ReadSmallTextFile(path, kMaxLoginFileBytes));
  std::string_view line(text);
  line = line.substr(0, line.find_first_of("\r\n"));
  const size_t colon = line.find(':');
  const std::string_view user = line.substr(0, colon);
  const std::string_view password =
      colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (user.empty() || password.empty() || user.size() > kMaxLoginPartBytes ||
      password.size() > kMaxLoginPartBytes) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("\"", EscapeForTerminal(path),
                       "\" does not hold USER:PASSWORD in its first line"));
  }
  proxy.user = user;
  proxy.password = password;
  return {};
}

std::string ProxyUrl(const ProxySettings& proxy) {
  if (!proxy.is_set()) return {};
  const bool is_v6 = proxy.host.find(':') != std::string::npos;
  return StrCat(proxy.kind == ProxyKind::kSocks5 ? "socks5h" : "http", "://",
                is_v6 ? "[" : "", proxy.host, is_v6 ? "]" : "", ":",
                proxy.port);
}

Result<ProxySettings> ProbeProxy(const ProxySettings& proxy,
                                 std::chrono::milliseconds timeout) {
  ProxySettings found = proxy;
  std::string address;
  ASSIGN_OR_RETURN(const ProxyConnection connection,
                   Connect(proxy, timeout, address));
  if (!address.empty()) found.host = address;
  found.carries_udp = false;
  if (proxy.kind == ProxyKind::kSocks5) {
    RETURN_IF_ERROR(LogIn(connection, proxy));
    found.carries_udp = CarriesUdp(connection, address);
  }
  return found;
}

}  // namespace p2p
