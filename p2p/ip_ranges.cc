// SPDX-License-Identifier: Apache-2.0
#include "p2p/ip_ranges.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using verify::TrimAscii;

constexpr size_t kMaxAddressBytes = 45;
// Of eMule: what a list merely remarks on has an access of this or more.
constexpr int kAllowedAccess = 127;

std::optional<int> ParseInt(std::string_view text, int max) {
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || rest != end || value < 0 ||
      value > max) {
    return std::nullopt;
  }
  return value;
}

// Four decimal octets, each of up to three digits.
std::optional<IpAddress> ParseV4(std::string_view text) {
  IpAddress address;
  for (size_t i = 0; i < 4; ++i) {
    const size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos || dot == 0 || dot > 3) {
      return std::nullopt;
    }
    const auto octet = ParseInt(text.substr(0, dot), 255);
    if (!octet.has_value()) return std::nullopt;
    address.bytes[i] = static_cast<uint8_t>(*octet);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return address;
}

std::optional<IpAddress> ParseV6(std::string_view text) {
  if (text.size() > kMaxAddressBytes ||
      text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  in6_addr parsed{};
  if (::inet_pton(AF_INET6, std::string(text).c_str(), &parsed) != 1) {
    return std::nullopt;
  }
  IpAddress address;
  address.is_v6 = true;
  std::memcpy(address.bytes.data(), parsed.s6_addr, address.bytes.size());
  return address;
}

IpRange Network(IpAddress address, size_t prefix_bits) {
  IpRange range{address, address};
  const size_t bits = address.is_v6 ? 128 : 32;
  for (size_t bit = prefix_bits; bit < bits; ++bit) {
    const auto mask = static_cast<uint8_t>(0x80u >> (bit % 8));
    range.first.bytes[bit / 8] &= static_cast<uint8_t>(~mask);
    range.last.bytes[bit / 8] |= mask;
  }
  return range;
}

// FIRST-LAST with blanks around either.
std::optional<IpRange> ParsePair(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = ParseIpAddress(TrimAscii(text.substr(0, dash)));
  const auto last = ParseIpAddress(TrimAscii(text.substr(dash + 1)));
  if (!first.has_value() || !last.has_value() || first->is_v6 != last->is_v6 ||
      *last < *first) {
    return std::nullopt;
  }
  return IpRange{*first, *last};
}

enum class LineKind { kBlocked, kAllowed, kUnreadable };

LineKind ReadLine(std::string_view line, IpRange& range) {
  std::optional<IpRange> found = ParseIpRange(line);
  if (!found.has_value()) {
    if (const size_t comma = line.find(','); comma != std::string_view::npos) {
      found = ParsePair(line.substr(0, comma));
      if (found.has_value()) {
        std::string_view access = line.substr(comma + 1);
        access = TrimAscii(access.substr(0, access.find(',')));
        const auto level = ParseInt(access, 1'000'000);
        if (!level.has_value()) return LineKind::kUnreadable;
        if (*level >= kAllowedAccess) return LineKind::kAllowed;
      }
    }
  }
  if (!found.has_value()) {
    // The name in front may hold colons itself; IPv4 addresses hold none.
    if (const size_t colon = line.rfind(':'); colon != std::string_view::npos) {
      found = ParsePair(line.substr(colon + 1));
    }
  }
  if (!found.has_value()) return LineKind::kUnreadable;
  range = *found;
  return LineKind::kBlocked;
}

bool IsComment(std::string_view line) {
  return line.empty() || line.front() == '#' || line.front() == ';' ||
         line.starts_with("//");
}

}  // namespace

std::optional<IpAddress> ParseIpAddress(std::string_view text) {
  if (auto v4 = ParseV4(text)) return v4;
  return ParseV6(text);
}

std::optional<IpRange> ParseIpRange(std::string_view text) {
  text = TrimAscii(text);
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    const auto address = ParseIpAddress(text.substr(0, slash));
    if (!address.has_value()) return std::nullopt;
    const auto bits =
        ParseInt(text.substr(slash + 1), address->is_v6 ? 128 : 32);
    if (!bits.has_value()) return std::nullopt;
    return Network(*address, static_cast<size_t>(*bits));
  }
  if (const auto address = ParseIpAddress(text)) {
    return IpRange{*address, *address};
  }
  return ParsePair(text);
}

Result<std::vector<IpRange>> ParseIpFilter(std::string_view text,
                                           std::string& remark) {
  remark.clear();
  if (text.size() > kMaxIpFilterBytes) {
    return Fail(ErrorCode::kLimit, StrCat(text.size(), " bytes, at most ",
                                          kMaxIpFilterBytes, " are read"));
  }
  std::vector<IpRange> ranges;
  size_t line_number = 0;
  size_t num_lines = 0;
  size_t num_unreadable = 0;
  std::string first_unreadable;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = TrimAscii(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    if (IsComment(line)) continue;
    ++num_lines;
    IpRange range;
    const LineKind kind = ReadLine(line, range);
    if (kind == LineKind::kBlocked) {
      if (ranges.size() == kMaxIpRanges) {
        return Fail(ErrorCode::kLimit,
                    StrCat("more than ", kMaxIpRanges, " ranges"));
      }
      ranges.push_back(range);
    } else if (kind == LineKind::kUnreadable && num_unreadable++ == 0) {
      first_unreadable = StrCat("line ", line_number, ": \"",
                                EscapeForTerminal(line, 80), "\"");
    }
  }
  if (num_unreadable * 10 > num_lines) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat(first_unreadable, " is no range of addresses, nor are ",
                       num_unreadable - 1, " other lines of ", num_lines))
        .Hint(
            "give a list of networks (192.0.2.0/24), of PeerGuardian text or "
            "of eMule's ipfilter.dat, unpacked");
  }
  if (num_unreadable > 0) {
    remark =
        StrCat(num_unreadable, " of ", num_lines,
               " lines are no range of addresses, first ", first_unreadable);
  }
  return ranges;
}

Result<std::vector<IpRange>> ReadIpFilter(const std::string& path,
                                          std::string& remark) {
  ASSIGN_OR_RETURN(const std::string text,
                   verify::ReadSmallTextFile(path, kMaxIpFilterBytes));
  auto ranges = ParseIpFilter(text, remark);
  if (!ranges) {
    return verify::WithContext(std::move(ranges).error(),
                               StrCat("\"", EscapeForTerminal(path), "\""));
  }
  return ranges;
}

}  // namespace p2p
