// SPDX-License-Identifier: Apache-2.0
// Between the web seeds and the engine: what is missing goes to the one, what
// came goes to the other. Internal to p2p.
// Tested by tests/scripts/web_seeds.py.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "p2p/events.h"
#include "p2p/lt_bridge.h"
#include "p2p/metainfo.h"
#include "p2p/web_seeds.h"

namespace p2p {

// One thread.
class WebSeedFeed {
 public:
  // `metainfo` and `files`, the engine's view of it, outlive this.
  WebSeedFeed(const Metainfo& metainfo, const lt::file_storage& files,
              WebSeedOptions options)
      : files_(files), seeds_(metainfo, std::move(options)) {}

  // Pieces that passed their hash, as the engine counts them.
  void OnPieces(const lt::typed_bitfield<lt::piece_index_t>& have);
  void OnHashFailed(lt::piece_index_t piece);

  // Hands over what came and tells `sink` of failures: often.
  void Pump(const lt::torrent_handle& torrent, TransferSink& sink);
  // Says anew what is missing: twice a second. Asks the engine, which may
  // take as long as one of its own turns. Not while the engine still checks
  // files. `peers`: whether any peer is connected. `limit`: of peers and web
  // seeds together, of which peers use `peers_bytes_per_s`; 0: none.
  void Refresh(const lt::torrent_handle& torrent, bool peers, uint64_t limit,
               double peers_bytes_per_s);

  // No further byte is asked for.
  void Stop() { seeds_.Stop(); }

  const WebSeeds& seeds() const { return seeds_; }
  double bytes_per_s() const { return bytes_per_s_; }

 private:
  using Clock = std::chrono::steady_clock;

  const lt::file_storage& files_;
  WebSeeds seeds_;
  lt::typed_bitfield<lt::piece_index_t> have_;
  std::map<lt::piece_index_t, Clock::time_point> handed_over_;
  Clock::time_point measured_{};
  uint64_t measured_bytes_ = 0;
  double bytes_per_s_ = 0;
};

}  // namespace p2p
