// SPDX-License-Identifier: Apache-2.0
// What publishing says beside the torrent and the manifest: a catalogue entry,
// and remarks on web seeds. Tested by tests/scripts/publish.py.
#pragma once

#include <ctime>
#include <optional>
#include <string>

#include "cli/context.h"
#include "p2p/catalog.h"
#include "p2p/create_torrent.h"
#include "verify/base/result.h"

namespace cli {

struct EntryOptions {
  std::string license;
  std::string publisher;
  std::string architecture;
  std::string released;  // YYYY-MM-DD
};

// An entry that the catalogue accepts: exact sizes, a sha256 of every file.
// Requires a torrent made with want_sha256. Errors: kInvalidArgument (the names
// do not make an entry).
verify::Result<p2p::CatalogEntry> MakeEntry(const EntryOptions& options,
                                            const p2p::CreatedTorrent& created,
                                            Output& output);

// "2026-01-31" of seconds since 1970.
std::string UtcDate(std::time_t when);

// Why this web seed may serve other bytes one day; nothing if its revision is
// pinned, or it is no URL of a kind that has revisions.
std::optional<std::string> WebSeedRemark(const std::string& url);

}  // namespace cli
