// SPDX-License-Identifier: Apache-2.0
// What a user may set about a session; the rest follows swarm.md's reasons,
// written beside each value in settings.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace p2p {

struct SessionSettings {
  // Address or interface to listen on; empty: all.
  std::string listen_address;
  std::optional<uint16_t> port;  // fixed by the user: taken means kBusy
  bool enable_dht = true;
  bool enable_lsd = true;
  bool enable_pex = true;
  bool enable_utp = true;
  // Peers, trackers and web seeds on loopback and private addresses are used
  // only if this is set or the user named one by hand.
  bool allow_local = false;
  uint64_t down_bytes_per_s = 0;  // 0: unlimited
  uint64_t up_bytes_per_s = 0;
  // Named by the user: host and port.
  std::vector<std::pair<std::string, uint16_t>> peers;
  std::vector<std::string> trackers;
};

// Of the library that is linked, such as "2.0.8.0".
std::string LibtorrentVersion();

}  // namespace p2p
