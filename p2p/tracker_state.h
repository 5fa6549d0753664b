// SPDX-License-Identifier: Apache-2.0
// What a tracker knows and says, without sockets: swarms of peers, announces
// (BEP 3, 7, 23) and scrapes (BEP 48). v2 torrents announce their info-hash
// cut to 20 bytes (BEP 52), so one kind of key serves all.
// Tested by tests/p2p/tracker_state_test.cc, fuzzed by
// tests/fuzz/tracker_request_fuzz.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "p2p/info_hash.h"
#include "verify/base/result.h"

namespace p2p {

// As announced: v1, or v2 cut to 20 bytes.
using SwarmKey = InfoHashV1;

struct TrackerLimits {
  uint32_t interval_s = 300;  // what peers are told to wait
  size_t max_swarms = 10'000;
  size_t max_peers_per_swarm = 20'000;
  size_t max_peers = 200'000;  // about 150 bytes each
  uint32_t max_numwant = 200;
};

enum class AnnounceEvent : uint8_t { kNone, kStarted, kCompleted, kStopped };

struct AnnounceRequest {
  SwarmKey swarm{};
  uint16_t port = 0;
  uint64_t left = 0;  // bytes; 0: a seed
  AnnounceEvent event = AnnounceEvent::kNone;
  uint32_t numwant = 50;
};

// The query of a GET, without the question mark. Other keys are passed over,
// among them those by which a peer would name another address than its own.
// Errors: kCorrupt with a message fit for the peer.
verify::Result<AnnounceRequest> ParseAnnounce(std::string_view query);

// At most 74 info-hashes, as in the UDP protocol; none is an error here: the
// whole list is told to nobody.
verify::Result<std::vector<SwarmKey>> ParseScrape(std::string_view query);

// A bencoded refusal.
std::string TrackerFailure(std::string_view reason);

// Where a peer was seen; IPv4 in the first 4 bytes.
struct PeerAddress {
  std::array<std::byte, 16> bytes{};
  bool is_v6 = false;
  bool operator==(const PeerAddress&) const = default;
};

struct TrackerCounts {
  uint64_t swarms = 0;
  uint64_t peers = 0;
  uint64_t announces = 0;  // since the start; refused ones, too
  uint64_t refused = 0;
};

// Used by one thread. Time of every call: that of the peers in its answer.
class TrackerState {
 public:
  // `secret` keys hash tables and choice, so that peers cannot foresee them.
  TrackerState(const TrackerLimits& limits, uint64_t secret);
  TrackerState(const TrackerState&) = delete;
  TrackerState& operator=(const TrackerState&) = delete;

  // From the first call on, only these swarms are served.
  void Allow(const SwarmKey& swarm);

  // The bencoded answer. A peer is an address with a port: announcing again
  // renews it. `now_s` never goes back. Peers who were silent for twice the
  // interval and a minute are gone. Seeds are not told of seeds.
  std::string Announce(const AnnounceRequest& request, const PeerAddress& from,
                       uint32_t now_s);
  std::string Scrape(const std::vector<SwarmKey>& swarms, uint32_t now_s);

  // Forgets the peers whose time is over; their number bounds its time.
  void Expire(uint32_t now_s);

  void CountRefused() { ++counts_.announces, ++counts_.refused; }
  TrackerCounts counts() const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Swarm {
    SwarmKey key{};
    uint64_t downloaded = 0;
    // Places in peers_; [IPv6][seed], so that choosing needs no search.
    std::array<std::array<std::vector<uint32_t>, 2>, 2> lists;
    size_t size() const;
    size_t count(bool seed) const {
      return lists[0][seed].size() + lists[1][seed].size();
    }
  };
  struct PeerKey {
    Swarm* swarm = nullptr;  // in swarms_ as long as the peer is
    PeerAddress address;
    uint16_t port = 0;
    bool operator==(const PeerKey&) const = default;
  };
  struct Peer {
    PeerKey key;
    uint32_t seen_s = 0;
    bool seed = false;
    uint32_t place = 0;      // in its list
    uint32_t older = kNone;  // neighbours in the order of seen_s
    uint32_t newer = kNone;
  };
  struct SwarmHash {
    uint64_t secret;
    size_t operator()(const SwarmKey& key) const;
  };
  struct PeerHash {
    uint64_t secret;
    size_t operator()(const PeerKey& key) const;
  };
  using Swarms = std::unordered_map<SwarmKey, Swarm, SwarmHash>;

  bool Allowed(const SwarmKey& swarm) const;
  static std::vector<uint32_t>& ListOf(const Peer& peer);
  void Unlink(uint32_t index);
  void LinkNewest(uint32_t index);
  void AddToList(uint32_t index);
  void RemoveFromList(uint32_t index);
  void Remove(uint32_t index);
  void ForgetIfEmpty(const SwarmKey& key);
  // False: no room.
  bool Renew(Swarm& swarm, const PeerKey& key, bool seed, uint32_t now_s);
  void Choose(const std::vector<uint32_t>& list, uint32_t self, bool v6,
              uint32_t& wanted, std::string& out);
  uint64_t Random();

  TrackerLimits limits_;
  uint64_t random_;
  bool open_ = true;
  std::unordered_set<SwarmKey, SwarmHash> allowed_;
  Swarms swarms_;
  std::unordered_map<PeerKey, uint32_t, PeerHash> index_;
  std::vector<Peer> peers_;
  std::vector<uint32_t> free_;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
  TrackerCounts counts_;
};

}  // namespace p2p
