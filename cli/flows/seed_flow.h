// SPDX-License-Identifier: Apache-2.0
// Serves a folder or file after every piece of it was checked.
#pragma once

#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/state/torrent_store.h"
#include "p2p/settings.h"
#include "verify/base/result.h"

namespace cli {

struct SeedFlowOptions {
  std::string path;
  std::optional<KnownTorrent> torrent;
  p2p::SessionSettings session;
  std::optional<double> max_ratio;
  std::optional<double> max_time_s;
};

// Serves `path` without hashing it: the caller has just verified every piece
// of it against `options.torrent`, which is required.
verify::Result<CommandResult> ServeVerified(const SeedFlowOptions& options,
                                            Context& context);

// Finds or makes the torrent of `path`, checks every piece, serves.
// Errors: kNotFound, kMismatch (id E-MISMATCH; nothing is served), kBusy, kIo.
verify::Result<CommandResult> RunSeed(const SeedFlowOptions& options,
                                      Context& context);

}  // namespace cli
