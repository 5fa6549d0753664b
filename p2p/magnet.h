// SPDX-License-Identifier: Apache-2.0
// Magnet links: parsing, repair of the forms that posts on X mangled, and
// writing. Untrusted input. BEP 9, BEP 53; docs/formats/magnet.md.
// Tested by tests/p2p/magnet_test.cc, fuzzed by tests/fuzz/magnet_fuzz.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "p2p/info_hash.h"
#include "verify/base/result.h"

namespace p2p {

struct Magnet {
  InfoHashes info_hashes;
  std::string display_name;            // dn; never a path
  std::vector<std::string> trackers;   // tr, in order, without repeats
  std::vector<std::string> web_seeds;  // ws
  // x.pe as host (without brackets) and port.
  std::vector<std::pair<std::string, uint16_t>> peers;
  std::vector<uint32_t> selected_files;  // so, ascending
};

struct ParsedMagnet {
  Magnet magnet;
  // One line each for what was repaired, and for what was dropped and why.
  std::vector<std::string> repairs;
  std::vector<std::string> warnings;
};

// Errors: kInvalidArgument with id E-MAGNET: no magnet, no xt, an xt of
// another kind, wrong length or digits, xt that contradict each other.
verify::Result<ParsedMagnet> ParseMagnet(std::string_view text);

// A magnet that ParseMagnet reads back; parameters in a fixed order.
std::string FormatMagnet(const Magnet& magnet);

}  // namespace p2p
