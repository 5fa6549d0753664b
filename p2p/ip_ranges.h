// SPDX-License-Identifier: Apache-2.0
// Ranges of IP addresses, and the lists of them that users keep to say whom
// they do not talk to. Tested by tests/p2p/ip_ranges_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/result.h"

namespace p2p {

inline constexpr size_t kMaxIpFilterBytes = 64u << 20;
inline constexpr size_t kMaxIpRanges = 2'000'000;

// An address in network byte order; an IPv4 one fills the first four bytes.
struct IpAddress {
  bool is_v6 = false;
  std::array<uint8_t, 16> bytes{};

  bool operator==(const IpAddress&) const = default;
  auto operator<=>(const IpAddress&) const = default;
};

// Both ends belong to it. Both are of one family, and first <= last.
struct IpRange {
  IpAddress first;
  IpAddress last;

  bool operator==(const IpRange&) const = default;
};

// "192.0.2.1" or "2001:db8::1", nothing around it.
std::optional<IpAddress> ParseIpAddress(std::string_view text);

// "192.0.2.1", "192.0.2.0/24", "192.0.2.1-192.0.2.9", and the same in IPv6.
// Bits of a network beyond its prefix are ignored.
std::optional<IpRange> ParseIpRange(std::string_view text);

// The ranges that a list blocks, in its order. A line is one of
//   ADDRESS, NETWORK/BITS, FIRST-LAST         as ParseIpRange takes them
//   anything:FIRST-LAST                       PeerGuardian text (IPv4)
//   FIRST - LAST , ACCESS , anything          eMule's ipfilter.dat: an access
//                                             below 127 is blocked
// Octets may have leading zeros ("001.002.003.004": decimal, as such lists
// mean it). Empty lines and those that start with "#", ";" or "//" are
// skipped; those that are none of this are counted, and `remark` says so.
// Errors: kInvalidArgument (more than one line in ten is none of this: the
// line is named), kLimit (kMaxIpFilterBytes, kMaxIpRanges).
verify::Result<std::vector<IpRange>> ParseIpFilter(std::string_view text,
                                                   std::string& remark);

// The same of a file; `path` is named in errors. kNotFound, kIo besides.
verify::Result<std::vector<IpRange>> ReadIpFilter(const std::string& path,
                                                  std::string& remark);

}  // namespace p2p
