// SPDX-License-Identifier: Apache-2.0
#include "p2p/endpoint_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "p2p/notes.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::EscapeForTerminal;
using verify::StrCat;

constexpr size_t kMaxHostBytes = 253;
constexpr uint32_t kMetadataAddress = 0xA9FEA9FE;  // 169.254.169.254

enum class Reach {
  kGlobal,
  kLocal,  // loopback, private, link-local, shared
  kNever,  // no host at all, or never a peer
};

bool InRange(uint32_t address, uint32_t network, int bits) {
  return (address >> (32 - bits)) == (network >> (32 - bits));
}

// This machine and its networks, whatever protocol wraps them.
constexpr std::array<std::pair<uint32_t, int>, 9> kLocalNetworks = {{
    {0x00000000, 8},   // this network
    {0x0A000000, 8},   // 10/8
    {0x64400000, 10},  // 100.64/10 shared
    {0x7F000000, 8},   // loopback
    {0xA9FE0000, 16},  // link-local
    {0xAC100000, 12},  // 172.16/12
    {0xC0000000, 24},  // 192.0.0/24
    {0xC0A80000, 16},  // 192.168/16
    {0xC6120000, 15},  // 198.18/15 benchmarks
}};

Reach ReachOfV4(uint32_t a) {
  if (a == kMetadataAddress) return Reach::kNever;
  if (a == 0 || a == 0xFFFFFFFF || InRange(a, 0xE0000000, 3)) {
    return Reach::kNever;  // unspecified, broadcast, multicast and reserved
  }
  for (const auto& [network, bits] : kLocalNetworks) {
    if (InRange(a, network, bits)) return Reach::kLocal;
  }
  return Reach::kGlobal;
}

Reach ReachOfV6(const std::array<uint8_t, 16>& a) {
  const auto v4_at = [&](size_t i) {
    return (uint32_t{a[i]} << 24) | (uint32_t{a[i + 1]} << 16) |
           (uint32_t{a[i + 2]} << 8) | uint32_t{a[i + 3]};
  };
  const auto zeros = [&](size_t from, size_t to) {
    return std::all_of(a.begin() + static_cast<std::ptrdiff_t>(from),
                       a.begin() + static_cast<std::ptrdiff_t>(to),
                       [](uint8_t b) { return b == 0; });
  };
  if (zeros(0, 16)) return Reach::kNever;
  if (a[0] == 0xFF) return Reach::kNever;  // multicast
  if (zeros(0, 15) && a[15] == 1) return Reach::kLocal;
  if (zeros(0, 10) && a[10] == 0xFF && a[11] == 0xFF) {
    return ReachOfV4(v4_at(12));  // mapped
  }
  if (zeros(0, 12)) return ReachOfV4(v4_at(12));                 // compatible
  if (a[0] == 0x20 && a[1] == 0x02) return ReachOfV4(v4_at(2));  // 6to4
  if (a[0] == 0 && a[1] == 0x64 && a[2] == 0xFF && a[3] == 0x9B) {
    // NAT64: the well-known prefix wraps an address, the local one is local.
    return zeros(4, 12) ? ReachOfV4(v4_at(12)) : Reach::kLocal;
  }
  if ((a[0] & 0xFE) == 0xFC) return Reach::kLocal;                  // ULA
  if (a[0] == 0xFE && (a[1] & 0xC0) == 0x80) return Reach::kLocal;  // fe80
  if (a[0] == 0xFE && (a[1] & 0xC0) == 0xC0) return Reach::kLocal;  // fec0
  return Reach::kGlobal;
}

std::optional<Reach> ReachOfAddress(std::string_view host) {
  const std::string text(host);
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return ReachOfV4(ntohl(v4.s_addr));
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
    std::array<uint8_t, 16> bytes{};
    std::copy(std::begin(v6.s6_addr), std::end(v6.s6_addr), bytes.begin());
    return ReachOfV6(bytes);
  }
  return std::nullopt;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// A last label that old resolvers read as a number: the whole host is then an
// address in a form that the checks above do not see.
bool EndsInNumber(std::string_view host) {
  const std::string_view label = host.substr(host.rfind('.') + 1);
  if (label.size() > 1 && label[0] == '0' &&
      (label[1] == 'x' || label[1] == 'X')) {
    return true;
  }
  return !label.empty() && std::all_of(label.begin(), label.end(), IsDigit);
}

bool IsLocalName(std::string_view lower_name) {
  if (lower_name.find('.') == std::string_view::npos) return true;
  constexpr std::array<std::string_view, 8> kLocalSuffixes = {
      ".localhost", ".local",     ".internal", ".lan",
      ".home",      ".home.arpa", ".intranet", ".localdomain"};
  return std::any_of(
      kLocalSuffixes.begin(), kLocalSuffixes.end(),
      [&](std::string_view suffix) { return lower_name.ends_with(suffix); });
}

// Lower case, without the dot that marks a full name.
std::string NormalName(std::string_view host) {
  std::string name = verify::AsciiLower(host);
  if (name.ends_with('.')) name.pop_back();
  return name;
}

