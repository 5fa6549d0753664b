// SPDX-License-Identifier: Apache-2.0
// Announces to udp trackers that were lost because a proxy's relay for
// datagrams was not open yet. The library would ask again after a quarter of a
// minute, and a relay opens within moments. Internal to p2p.
// Tested by tests/scripts/proxy_no_leak.py.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "p2p/lt_bridge.h"

namespace p2p {

// Used by one thread.
class LostAnnounces {
 public:
  // Keeps it in mind if the alert tells of a lost one.
  void OnAlert(const lt::alert& alert);
  // Makes those again that are due: after a second, then after twice as long
  // each time, since a proxy may have no relay at all.
  void Repeat(std::chrono::steady_clock::time_point now);

 private:
  struct Announce {
    lt::torrent_handle torrent;
    std::string url;
  };
  std::vector<Announce> lost_;
  std::chrono::steady_clock::time_point due_{};
  std::chrono::seconds wait_{1};
};

}  // namespace p2p
