// SPDX-License-Identifier: Apache-2.0
// From a magnet link to a verified model with its final name:
// metadata, download, hashes, structure, smoke test, rename.
// Tested by tests/scripts and tests/cli/flows.
#pragma once

#include <cstdint>
#include <string>

#include "cli/context.h"
#include "cli/flows/asked_proof.h"
#include "p2p/selection.h"
#include "p2p/settings.h"
#include "verify/base/result.h"
#include "verify/container/archive.h"

namespace cli {

struct GetOptions {
  std::string source;         // as source.h says
  std::string output_folder;  // the payload becomes OUTPUT/NAME
  p2p::SessionSettings session;
  double metadata_timeout_s = 0;
  double stall_timeout_s = 0;
  uint64_t max_total_bytes = 0;
  bool raw = false;                 // stop after the verified download
  bool seed = false;                // go on serving
  bool require_v2 = false;          // a torrent without v2 hashes is a finding
  p2p::SelectionRequest selection;  // which files; empty: all
  bool dry_run = false;             // say what would be fetched, no more
  uint64_t reserve_bytes = 0;       // to keep free besides
  std::string adopt_path;           // a former copy to use, left as it is
  // Take over a folder at the final path that holds nothing of the torrent.
  bool overwrite = false;
  std::string save_torrent;
  size_t num_threads = 0;
  verify::ArchiveOptions archive;  // if what was fetched is one
  AskedProof proof;
};

verify::Result<CommandResult> RunGet(const GetOptions& options,
                                     Context& context);

}  // namespace cli