std::optional<std::string> PortProblem(uint32_t port) {
  if (port == 0 || port > 65535) return StrCat("port ", port, " is none");
  if (port < 1024 && port != 80 && port != 443) {
    return StrCat("port ", port, " is reserved for other services");
  }
  return std::nullopt;
}

// The IPv4 network, or the one that wraps it behind `prefix` in IPv6.
IpRange NetworkRange(std::span<const uint8_t> prefix, uint32_t network,
                     int bits) {
  IpRange range;
  range.first.is_v6 = range.last.is_v6 = !prefix.empty();
  std::copy(prefix.begin(), prefix.end(), range.first.bytes.begin());
  range.last.bytes = range.first.bytes;
  const uint32_t host_mask =
      bits == 0 ? 0xFFFFFFFF : (uint32_t{1} << (32 - bits)) - 1;
  const size_t at = prefix.size();
  for (size_t i = 0; i < 4; ++i) {
    const auto shift = static_cast<uint32_t>(24 - 8 * i);
    range.first.bytes[at + i] = static_cast<uint8_t>(network >> shift);
    range.last.bytes[at + i] =
        static_cast<uint8_t>((network | host_mask) >> shift);
  }
  if (!prefix.empty()) {
    std::fill(range.last.bytes.begin() + static_cast<std::ptrdiff_t>(at + 4),
              range.last.bytes.end(), uint8_t{0xFF});
  }
  return range;
}

constexpr std::string_view kLocalAdvice =
    "is on this machine or its network; --allow-local permits it";

}  // namespace

std::string UrlHost(std::string_view url) {
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return {};
  std::string_view rest = url.substr(scheme_end + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  if (rest.starts_with('[')) {
    return std::string(rest.substr(1, rest.find(']') - 1));
  }
  return std::string(rest.substr(0, rest.find(':')));
}

std::vector<LocalRange> LocalRanges() {
  constexpr uint32_t kLoopbackNetwork = 0x7F000000;
  constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0,    0,
                                               0, 0, 0, 0, 0xFF, 0xFF};
  constexpr std::array<uint8_t, 12> kCompatible{};
  constexpr std::array<uint8_t, 2> kSixToFour = {0x20, 0x02};
  constexpr std::array<uint8_t, 12> kNat64 = {0, 0x64, 0xFF, 0x9B};
  std::vector<LocalRange> ranges;
  const auto add_v4 = [&](uint32_t network, int bits, LocalRangeKind kind) {
    ranges.push_back({NetworkRange({}, network, bits), kind});
    for (const std::span<const uint8_t> prefix :
         {std::span<const uint8_t>(kMapped),
          std::span<const uint8_t>(kCompatible),
          std::span<const uint8_t>(kSixToFour),
          std::span<const uint8_t>(kNat64)}) {
      ranges.push_back({NetworkRange(prefix, network, bits), kind});
    }
  };
  for (const auto& [network, bits] : kLocalNetworks) {
    add_v4(network, bits,
           network == kLoopbackNetwork ? LocalRangeKind::kLoopback
                                       : LocalRangeKind::kPrivate);
  }
  add_v4(0xE0000000, 3, LocalRangeKind::kNever);
  add_v4(kMetadataAddress, 32, LocalRangeKind::kNever);
  add_v4(0, 32, LocalRangeKind::kNever);
  const auto add_v6 = [&](std::string_view network, LocalRangeKind kind) {
    if (const auto range = ParseIpRange(network)) {
      ranges.push_back({*range, kind});
    }
  };
  add_v6("64:ff9b:1::/48", LocalRangeKind::kPrivate);
  add_v6("fc00::/7", LocalRangeKind::kPrivate);
  add_v6("fe80::/10", LocalRangeKind::kPrivate);
  add_v6("fec0::/10", LocalRangeKind::kPrivate);
  add_v6("::1", LocalRangeKind::kLoopback);
  add_v6("::", LocalRangeKind::kNever);
  add_v6("ff00::/8", LocalRangeKind::kNever);
  return ranges;
}

bool IsPlainHost(std::string_view host) {
  if (host.empty() || host.size() > kMaxHostBytes) return false;
  // inet_pton stops at a NUL.
  if (host.find('\0') != std::string_view::npos) return false;
  if (ReachOfAddress(host).has_value()) return true;
  if (host.front() == '.' || host.front() == '-' ||
      host.find("..") != std::string_view::npos) {
    return false;
  }
  return std::all_of(host.begin(), host.end(), [](char c) {
    return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '.' || c == '-' || c == '_';
  });
}

bool IsLocalHost(std::string_view host) {
  if (!IsPlainHost(host)) return false;
  const std::string name = NormalName(host);
  if (const auto reach = ReachOfAddress(name)) return *reach == Reach::kLocal;
  return !EndsInNumber(name) && IsLocalName(name);
}

