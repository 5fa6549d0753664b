// SPDX-License-Identifier: Apache-2.0
// What was tried to find a swarm and what came of it, gathered from alerts,
// so that "no peers" can be explained; and the dialling of peers that the
// user named. Internal to p2p. Tested by tests/p2p/download_test.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "p2p/events.h"
#include "p2p/lt_bridge.h"

namespace p2p {

// Used by the thread of its transfer only.
class SwarmTrace {
 public:
  // Learns from an alert; tells `sink` of what a user should know, each thing
  // once.
  void OnAlert(const lt::alert& alert, TransferSink& sink);
  // Learns how many peers are known, and how many of them are connected.
  void OnStatus(const lt::torrent_status& status);

  bool ever_connected() const { return peers_reached() > 0; }
  // Connections that came about, those that last included. (The library's
  // alert of a connection comes with the attempt.)
  uint64_t peers_reached() const {
    return peers_left_ + static_cast<uint64_t>(peers_now_);
  }
  uint64_t peers_banned() const { return peers_banned_; }
  int64_t dht_nodes() const { return dht_nodes_; }

  // True if each of these trackers answered, and none with anything but an
  // error.
  bool AllFailed(const std::vector<std::string>& trackers) const;

  SwarmAccount Account(const SessionSettings& settings, double waited_s) const;
  // The account's text alone.
  std::string Describe(const SessionSettings& settings) const {
    return Account(settings, 0).text;
  }
  // What a user whose transfer gets nothing can do.
  std::string Advice(const SessionSettings& settings) const;

 private:
  // By local address: a tracker may answer over IPv4 and fail over IPv6.
  struct TrackerState {
    std::map<std::string, std::string> errors;
    std::map<std::string, int> peers;
    bool out_of_reach = false;  // from one of our addresses at least
  };
  TrackerState* Tracker(const char* url);
  void NoticeOnce(TransferSink& sink, const std::string& code,
                  const std::string& message, const std::string& hint);
  std::string Text(const SwarmAccount& account) const;

  std::map<std::string, TrackerState> trackers_;  // by URL
  uint64_t peers_left_ = 0;
  uint64_t peers_banned_ = 0;
  int64_t dht_nodes_ = 0;
  int peers_known_ = 0;
  int peers_now_ = 0;
  std::set<std::string> told_;
};

// Calls the peers that the user named until they answer, and again after they
// left: a seeder may start after us.
class PeerDialer {
 public:
  explicit PeerDialer(std::vector<lt::tcp::endpoint> endpoints)
      : endpoints_(std::move(endpoints)) {}

  const std::vector<lt::tcp::endpoint>& endpoints() const { return endpoints_; }
  void OnAlert(const lt::alert& alert);
  // Dials who is not connected, at most every two seconds.
  void Dial(const std::vector<lt::torrent_handle>& torrents,
            std::chrono::steady_clock::time_point now);

 private:
  std::vector<lt::tcp::endpoint> endpoints_;
  std::set<std::pair<lt::torrent_handle, lt::tcp::endpoint>> connected_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace p2p
