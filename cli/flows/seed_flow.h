// SPDX-License-Identifier: Apache-2.0
// Serves one folder or file on behalf of `get --seed`.
#pragma once

#include <optional>
#include <string>

#include "cli/context.h"
#include "cli/state/torrent_store.h"
#include "p2p/settings.h"
#include "verify/base/result.h"

namespace cli {

struct SeedFlowOptions {
  std::string path;
  std::optional<KnownTorrent> torrent;
  p2p::SessionSettings session;
};

// Serves `path` without hashing it: the caller has just verified every piece
// of it against `options.torrent`, which is required. Runs beside a seeder of
// the user, if there is one.
verify::Result<CommandResult> ServeVerified(const SeedFlowOptions& options,
                                            Context& context);

}  // namespace cli
