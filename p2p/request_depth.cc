// SPDX-License-Identifier: Apache-2.0
#include "p2p/request_depth.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <libtorrent/bencode.hpp>
#include <libtorrent/entry.hpp>
#include <libtorrent/extensions.hpp>
#include <libtorrent/peer_connection_handle.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "p2p/piece_hashing.h"

namespace p2p {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Up to here nobody asks for what another one asked for.
constexpr int kFewPeers = 2;
// What waits is sent within this time and two round trips, far less than the
// second or more that clients ask ahead for. Two, so that a peer that only its
// distance holds back gets twice as much each second.
constexpr double kSecondsAhead = 0.12;
constexpr double kRoundTripsAhead = 2;
// Until it is known, and what to believe at most: a peer may be busy.
constexpr double kUsualRoundTrip = 0.1;
constexpr double kLongestRoundTrip = 1;
constexpr int kLeast = 8;
// What libtorrent lets wait by default.
constexpr int kMost = 2000;
// Half a MiB, until it is known how fast a peer takes it.
constexpr int kAtFirst = 32;
constexpr auto kReview = std::chrono::seconds(1);

// BEP 10: message 20, and 0 for the handshake.
constexpr char kExtended = 20;
constexpr char kHandshake = 0;

class PeerDepth final : public lt::peer_plugin {
 public:
  explicit PeerDepth(const lt::peer_connection_handle& peer) : peer_(peer) {}

  void add_handshake(lt::entry& handshake) override {
    handshake["reqq"] = lt::entry::integer_type{kAtFirst};
    // Said again in full: what a later handshake leaves out is switched off,
    // and one without a size of the metadata says that there are none.
    handshake_ = handshake;
    told_ = kAtFirst;
    waits_since_ = SteadyClock::now();
  }
  // Both are answers, to our handshake and to being unchoked.
  bool on_interested() override {
    OnAnswer();
    return false;
  }
  bool on_request(const lt::peer_request&) override {
    OnAnswer();
    return false;
  }
  void sent_unchoke() override { waits_since_ = SteadyClock::now(); }
  void on_disconnect(const lt::error_code&) override { told_ = 0; }
  void sent_payload(int bytes) override { sent_bytes_ += bytes; }

  bool served() const { return sent_bytes_ > 0; }

  void Review(double seconds, int num_served) {
    // Of this second and the one before, whichever was better: a peer that
    // pauses is not held to it.
    const double rate = static_cast<double>(sent_bytes_) / seconds;
    const int depth =
        RequestDepth(std::max(rate, last_rate_),
                     round_trip_s_.value_or(kUsualRoundTrip), num_served);
    last_rate_ = rate;
    sent_bytes_ = 0;
    if (told_ == 0) return;  // it knows no extensions, or is gone
    if (depth > told_ * 3 / 4 && depth < told_ * 4 / 3) return;
    told_ = depth;
    handshake_["reqq"] = lt::entry::integer_type{depth};
    std::string message(6, '\0');
    lt::bencode(std::back_inserter(message), handshake_);
    const auto length = static_cast<uint32_t>(message.size() - 4);
    for (unsigned i = 0; i < 4; ++i) {
      message[i] = static_cast<char>((length >> (24 - 8 * i)) & 0xff);
    }
    message[4] = kExtended;
    message[5] = kHandshake;
    peer_.send_buffer(message.data(), static_cast<int>(message.size()));
  }

 private:
  void OnAnswer() {
    if (!waits_since_.has_value()) return;
    const std::chrono::duration<double> passed =
        SteadyClock::now() - *waits_since_;
    waits_since_.reset();
    round_trip_s_ =
        std::min(round_trip_s_.value_or(kLongestRoundTrip), passed.count());
  }

  lt::peer_connection_handle peer_;
  lt::entry handshake_;
  std::optional<SteadyClock::time_point> waits_since_;
  std::optional<double> round_trip_s_;  // the shortest one seen
  int64_t sent_bytes_ = 0;              // since the last review
  double last_rate_ = 0;
  int told_ = 0;
};

class Depths final : public lt::plugin,
                     public std::enable_shared_from_this<Depths> {
 public:
  lt::feature_flags_t implemented_features() override { return tick_feature; }
  std::shared_ptr<lt::torrent_plugin> new_torrent(const lt::torrent_handle&,
                                                  lt::client_data_t) override;

  std::shared_ptr<lt::peer_plugin> Add(const lt::peer_connection_handle& peer) {
    if (peer.type() != lt::connection_type::bittorrent) return nullptr;
    auto depth = std::make_shared<PeerDepth>(peer);
    peers_.push_back(depth);
    return depth;
  }

  void on_tick() override {
    const auto now = SteadyClock::now();
    const std::chrono::duration<double> passed = now - last_review_;
    if (passed < kReview) return;
    last_review_ = now;
    std::vector<std::shared_ptr<PeerDepth>> peers;
    std::erase_if(peers_, [&](const std::weak_ptr<PeerDepth>& peer) {
      peers.push_back(peer.lock());
      if (peers.back() != nullptr) return false;
      peers.pop_back();
      return true;
    });
    const auto num_served =
        std::count_if(peers.begin(), peers.end(),
                      [](const auto& peer) { return peer->served(); });
    for (const auto& peer : peers) {
      peer->Review(passed.count(), static_cast<int>(num_served));
    }
  }

 private:
  std::vector<std::weak_ptr<PeerDepth>> peers_;
  SteadyClock::time_point last_review_ = SteadyClock::now();
};

class TorrentDepths final : public lt::torrent_plugin {
 public:
  explicit TorrentDepths(std::shared_ptr<Depths> depths)
      : depths_(std::move(depths)) {}
  std::shared_ptr<lt::peer_plugin> new_connection(
      const lt::peer_connection_handle& peer) override {
    return depths_->Add(peer);
  }

 private:
  std::shared_ptr<Depths> depths_;
};

std::shared_ptr<lt::torrent_plugin> Depths::new_torrent(
    const lt::torrent_handle&, lt::client_data_t) {
  return std::make_shared<TorrentDepths>(shared_from_this());
}

}  // namespace

int RequestDepth(double bytes_per_s, double round_trip_s, int num_served) {
  if (num_served <= kFewPeers) return kMost;
  const double seconds = kSecondsAhead + kRoundTripsAhead * round_trip_s;
  const double depth = bytes_per_s * seconds / double{kBlockBytes};
  return static_cast<int>(std::clamp(depth, double{kLeast}, double{kMost}));
}

std::shared_ptr<lt::plugin> MakeRequestDepthPlugin() {
  return std::make_shared<Depths>();
}

}  // namespace p2p
