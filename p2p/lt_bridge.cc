// SPDX-License-Identifier: Apache-2.0
#include "p2p/lt_bridge.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <libtorrent/version.hpp>
#include <memory>

namespace p2p {
namespace {

template <size_t kSize>
void CopyHash(const std::array<std::byte, kSize>& from, char* to) {
  std::memcpy(to, from.data(), kSize);
}

lt::address_v4 V4(const char* text) { return lt::make_address_v4(text); }
lt::address_v6 V6(const char* text) { return lt::make_address_v6(text); }

struct Range {
  lt::address first;
  lt::address last;
  bool loopback = false;
};

const std::vector<Range>& LocalRanges() {
  static const std::vector<Range> ranges = {
      {V4("0.0.0.0"), V4("0.255.255.255"), false},
      {V4("10.0.0.0"), V4("10.255.255.255"), false},
      {V4("127.0.0.0"), V4("127.255.255.255"), true},
      {V4("169.254.0.0"), V4("169.254.255.255"), false},
      {V4("172.16.0.0"), V4("172.31.255.255"), false},
      {V4("192.168.0.0"), V4("192.168.255.255"), false},
      {V4("224.0.0.0"), V4("255.255.255.255"), false},
      {V6("::"), V6("::"), false},
      {V6("::1"), V6("::1"), true},
      {V6("::ffff:0:0"), V6("::ffff:ffff:ffff"), false},
      {V6("fc00::"), V6("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), false},
      {V6("fe80::"), V6("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), false},
      {V6("ff00::"), V6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), false},
  };
  return ranges;
}

bool Contains(const Range& range, const lt::address& address) {
  if (range.first.is_v4() != address.is_v4()) return false;
  return range.first <= address && address <= range.last;
}

// The host of "scheme://host:port/path", without brackets; empty if none.
std::string UrlHost(std::string_view url) {
  const size_t colon = url.find("://");
  if (colon == std::string_view::npos) return {};
  std::string_view rest = url.substr(colon + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  if (!rest.empty() && rest.front() == '[') {
    return std::string(rest.substr(1, rest.find(']') - 1));
  }
  return std::string(rest.substr(0, rest.find(':')));
}

}  // namespace

std::string LibtorrentVersion() { return lt::version(); }

lt::info_hash_t ToLibtorrent(const InfoHashes& hashes) {
  lt::info_hash_t out;
  if (hashes.v1.has_value()) CopyHash(*hashes.v1, out.v1.data());
  if (hashes.v2.has_value()) CopyHash(*hashes.v2, out.v2.data());
  return out;
}

InfoHashes FromLibtorrent(const lt::info_hash_t& hashes) {
  InfoHashes out;
  if (hashes.has_v1()) {
    out.v1.emplace();
    std::memcpy(out.v1->data(), hashes.v1.data(), out.v1->size());
  }
  if (hashes.has_v2()) {
    out.v2.emplace();
    std::memcpy(out.v2->data(), hashes.v2.data(), out.v2->size());
  }
  return out;
}

std::string ErrorText(const lt::error_code& error) {
  return verify::StrCat(verify::EscapeForTerminal(error.message()), " (",
                        error.category().name(), " ", error.value(), ")");
}

std::string EndpointText(const lt::tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6()
             ? verify::StrCat("[", address, "]:", endpoint.port())
             : verify::StrCat(address, ":", endpoint.port());
}

bool IsDiskFull(const lt::error_code& error) {
  namespace errc = boost::system::errc;
  return error == errc::no_space_on_device || error == errc::file_too_large ||
         (error.category() == boost::system::system_category() &&
          error.value() == EDQUOT);
}

bool IsLocalAddress(const lt::address& address) {
  const auto& ranges = LocalRanges();
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
    return Contains(range, address);
  });
}

std::vector<lt::tcp::endpoint> ResolvePeers(
    const std::vector<std::pair<std::string, uint16_t>>& peers,
    std::vector<std::string>& failures) {
  std::vector<lt::tcp::endpoint> endpoints;
  const auto add = [&](const lt::tcp::endpoint& endpoint) {
    if (std::find(endpoints.begin(), endpoints.end(), endpoint) ==
        endpoints.end()) {
      endpoints.push_back(endpoint);
    }
  };
  for (const auto& [host, port] : peers) {
    lt::error_code error;
    const lt::address literal = lt::make_address(host, error);
    if (!error) {
      add({literal, port});
      continue;
    }
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (status != 0) {
      failures.push_back(verify::StrCat(verify::EscapeForTerminal(host), ": ",
                                        ::gai_strerror(status)));
      continue;
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found,
                                                               ::freeaddrinfo);
    for (const addrinfo* entry = found; entry != nullptr;
         entry = entry->ai_next) {
      char text[NI_MAXHOST];
      if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof(text),
                        nullptr, 0, NI_NUMERICHOST) != 0) {
        continue;
      }
      const lt::address address = lt::make_address(text, error);
      if (!error) add({address, port});
    }
  }
  return endpoints;
}

lt::ip_filter MakeIpFilter(const SessionSettings& settings,
                           const std::vector<lt::tcp::endpoint>& named) {
  lt::ip_filter filter;
  if (settings.allow_local) return filter;
  // A session that listens on loopback alone is meant for loopback.
  lt::error_code error;
  const lt::address listen = lt::make_address(settings.listen_address, error);
  const bool on_loopback = !error && listen.is_loopback();
  for (const Range& range : LocalRanges()) {
    if (range.loopback && on_loopback) continue;
    filter.add_rule(range.first, range.last, lt::ip_filter::blocked);
  }
  const auto allow = [&](const lt::address& address) {
    filter.add_rule(address, address, 0);
  };
  for (const lt::tcp::endpoint& endpoint : named) allow(endpoint.address());
  for (const std::string& tracker : settings.trackers) {
    const std::string host = UrlHost(tracker);
    const lt::address address = lt::make_address(host, error);
    if (!error) allow(address);
    if (verify::AsciiLower(host) == "localhost") {
      allow(V4("127.0.0.1"));
      allow(V6("::1"));
    }
  }
  return filter;
}

}  // namespace p2p
