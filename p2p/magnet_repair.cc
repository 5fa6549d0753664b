// SPDX-License-Identifier: Apache-2.0
#include "p2p/magnet_repair.h"

#include <algorithm>
#include <array>
#include <utility>

#include "verify/base/text.h"

namespace p2p {
namespace {

// Hosts behind the short links that X put into published magnets, known from
// copies of the same magnets that were not mangled.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3>
    kShortLinks = {{
        {"OdtBUsbeV5", "tracker.opentrackr.org"},  // Mixtral 8x22B
        {"2UepcMHjvL", "open.demonii.com"},        // Pixtral 12B
        {"NsTRgy7h8S", "tracker.ipv6tracker.org"}  // Pixtral 12B
    }};

bool IsAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}

bool StartsWithNoCase(std::string_view text, std::string_view lower_prefix) {
  return verify::AsciiLower(text.substr(0, lower_prefix.size())) ==
         lower_prefix;
}

}  // namespace

RepairedValue RepairMangledUrl(std::string_view value) {
  RepairedValue repaired;
  // "udp%3a%2f-tp%3a%2f%2f2Ftracker...": a client decoded the damage and wrote
  // it out again; what is left no longer tells the host from the noise.
  const std::string lower = verify::AsciiLower(value);
  if (lower.find("%3a%2f-tp%3a%2f%2f2f") != std::string::npos) {
    repaired.lost = "a client wrote out a mangled link again";
    return repaired;
  }
  std::string& out = repaired.text;
  size_t i = 0;
  while (i < value.size()) {
    const std::string_view rest = value.substr(i);
    size_t scheme_size = 0;
    for (const std::string_view scheme : {"%http://", "%https://"}) {
      if (StartsWithNoCase(rest, scheme)) scheme_size = scheme.size();
    }
    if (scheme_size == 0) {
      out.push_back(value[i++]);
      continue;
    }
    const std::string_view tail = rest.substr(scheme_size);
    if (StartsWithNoCase(tail, "2f")) {
      out.append("%2F");
      i += scheme_size + 2;
      repaired.changed = true;
      continue;
    }
    if (StartsWithNoCase(tail, "t.co/")) {
      std::string_view code = tail.substr(5);
      code = code.substr(
          0, static_cast<size_t>(
                 std::find_if_not(code.begin(), code.end(), IsAlnum) -
                 code.begin()));
      const auto known =
          std::find_if(kShortLinks.begin(), kShortLinks.end(),
                       [&](const auto& link) { return link.first == code; });
      if (known == kShortLinks.end()) {
        repaired.lost =
            verify::StrCat("its host is lost behind the short link t.co/",
                           verify::EscapeForTerminal(code, 40));
        return repaired;
      }
      out.append("%2F").append(known->second);
      i += scheme_size + 5 + code.size();
      repaired.changed = true;
      continue;
    }
    out.push_back(value[i++]);
  }
  return repaired;
}

}  // namespace p2p
