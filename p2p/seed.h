// SPDX-License-Identifier: Apache-2.0
// Serves content that was verified before. Tested by tests/p2p/seed_test.cc.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "p2p/events.h"
#include "p2p/settings.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace p2p {

struct SeedOptions {
  std::vector<std::byte> torrent;  // whole .torrent file
  // Folder that holds the torrent's top name. The caller has just verified
  // every piece: nothing is hashed again.
  std::string save_folder;
  // Where the payload stands, if its folder is not called as the torrent's
  // name: the actual name of file or folder under save_folder; empty: same.
  std::string payload_name;
  SessionSettings session;
  std::vector<std::string> extra_trackers;
  std::optional<double> max_ratio;  // stop after uploading that many copies
  std::optional<double> max_time_s;
};

struct SeedOutcome {
  uint64_t uploaded_bytes = 0;
};

// Serves until a limit is reached (ok) or `cancel` is set (ok as well: a
// seeder is stopped by its user). Errors: kBusy (port), kMismatch (files
// changed size), kIo.
verify::Result<SeedOutcome> Seed(const SeedOptions& options,
                                 const verify::CancelToken& cancel,
                                 TransferSink& sink);

}  // namespace p2p
