// SPDX-License-Identifier: Apache-2.0
#include "p2p/lt_bridge.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <libtorrent/version.hpp>
#include <memory>

#include "p2p/endpoint_policy.h"

namespace p2p {
namespace {

template <size_t kSize>
void CopyHash(const std::array<std::byte, kSize>& from, char* to) {
  std::memcpy(to, from.data(), kSize);
}

lt::address ToLibtorrentAddress(const IpAddress& address) {
  if (address.is_v6) {
    lt::address_v6::bytes_type bytes{};
    std::copy(address.bytes.begin(), address.bytes.end(), bytes.begin());
    return lt::address_v6(bytes);
  }
  lt::address_v4::bytes_type bytes{};
  std::copy_n(address.bytes.begin(), bytes.size(), bytes.begin());
  return lt::address_v4(bytes);
}

struct Range {
  lt::address first;
  lt::address last;
  LocalRangeKind kind = LocalRangeKind::kPrivate;
};

const std::vector<Range>& KnownLocalRanges() {
  static const std::vector<Range> ranges = [] {
    std::vector<Range> converted;
    for (const LocalRange& local : LocalRanges()) {
      converted.push_back({ToLibtorrentAddress(local.range.first),
                           ToLibtorrentAddress(local.range.last), local.kind});
    }
    return converted;
  }();
  return ranges;
}

bool Contains(const Range& range, const lt::address& address) {
  if (range.first.is_v4() != address.is_v4()) return false;
  return range.first <= address && address <= range.last;
}

void Block(lt::ip_filter& filter, std::string_view network) {
  if (const auto range = ParseIpRange(network)) {
    filter.add_rule(ToLibtorrentAddress(range->first),
                    ToLibtorrentAddress(range->last), lt::ip_filter::blocked);
  }
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
  const auto& ranges = KnownLocalRanges();
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
    return Contains(range, address);
  });
}

std::vector<lt::tcp::endpoint> ResolvePeers(
    const std::vector<HostPort>& peers, NameLookup lookup,
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
    if (lookup == NameLookup::kNever) {
      failures.push_back(
          verify::StrCat(verify::EscapeForTerminal(host),
                         ": with a proxy, peers need addresses: a look-up of "
                         "the name would not go through it"));
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
  if (settings.lan_only) {
    Block(filter, "0.0.0.0/0");
    Block(filter, "::/0");
  }
  // A session that listens on loopback alone is meant for loopback.
  lt::error_code error;
  const lt::address listen = lt::make_address(settings.listen_address, error);
  const bool on_loopback = !error && listen.is_loopback();
  // In this order: of ranges that overlap the last one counts.
  for (const Range& range : KnownLocalRanges()) {
    const bool allowed =
        range.kind != LocalRangeKind::kNever &&
        (settings.allow_local || settings.lan_only ||
         (on_loopback && range.kind == LocalRangeKind::kLoopback));
    filter.add_rule(range.first, range.last,
                    allowed ? 0 : lt::ip_filter::blocked);
  }
  for (const IpRange& range : settings.blocked) {
    filter.add_rule(ToLibtorrentAddress(range.first),
                    ToLibtorrentAddress(range.last), lt::ip_filter::blocked);
  }
  const auto allow = [&](const lt::address& address) {
    filter.add_rule(address, address, 0);
  };
  for (const lt::tcp::endpoint& endpoint : named) allow(endpoint.address());
  for (const std::vector<std::string>* urls :
       {&settings.trackers, &settings.web_seeds}) {
    for (const std::string& url : *urls) {
      const std::string host = UrlHost(url);
      const lt::address address = lt::make_address(host, error);
      if (!error) allow(address);
      if (verify::AsciiLower(host) == "localhost") {
        allow(lt::make_address_v4("127.0.0.1"));
        allow(lt::make_address_v6("::1"));
      }
    }
  }
  return filter;
}

}  // namespace p2p
