// SPDX-License-Identifier: Apache-2.0
// A libtorrent session with our settings: opened listening, closed within
// seconds. Internal to p2p. Tested by tests/p2p/download_test.cc.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "p2p/events.h"
#include "p2p/lt_bridge.h"
#include "p2p/swarm_trace.h"

namespace p2p {

struct SessionOptions {
  SessionRole role = SessionRole::kDownload;
  // Of the session that this one follows: tried before any other port, and
  // not reported again.
  uint16_t preferred_port = 0;
  // What a former session knew of the DHT.
  lt::dht::dht_state dht_state;
};

// Used by one thread. The session listens when Open returns, but is paused:
// nothing is announced before Resume. The destructor stops it.
class Session {
 public:
  // Errors: kBusy (the port that the user fixed is taken; id E-PORT),
  // kNetwork (nothing to listen on: id E-LISTEN), kInternal.
  static verify::Result<std::unique_ptr<Session>> Open(
      const SessionSettings& settings, const SessionOptions& options,
      TransferSink& sink);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Requires that Stop was not called.
  lt::session& engine() { return *engine_; }
  // Adds the peers, trackers and limits that every torrent of ours has.
  // Trackers all stand in one tier.
  void Prepare(lt::add_torrent_params& params,
               const std::vector<std::string>& trackers,
               const std::vector<std::string>& web_seeds) const;
  void Resume();

  // Alerts that came within `timeout`, in order; valid until the next call.
  // They have gone through trace() and the dialler.
  const std::vector<lt::alert*>& Wait(std::chrono::milliseconds timeout);
  // Calls peers that the user named and asks for statistics, both when due.
  void Tend(const lt::torrent_handle& torrent);

  SwarmTrace& trace() { return trace_; }
  uint16_t port() const { return port_; }
  lt::dht::dht_state DhtState();

  // Says goodbye to trackers and joins the engine's threads; at most a few
  // seconds. No file of the torrent is written afterwards.
  void Stop();

 private:
  Session(const SessionSettings& settings, TransferSink& sink,
          std::vector<lt::tcp::endpoint> named);
  verify::Result<bool> Start(const SessionOptions& options, uint16_t port);

  SessionSettings settings_;
  TransferSink& sink_;  // outlives this
  PeerDialer dialer_;
  SwarmTrace trace_;
  std::unique_ptr<lt::session> engine_;
  std::vector<lt::alert*> alerts_;
  uint16_t port_ = 0;
  std::chrono::steady_clock::time_point next_stats_{};
};

}  // namespace p2p
