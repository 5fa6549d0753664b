// SPDX-License-Identifier: Apache-2.0
// What a user names as the thing to fetch, whatever its form.
// Tested by tests/scripts/get_demo.py and bad_input.py.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "p2p/magnet.h"
#include "p2p/metainfo.h"
#include "p2p/settings.h"
#include "verify/base/result.h"

namespace cli {

// As a magnet and, if known, the metainfo.
struct Source {
  p2p::Magnet magnet;
  std::vector<std::byte> torrent;
  std::optional<p2p::Metainfo> metainfo;
};

// A magnet link, an info-hash or the path of a .torrent file. What was repaired
// or dropped is said. Errors: kInvalidArgument (E-MAGNET), kNotFound, kCorrupt.
verify::Result<Source> ReadSource(const std::string& text,
                                  const p2p::SessionSettings& session,
                                  Context& context);

}  // namespace cli