std::optional<std::string> HostProblem(std::string_view host,
                                       bool allow_local) {
  if (!IsPlainHost(host)) return "its host is no plain name or address";
  const std::string name = NormalName(host);
  if (const auto reach = ReachOfAddress(name)) {
    if (*reach == Reach::kNever) return "its address is never a peer's";
    if (*reach == Reach::kLocal && !allow_local) {
      return StrCat("its address ", kLocalAdvice);
    }
    return std::nullopt;
  }
  if (EndsInNumber(name)) return "its host is an address in an obscure form";
  if (IsLocalName(name) && !allow_local) {
    return StrCat("its host ", kLocalAdvice);
  }
  return std::nullopt;
}

std::optional<std::string> UrlProblem(std::string_view url, EndpointKind kind,
                                      bool allow_local) {
  if (url.size() > kMaxUrlBytes) {
    return StrCat("it is ", url.size(), " bytes long, at most ", kMaxUrlBytes,
                  " are allowed");
  }
  // Beyond printable ASCII a URL is percent-encoded; hosts in other scripts
  // can imitate known ones.
  for (const char c : url) {
    if (c <= ' ' || c > '~' || c == '\\' || c == '"' || c == '<' || c == '>') {
      return "it holds a character that no URL may hold";
    }
  }
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return "it is no URL";
  const std::string scheme = verify::AsciiLower(url.substr(0, scheme_end));
  const bool is_udp = scheme == "udp";
  if (scheme != "http" && scheme != "https" &&
      !(is_udp && kind == EndpointKind::kTracker)) {
    return StrCat(
        "its scheme is \"", scheme, "\", not http",
        kind == EndpointKind::kTracker ? ", https or udp" : " or https");
  }
  std::string_view authority = url.substr(scheme_end + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (authority.find('@') != std::string_view::npos) {
    return "it carries a user name or password";
  }
  std::string_view host = authority;
  std::string_view port_text;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return "its address has no end";
    host = authority.substr(1, close - 1);
    const std::string_view rest = authority.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') return "its address has no end";
    has_port = !rest.empty();
    if (has_port) port_text = rest.substr(1);
    if (host.find(':') == std::string_view::npos) {
      return "its host is no plain name or address";
    }
  } else if (const size_t colon = authority.find(':');
             colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port_text = authority.substr(colon + 1);
    has_port = true;
  }
  if (has_port) {
    uint32_t port = 0;
    const char* const end = port_text.data() + port_text.size();
    const auto parsed = std::from_chars(port_text.data(), end, port);
    if (port_text.empty() || parsed.ec != std::errc() || parsed.ptr != end) {
      return "its port is no number";
    }
    if (auto problem = PortProblem(port)) return problem;
  }
  return HostProblem(host, allow_local);
}

std::optional<std::string> PeerProblem(std::string_view host, uint16_t port,
                                       bool allow_local) {
  if (auto problem = PortProblem(port)) return problem;
  auto problem = HostProblem(host, allow_local);
  if (problem.has_value() && IsLocalHost(host)) {
    *problem += ", and so does naming it with --peer";
  }
  return problem;
}

void FilterUrls(std::vector<std::string>& urls, EndpointKind kind,
                bool allow_local, std::vector<std::string>& warnings) {
  const std::string_view what =
      kind == EndpointKind::kTracker ? "tracker" : "web seed";
  BoundedNotes notes(warnings);
  std::vector<std::string> kept;
  size_t beyond = 0;
  for (std::string& url : urls) {
    if (const auto problem = UrlProblem(url, kind, allow_local)) {
      notes.Add(StrCat(what, " \"", EscapeForTerminal(url, 200),
                       "\" left out: ", *problem));
    } else if (kept.size() == kMaxEndpoints) {
      ++beyond;
    } else {
      kept.push_back(std::move(url));
    }
  }
  if (beyond > 0) {
    notes.Add(StrCat(beyond, " further ", what, "s left out: at most ",
                     kMaxEndpoints, " are used"));
  }
  urls = std::move(kept);
}

void FilterPeers(std::vector<std::pair<std::string, uint16_t>>& peers,
                 bool allow_local, std::vector<std::string>& warnings) {
  BoundedNotes notes(warnings);
  std::vector<std::pair<std::string, uint16_t>> kept;
  size_t beyond = 0;
  for (auto& [host, port] : peers) {
    if (const auto problem = PeerProblem(host, port, allow_local)) {
      const bool is_v6 = host.find(':') != std::string::npos;
      notes.Add(StrCat("peer \"", is_v6 ? "[" : "",
                       EscapeForTerminal(host, 200), is_v6 ? "]" : "", ":",
                       port, "\" left out: ", *problem));
    } else if (kept.size() == kMaxEndpoints) {
      ++beyond;
    } else {
      kept.emplace_back(std::move(host), port);
    }
  }
  if (beyond > 0) {
    notes.Add(StrCat(beyond, " further peers left out: at most ", kMaxEndpoints,
                     " are used"));
  }
  peers = std::move(kept);
}

}  // namespace p2p
