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
#include "p2p/lost_announces.h"
#include "p2p/lt_bridge.h"
#include "p2p/swarm_trace.h"
#include "p2p/web_seeds.h"

namespace p2p {

struct SessionOptions {
  SessionRole role = SessionRole::kDownload;
  // Of the session that this one follows: tried before any other port, and
  // not reported again.
  uint16_t preferred_port = 0;
  // It follows another of the same transfer: what that one said of its
  // settings is not said again.
  bool is_second = false;
  // What a former session knew of the DHT.
  lt::dht::dht_state dht_state;
};

// Used by one thread. The session listens when Open returns, but is paused:
// nothing is announced before Resume. The destructor stops it.
class Session {
 public:
  // Errors: kBusy (the port that the user fixed is taken; id E-PORT),
  // kNetwork (nothing to listen on: id E-LISTEN; the proxy is not there: id
  // E-PROXY, and nothing was sent around it), kInternal.
  static verify::Result<std::unique_ptr<Session>> Open(
      const SessionSettings& settings, const SessionOptions& options,
      TransferSink& sink);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Requires that Stop was not called.
  lt::session& engine() { return *engine_; }
  // Adds the peers, trackers and limits that every torrent of ours has.
  // Trackers all stand in one tier. If params.ti is not private, well-known
  // trackers are added where there are no others, or later if no other lives.
  // Web seeds are not the engine's business: see WebSeedsOf.
  void Prepare(lt::add_torrent_params& params,
               const std::vector<std::string>& trackers);
  // Those that the user named, and those of `web_seeds` that may be asked.
  WebSeedOptions WebSeedsOf(const std::vector<std::string>& web_seeds) const;
  // Peers that a magnet names, as far as they may be asked for.
  void AddPeers(lt::add_torrent_params& params,
                const std::vector<HostPort>& peers) const;
  void Resume();

  // Alerts that came within `timeout`, in order; valid until the next call.
  // They have gone through trace() and the dialler.
  const std::vector<lt::alert*>& Wait(std::chrono::milliseconds timeout);
  // What is due: calls peers that the user named, asks for statistics, follows
  // the schedule of rates, adds well-known trackers.
  void Tend(const lt::torrent_handle& torrent);
  // The same for a session with several torrents, but for the well-known
  // trackers: a torrent either has them from its start or goes without.
  void TendAll(const std::vector<lt::torrent_handle>& torrents);

  // What holds now, by flags and schedule.
  const RateLimits& rates() const { return rates_; }
  SwarmTrace& trace() { return trace_; }
  // With what a proxy or the LAN mode rules out.
  const SessionSettings& settings() const { return settings_; }
  uint16_t port() const { return port_; }
  lt::dht::dht_state DhtState();

  // Keeps the DHT's state, says goodbye to trackers and joins the engine's
  // threads; at most a few seconds. No file of the torrent is written
  // afterwards.
  void Stop();

 private:
  Session(const SessionSettings& settings, TransferSink& sink,
          std::vector<lt::tcp::endpoint> named);
  verify::Result<bool> Start(const SessionOptions& options, uint16_t port);
  void LoadDht(const SessionOptions& options);
  void SaveDht();
  void FollowSchedule();
  void AddFallback(const lt::torrent_handle& torrent);
  void Bootstrap();

  SessionSettings settings_;
  TransferSink& sink_;  // outlives this
  PeerDialer dialer_;
  SwarmTrace trace_;
  std::unique_ptr<lt::session> engine_;
  std::vector<lt::alert*> alerts_;
  uint16_t port_ = 0;
  std::chrono::steady_clock::time_point next_stats_{};
  std::chrono::steady_clock::time_point next_look_{};
  std::chrono::steady_clock::time_point fallback_due_{};
  RateLimits rates_;
  // Those of the torrent while well-known ones may still be added.
  std::vector<std::string> own_trackers_;
  bool fallback_open_ = false;
  bool is_second_ = false;
  SessionRole role_ = SessionRole::kDownload;
  lt::dht::dht_state former_dht_;
  // The DHT began with nodes known from before, without the well-known ones.
  bool dht_is_warm_ = false;
  std::chrono::steady_clock::time_point bootstrap_due_{};
  LostAnnounces lost_announces_;
};

}  // namespace p2p
