// SPDX-License-Identifier: Apache-2.0
// The HTTP side of the tracker: /announce, /scrape, and / for people. One
// thread serves all connections; each has a bound on size and time. Whatever
// comes, the answer is a bencoded one or the connection ends.
// Tested by tests/scripts/tracker.py.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "p2p/tracker_state.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace cli {

struct TrackerServerOptions {
  std::string listen = "127.0.0.1";  // an address, not a name
  uint16_t port = 6969;              // 0: the system chooses
  size_t max_connections = 4096;
  p2p::TrackerLimits limits;
  std::vector<p2p::SwarmKey> only;  // empty: any
};

struct TrackerServerEvents {
  // The URL for --tracker.
  std::function<void(const std::string& announce_url)> on_listen;
  // About once a second, from the thread that runs.
  std::function<void(const p2p::TrackerCounts&)> on_tick;
};

// Serves until `cancel` is set; then closes all within a tenth of a second.
// Errors: kInvalidArgument (no address), kBusy (port taken), kIo.
verify::Result<p2p::TrackerCounts> RunTrackerServer(
    const TrackerServerOptions& options, const verify::CancelToken& cancel,
    const TrackerServerEvents& events);

}  // namespace cli
