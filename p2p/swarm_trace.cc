// SPDX-License-Identifier: Apache-2.0
#include "p2p/swarm_trace.h"

#include <algorithm>
#include <libtorrent/peer_info.hpp>
#include <libtorrent/session_stats.hpp>
#include <libtorrent/torrent_status.hpp>

#include "p2p/endpoint_policy.h"
#include "verify/base/text.h"

namespace p2p {

using verify::EscapeForTerminal;
using verify::StrCat;

namespace {

// Those a torrent may name, and the fallback list.
constexpr size_t kMaxTrackersTraced = kMaxEndpoints + 10;
constexpr size_t kMaxTextBytes = 200;

}  // namespace

void SwarmTrace::NoticeOnce(TransferSink& sink, const std::string& code,
                            const std::string& message,
                            const std::string& hint) {
  // Peers and trackers choose what they say: what is remembered is bounded.
  if (told_.size() >= 1000 || !told_.insert(code + message).second) return;
  sink.OnNotice({code, message, hint});
}

SwarmTrace::TrackerState* SwarmTrace::Tracker(const char* url) {
  const auto known = trackers_.find(url);
  if (known != trackers_.end()) return &known->second;
  if (trackers_.size() >= kMaxTrackersTraced) return nullptr;
  return &trackers_[url];
}

void SwarmTrace::OnAlert(const lt::alert& alert, TransferSink& sink) {
  if (const auto* error = lt::alert_cast<lt::tracker_error_alert>(&alert)) {
    TrackerState* const state = Tracker(error->tracker_url());
    if (error->error == lt::errors::announce_skipped) {
      // Of an address such as that of loopback, from which it cannot be asked.
      if (state != nullptr) state->out_of_reach = true;
      return;
    }
    const std::string url = EscapeForTerminal(error->tracker_url());
    std::string reason = EscapeForTerminal(error->failure_reason());
    if (reason.empty()) reason = ErrorText(error->error);
    if (state != nullptr) {
      const std::string local = EndpointText(error->local_endpoint);
      state->errors[local] = reason;
      state->peers.erase(local);
    }
    NoticeOnce(sink, "TRACKER_FAILED", StrCat("tracker ", url, ": ", reason),
               "");
  } else if (const auto* reply =
                 lt::alert_cast<lt::tracker_reply_alert>(&alert)) {
    if (TrackerState* state = Tracker(reply->tracker_url())) {
      const std::string local = EndpointText(reply->local_endpoint);
      state->peers[local] = reply->num_peers;
      state->errors.erase(local);
    }
  } else if (const auto* announce =
                 lt::alert_cast<lt::tracker_announce_alert>(&alert)) {
    static_cast<void>(Tracker(announce->tracker_url()));
  } else if (const auto* remark =
                 lt::alert_cast<lt::tracker_warning_alert>(&alert)) {
    NoticeOnce(sink, "TRACKER_WARNING",
               StrCat("tracker ", EscapeForTerminal(remark->tracker_url()),
                      ": ", EscapeForTerminal(remark->warning_message())),
               "");
  } else if (const auto* left =
                 lt::alert_cast<lt::peer_disconnected_alert>(&alert)) {
    if (left->op != lt::operation_t::connect &&
        left->error != lt::errors::self_connection) {
      ++peers_left_;
    }
    // Not peer_ban_alert: smart ban, which finds the liar among several
    // senders of a piece, does not post it.
    if (left->error == lt::errors::too_many_corrupt_pieces ||
        left->error == lt::errors::peer_banned) {
      ++peers_banned_;
      NoticeOnce(sink, "PEER_BANNED",
                 StrCat("peer ", EndpointText(left->endpoint),
                        " sent wrong bytes and is not used any more"),
                 "");
    }
  } else if (const auto* seed = lt::alert_cast<lt::url_seed_alert>(&alert)) {
    std::string reason = EscapeForTerminal(seed->error_message());
    if (reason.empty()) reason = ErrorText(seed->error);
    NoticeOnce(sink, "WEB_SEED_FAILED",
               StrCat("web seed ", EscapeForTerminal(seed->server_url()), ": ",
                      reason),
               "");
  } else if (lt::alert_cast<lt::alerts_dropped_alert>(&alert) != nullptr) {
    NoticeOnce(sink, "ALERTS_DROPPED",
               "more events than could be kept; some reports may be missing",
               "");
  } else if (const auto* stats =
                 lt::alert_cast<lt::session_stats_alert>(&alert)) {
    const int index = lt::find_metric_idx("dht.dht_nodes");
    const auto counters = stats->counters();
    if (index >= 0 && index < static_cast<int>(counters.size())) {
      dht_nodes_ = counters[index];
    }
  }
}

void SwarmTrace::OnStatus(const lt::torrent_status& status) {
  peers_known_ = std::max(status.list_peers, 0);
  peers_now_ = std::max(status.num_peers, 0);
}

bool SwarmTrace::AllFailed(const std::vector<std::string>& trackers) const {
  return std::all_of(
      trackers.begin(), trackers.end(), [&](const std::string& url) {
        const auto state = trackers_.find(url);
        return state != trackers_.end() && !state->second.errors.empty() &&
               state->second.peers.empty();
      });
}

SwarmAccount SwarmTrace::Account(const SessionSettings& settings,
                                 double waited_s) const {
  SwarmAccount account;
  for (const auto& [url, state] : trackers_) {
    TrackerAccount tracker;
    tracker.url = EscapeForTerminal(url, kMaxTextBytes);
    if (!state.peers.empty()) {
      int most = 0;
      for (const auto& [local, peers] : state.peers) {
        most = std::max(most, peers);
      }
      tracker.answer = StrCat(most, most == 1 ? " peer" : " peers");
    } else if (!state.errors.empty()) {
      tracker.failed = true;
      tracker.answer = state.errors.begin()->second.substr(0, kMaxTextBytes);
    } else if (state.out_of_reach) {
      tracker.answer = "not asked from every address, no answer yet";
    }
    account.trackers.push_back(std::move(tracker));
  }
  if (settings.enable_dht) account.dht_nodes = dht_nodes_;
  account.peers_known = peers_known_;
  account.peers_connected = peers_now_;
  account.peers_reached = peers_reached();
  account.waited_s = waited_s;
  account.text = Text(account);
  return account;
}

std::string SwarmTrace::Text(const SwarmAccount& account) const {
  std::string trackers;
  for (const TrackerAccount& tracker : account.trackers) {
    trackers +=
        StrCat(trackers.empty() ? " (" : "; ", tracker.url, ": ",
               tracker.answer.empty() ? "no answer yet" : tracker.answer);
  }
  if (!trackers.empty()) trackers += ")";
  const size_t tried = account.trackers.size();
  return StrCat(
      tried, tried == 1 ? " tracker" : " trackers", " tried", trackers, ", ",
      account.dht_nodes.has_value() ? StrCat(*account.dht_nodes, " DHT nodes")
                                    : std::string("DHT off"),
      ", ", account.peers_known, account.peers_known == 1 ? " peer" : " peers",
      " known, ", account.peers_reached,
      account.peers_reached == 1 ? " peer" : " peers", " reached",
      peers_banned_ > 0 ? StrCat(", ", peers_banned_, " banned for wrong bytes")
                        : std::string());
}

std::string SwarmTrace::Advice(const SessionSettings& settings) const {
  if (ever_connected()) {
    return "the peers that answer do not have it or do not send; run the same "
           "command again later";
  }
  const bool heard =
      dht_nodes_ > 0 ||
      std::any_of(trackers_.begin(), trackers_.end(), [](const auto& entry) {
        return !entry.second.peers.empty();
      });
  if (!heard && (settings.enable_dht || !trackers_.empty())) {
    return "neither trackers nor the DHT answer: look whether this machine's "
           "network and firewall let TCP and UDP out, or name a way in: "
           "--peer, --tracker, --proxy";
  }
  return "nobody who has it is known: give a peer or a tracker (--peer, "
         "--tracker), or the .torrent file, or run the same command again "
         "later";
}

void PeerDialer::OnAlert(const lt::alert& alert) {
  if (const auto* up = lt::alert_cast<lt::peer_connect_alert>(&alert)) {
    connected_.emplace(up->handle, up->endpoint);
  } else if (const auto* down =
                 lt::alert_cast<lt::peer_disconnected_alert>(&alert)) {
    connected_.erase({down->handle, down->endpoint});
  }
}

void PeerDialer::Dial(const std::vector<lt::torrent_handle>& torrents,
                      std::chrono::steady_clock::time_point now) {
  if (now < next_) return;
  next_ = now + std::chrono::seconds(2);
  for (const lt::torrent_handle& torrent : torrents) {
    for (const lt::tcp::endpoint& endpoint : endpoints_) {
      if (connected_.contains({torrent, endpoint})) continue;
      // Named as a tracker names it: that forgives one failed attempt each
      // time, so that the peer is never given up.
      torrent.connect_peer(endpoint, lt::peer_info::tracker);
    }
  }
}

}  // namespace p2p
