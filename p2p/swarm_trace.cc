// SPDX-License-Identifier: Apache-2.0
#include "p2p/swarm_trace.h"

#include <libtorrent/peer_info.hpp>
#include <libtorrent/session_stats.hpp>

#include "verify/base/text.h"

namespace p2p {

using verify::EscapeForTerminal;
using verify::StrCat;

void SwarmTrace::NoticeOnce(TransferSink& sink, const std::string& code,
                            const std::string& message,
                            const std::string& hint) {
  // Peers and trackers choose what they say: what is remembered is bounded.
  if (told_.size() >= 1000 || !told_.insert(code + message).second) return;
  sink.OnNotice({code, message, hint});
}

void SwarmTrace::OnAlert(const lt::alert& alert, TransferSink& sink) {
  if (const auto* error = lt::alert_cast<lt::tracker_error_alert>(&alert)) {
    const std::string url = EscapeForTerminal(error->tracker_url());
    std::string reason = EscapeForTerminal(error->failure_reason());
    if (reason.empty()) reason = ErrorText(error->error);
    tracker_errors_[url] = reason;
    NoticeOnce(sink, "TRACKER_FAILED", StrCat("tracker ", url, ": ", reason),
               "");
  } else if (const auto* reply =
                 lt::alert_cast<lt::tracker_reply_alert>(&alert)) {
    const std::string url = EscapeForTerminal(reply->tracker_url());
    tracker_peers_[url] = reply->num_peers;
    tracker_errors_.erase(url);
  } else if (lt::alert_cast<lt::peer_connect_alert>(&alert) != nullptr) {
    ++peers_connected_;
  } else if (const auto* ban = lt::alert_cast<lt::peer_ban_alert>(&alert)) {
    ++peers_banned_;
    NoticeOnce(sink, "PEER_BANNED",
               StrCat("peer ", EndpointText(ban->endpoint),
                      " sent wrong bytes and is not used any more"),
               "");
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

std::string SwarmTrace::Describe(const SessionSettings& settings) const {
  std::string trackers;
  for (const auto& [url, reason] : tracker_errors_) {
    trackers += StrCat(trackers.empty() ? " (" : "; ", url, ": ", reason);
  }
  for (const auto& [url, peers] : tracker_peers_) {
    if (tracker_errors_.contains(url)) continue;
    trackers +=
        StrCat(trackers.empty() ? " (" : "; ", url, ": ", peers, " peers");
  }
  if (!trackers.empty()) trackers += ")";
  size_t tried = tracker_errors_.size();
  for (const auto& entry : tracker_peers_) {
    if (!tracker_errors_.contains(entry.first)) ++tried;
  }
  return StrCat(
      tried, tried == 1 ? " tracker" : " trackers", " tried", trackers, ", ",
      settings.enable_dht ? StrCat(dht_nodes_, " DHT nodes")
                          : std::string("DHT off"),
      ", ", peers_connected_, peers_connected_ == 1 ? " peer" : " peers",
      " reached",
      peers_banned_ > 0 ? StrCat(", ", peers_banned_, " banned for wrong bytes")
                        : std::string());
}

void PeerDialer::OnAlert(const lt::alert& alert) {
  if (const auto* up = lt::alert_cast<lt::peer_connect_alert>(&alert)) {
    connected_.insert(up->endpoint);
  } else if (const auto* down =
                 lt::alert_cast<lt::peer_disconnected_alert>(&alert)) {
    connected_.erase(down->endpoint);
  }
}

void PeerDialer::Dial(const lt::torrent_handle& torrent,
                      std::chrono::steady_clock::time_point now) {
  if (now < next_) return;
  next_ = now + std::chrono::seconds(2);
  for (const lt::tcp::endpoint& endpoint : endpoints_) {
    if (connected_.contains(endpoint)) continue;
    // Named as a tracker names it: that forgives one failed attempt each
    // time, so that the peer is never given up.
    torrent.connect_peer(endpoint, lt::peer_info::tracker);
  }
}

}  // namespace p2p
