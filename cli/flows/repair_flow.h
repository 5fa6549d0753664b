// SPDX-License-Identifier: Apache-2.0
// Making a copy that is here what its torrent says: only what is wrong or
// missing is fetched, and written where it belongs. `get` over a folder and
// `verify --repair` share it. docs/decisions/0002-adoption-and-repair.md.
// Tested by tests/scripts/repair.py and adopt.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "cli/context.h"
#include "cli/flows/content_check.h"
#include "cli/state/torrent_store.h"
#include "p2p/adopt.h"
#include "p2p/download.h"
#include "p2p/settings.h"
#include "verify/base/result.h"

namespace cli {

// Hashes the copy at `path` on all processors, as the stage "recheck".
// Errors: kCancelled.
verify::Result<p2p::CopyElsewhere> FindGoodPieces(
    const p2p::Metainfo& metainfo, const p2p::PieceLayers& layers,
    const std::string& path, size_t num_threads, Context& context);

// Writes what was fetched into the copy, as the stage "repair", and says how
// much that was. Errors: those of ApplyPieces.
verify::Result<p2p::ApplyOutcome> ApplyToCopy(
    const p2p::DownloadOutcome& download, const p2p::CopyElsewhere& copy,
    Context& context);

// What is said of a download that did not end well.
verify::Error DownloadError(verify::Error error);

// What fetching can do for a copy that was checked against its torrent.
enum class RepairNeed {
  kNone,
  kFetch,
  // Something is wrong, but not what the torrent names: a list that says other
  // things than the torrent, a file that only a list names.
  kCannotHelp,
};
RepairNeed RepairNeeded(const ContentReport& content);

struct RepairOptions {
  std::string path;
  KnownTorrent torrent;
  p2p::SessionSettings session;
  double stall_timeout_s = 0;
  size_t num_threads = 0;
};

struct RepairOutcome {
  uint64_t bad_pieces = 0;
  uint64_t downloaded_bytes = 0;
  p2p::ApplyOutcome applied;
};

// Takes away the work folder of a repair that was killed after its last write,
// beside a copy that was found right; not one that a process holds.
void RemoveRepairRemains(const std::string& path,
                         const p2p::Metainfo& metainfo);

// Fetches the pieces of the copy at `path` that are not right and writes them
// there. The pieces stand in a work folder beside it until they do, so that a
// run that is killed is taken up by the next one.
// Errors: those of Download and ApplyPieces.
verify::Result<RepairOutcome> RunRepair(const RepairOptions& options,
                                        Context& context);

}  // namespace cli
