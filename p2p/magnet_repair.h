// SPDX-License-Identifier: Apache-2.0
// X turned the inside of the percent-encoded tr= values of published magnets
// into links. This undoes it where nothing was lost. docs/formats/magnet.md.
// Tested by tests/p2p/magnet_test.cc.
#pragma once

#include <string>
#include <string_view>

namespace p2p {

struct RepairedValue {
  // Percent-encoded as it came, damage undone. Unusable if `lost` is set.
  std::string text;
  bool changed = false;
  // Why the value cannot be used; empty as a rule.
  std::string lost;
};

// `value`: what stands behind "tr=" or "ws=", not yet decoded.
RepairedValue RepairMangledUrl(std::string_view value);

}  // namespace p2p
