// SPDX-License-Identifier: Apache-2.0
// Which trackers, web seeds and peers that a stranger named may be contacted:
// a link must not make this machine send requests into its own network.
// Tested by tests/p2p/endpoint_policy_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "p2p/ip_ranges.h"

namespace p2p {

// Kept of each kind.
inline constexpr size_t kMaxEndpoints = 50;
inline constexpr size_t kMaxUrlBytes = 2048;

enum class EndpointKind { kTracker, kWebSeed };

// Why a URL must not be used, as words; nothing if it may. Refused: schemes
// other than http, https and (trackers only) udp, user names and passwords,
// ports below 1024 other than 80 and 443, hosts that are no plain ASCII name or
// address, and what HostProblem refuses.
std::optional<std::string> UrlProblem(std::string_view url, EndpointKind kind,
                                      bool allow_local);

// The same for a peer's host (IPv6 without brackets) and port.
std::optional<std::string> PeerProblem(std::string_view host, uint16_t port,
                                       bool allow_local);

// Refused always: unspecified, broadcast and multicast addresses, the cloud
// metadata address 169.254.169.254, and numbers that only old resolvers take
// for an address ("127.1", "0x7f000001"). Refused without `allow_local`:
// loopback, private, link-local and shared addresses, also where an IPv6
// address wraps an IPv4 one, and names of the local network ("localhost",
// "nas", "nas.local"). Names are not resolved here.
std::optional<std::string> HostProblem(std::string_view host, bool allow_local);

// True for a name or address that stands for this machine or its network.
bool IsLocalHost(std::string_view host);

// The host of "scheme://host:port/path", IPv6 without brackets; empty if there
// is none. What stands before an "@" is taken for the host's part.
std::string UrlHost(std::string_view url);

enum class LocalRangeKind { kLoopback, kPrivate, kNever };

struct LocalRange {
  IpRange range;
  LocalRangeKind kind = LocalRangeKind::kPrivate;
};

// The addresses that HostProblem refuses, as ranges: those of this machine,
// those of private networks, and those that are never a peer's (multicast and
// the like). IPv6 ranges that wrap IPv4 ones are among them.
std::vector<LocalRange> LocalRanges();

// True for an IPv4 or IPv6 address, or a name of letters, digits, "-", "_" and
// ".".
bool IsPlainHost(std::string_view host);

// Removes what the functions above refuse and all beyond kMaxEndpoints; a line
// in `warnings` says what and why (a bounded number of them).
void FilterUrls(std::vector<std::string>& urls, EndpointKind kind,
                bool allow_local, std::vector<std::string>& warnings);
void FilterPeers(std::vector<std::pair<std::string, uint16_t>>& peers,
                 bool allow_local, std::vector<std::string>& warnings);

}  // namespace p2p
