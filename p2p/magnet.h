// SPDX-License-Identifier: Apache-2.0
// Magnet links: parsing, repair of the forms that posts on X mangled, and
// writing. Untrusted input. BEP 9, BEP 53; docs/formats/magnet.md.
// Tested by tests/p2p/magnet_test.cc, fuzzed by tests/fuzz/magnet_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "p2p/info_hash.h"
#include "verify/base/result.h"

namespace p2p {

inline constexpr size_t kMaxMagnetBytes = size_t{1} << 20;
// Trackers, web seeds and peers that ParseMagnet keeps, each. FilterEndpoints
// keeps fewer.
inline constexpr size_t kMaxMagnetEndpoints = 1000;
// Longer display names are cut.
inline constexpr size_t kMaxDisplayNameBytes = 512;
// File indices that so= may name are below this.
inline constexpr uint32_t kMaxSelectedFileIndex = 1'000'000;

struct Metainfo;

struct Magnet {
  InfoHashes info_hashes;
  // dn: valid UTF-8, but may hold anything else; never a path, and escaped
  // wherever it is shown.
  std::string display_name;
  std::vector<std::string> trackers;   // tr, in order, without repeats
  std::vector<std::string> web_seeds;  // ws
  // x.pe as host (without brackets) and port.
  std::vector<std::pair<std::string, uint16_t>> peers;
  std::vector<uint32_t> selected_files;  // so, ascending

  bool operator==(const Magnet&) const = default;
};

struct ParsedMagnet {
  Magnet magnet;
  // One line each for what was repaired, and for what was dropped and why.
  // Printable as they are; a bounded number of them.
  std::vector<std::string> repairs;
  std::vector<std::string> warnings;
};

// Reads a link: "magnet:?" in any case; xt as btih (40 hex or 32 base32
// digits) or btmh (1220 and 64 hex digits), dn, tr, ws, x.pe and so, with or
// without a ".1" suffix. What else a link holds is left out with a warning.
// Endpoints are not judged here: FilterEndpoints does.
// Errors: kInvalidArgument with id E-MAGNET: no magnet, no xt, an xt of
// another kind only, wrong length or digits, xt that contradict each other, a
// malformed so.
verify::Result<ParsedMagnet> ParseMagnet(std::string_view text);

// A bare info-hash: 40 hex or 32 base32 digits (v1), 64 hex digits or 1220 and
// 64 hex digits (v2). Nothing for other text.
std::optional<InfoHashes> ParseInfoHash(std::string_view text);

// A magnet that ParseMagnet reads back; parameters in a fixed order.
std::string FormatMagnet(const Magnet& magnet);

// The link of a torrent: its hashes, name, trackers and web seeds.
Magnet MagnetOf(const Metainfo& metainfo);

// Takes out the trackers, web seeds and peers that endpoint_policy.h refuses,
// and those beyond its number, with one line in `warnings` for each.
void FilterEndpoints(Magnet& magnet, bool allow_local,
                     std::vector<std::string>& warnings);

}  // namespace p2p
