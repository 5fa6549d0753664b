// SPDX-License-Identifier: Apache-2.0
#include "p2p/lost_announces.h"

#include <algorithm>
#include <libtorrent/announce_entry.hpp>
#include <utility>

namespace p2p {
namespace {

constexpr std::chrono::seconds kMaxWait{60};

}  // namespace

void LostAnnounces::OnAlert(const lt::alert& alert) {
  const auto* failed = lt::alert_cast<lt::tracker_error_alert>(&alert);
  // What the library says where it has no relay to send a datagram by.
  if (failed == nullptr ||
      failed->error != boost::system::errc::permission_denied) {
    return;
  }
  if (lost_.empty()) {
    due_ = std::chrono::steady_clock::now() + wait_;
    wait_ = std::min(wait_ * 2, kMaxWait);
  }
  lost_.push_back({failed->handle, failed->tracker_url()});
}

void LostAnnounces::Repeat(std::chrono::steady_clock::time_point now) {
  if (lost_.empty() || now < due_) return;
  for (const Announce& lost : std::exchange(lost_, {})) {
    static_cast<void>(Guarded("announce", [&] {
      const auto trackers = lost.torrent.trackers();
      for (size_t i = 0; i < trackers.size(); ++i) {
        if (trackers[i].url != lost.url) continue;
        lost.torrent.force_reannounce(0, static_cast<int>(i),
                                      lt::torrent_handle::ignore_min_interval);
      }
    }));
  }
}

}  // namespace p2p
