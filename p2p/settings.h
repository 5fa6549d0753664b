// SPDX-License-Identifier: Apache-2.0
// What a user may set about a session; the rest follows swarm.md's reasons,
// written beside each value in settings.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "p2p/ip_ranges.h"
#include "p2p/proxy.h"
#include "p2p/rate_schedule.h"

namespace p2p {

// Obfuscation of the peer protocol: it hides content from shapers, not from
// peers.
enum class EncryptionPolicy {
  kPrefer,   // take what the peer takes
  kRequire,  // RC4 streams only
  kOff,
};

// Host and port.
using HostPort = std::pair<std::string, uint16_t>;

struct SessionSettings {
  // Address or interface to listen on; empty: all.
  std::string listen_address;
  // Network interface for all that leaves and comes in; empty: the system's
  // choice. Takes the place of listen_address.
  std::string interface_name;
  std::optional<uint16_t> port;  // fixed by the user: taken means kBusy
  bool enable_dht = true;
  bool enable_lsd = true;
  bool enable_pex = true;
  bool enable_utp = true;
  // Ask the router to let peers in (UPnP, NAT-PMP).
  bool port_map = false;
  // Peers, trackers and web seeds on loopback and private addresses are used
  // only if this is set or the user named one by hand.
  bool allow_local = false;
  // For a lab or cluster: nothing outside loopback and private addresses but
  // what the user named; no DHT. Implies allow_local.
  bool lan_only = false;
  // Announce public torrents that have no live tracker to well-known ones.
  bool fallback_trackers = false;
  // Hide name and version of this program.
  bool anonymous = false;
  EncryptionPolicy encryption = EncryptionPolicy::kPrefer;
  // All of the session's traffic goes through it: no listening, LSD or router
  // requests, names left to it, and anonymous besides.
  ProxySettings proxy;
  // Not talked to, but for peers that the user named.
  std::vector<IpRange> blocked;
  int max_connections = 0;  // 0: as many as descriptors allow, at most 500
  int max_uploads = 0;      // peers served at once; 0: by what the session does
  uint64_t down_bytes_per_s = 0;  // 0: unlimited
  uint64_t up_bytes_per_s = 0;
  // What holds in place of the two rates at times; `week_time` tells them, by
  // default in local time.
  RateSchedule schedule;
  std::function<WeekTime()> week_time = LocalWeekTime;
  // Named by the user.
  std::vector<HostPort> peers;
  std::vector<std::string> trackers;
  std::vector<std::string> web_seeds;
  // Ways into the DHT; empty: the well-known ones.
  std::vector<HostPort> dht_nodes;
  // File that keeps what is known of the DHT from one session to the next;
  // empty: none.
  std::string dht_state_path;
};

// The settings that hold once `settings.proxy` has been probed: what a proxy
// or the LAN mode rules out is off. Requires the proxy to be probed if set.
SessionSettings Effective(SessionSettings settings);

// Of the library that is linked, such as "2.0.8.0".
std::string LibtorrentVersion();

}  // namespace p2p
