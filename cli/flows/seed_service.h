// SPDX-License-Identifier: Apache-2.0
// Serves many models in one process: checks each (by the state database, or by
// hashing), serves it, keeps its counters, judges when it may stop, answers the
// control socket. Tested by tests/scripts/seed_service.py.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/state/torrent_store.h"
#include "p2p/seed_policy.h"
#include "p2p/settings.h"
#include "verify/base/result.h"

namespace cli {

inline constexpr char kUsualSeeder[] = "seed";

struct SeedTarget {
  std::string path;  // canonical
  // Nothing: found by the torrent store, or made.
  std::optional<KnownTorrent> torrent;
  // The caller has just verified every piece of it.
  bool verified = false;
};

struct SeedServiceOptions {
  std::vector<SeedTarget> targets;
  p2p::SessionSettings session;
  // Replaces what is stored of each target.
  std::optional<p2p::SeedPolicy> policy;
  bool rehash = false;
  // Every model is hashed again that long after it was last; 0: never.
  double scrub_s = 7 * 86400.0;
  // Models of the usual one are served again by `seed` without arguments.
  std::string socket_name = kUsualSeeder;
  // Goes on without models, waiting for some.
  bool stay = false;
  std::string metrics_listen;  // "127.0.0.1:9100"; empty: none
  std::string metrics_token;   // empty: whoever reaches it may read
  // Called once it listens and answers its socket; may be empty.
  std::function<void()> on_ready;
};

// The name of the socket of a seeder that runs beside the usual one.
std::string SeparateSocketName();

// Serves until every model has ended, `context.cancel` is set or the socket
// says stop. Errors: those of the only target; kBusy (another seeder has the
// socket: id E-RUNNING; a port: E-PORT), kIo.
verify::Result<CommandResult> RunSeedService(const SeedServiceOptions& options,
                                             Context& context);

}  // namespace cli
