// SPDX-License-Identifier: Apache-2.0
// Web seeds (BEP 19): missing pieces from plain web servers, by byte ranges,
// checked before they are handed over. Internal to p2p; why not libtorrent's
// own: docs/decisions/0003-web-seeds.md.
// Tested by tests/p2p/web_seeds_test.cc and tests/scripts/web_seeds.py.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "p2p/events.h"
#include "p2p/metainfo.h"

namespace p2p {

struct WebSeedSource {
  std::string url;  // as UrlProblem accepts it
  bool named_by_user = false;
};

struct WebSeedOptions {
  std::vector<WebSeedSource> sources;
  bool allow_local = false;  // redirects may lead to local addresses
  std::string proxy;         // as libcurl takes it; empty: none
  std::string proxy_login;   // "USER:PASSWORD"
};

// Where a file of the torrent is on a web seed: the URL itself for a torrent
// of one file, unless it ends in "/"; else URL, torrent name and path joined
// by "/", with all but unreserved characters percent-encoded.
std::string WebSeedFileUrl(std::string_view url, const Metainfo& metainfo,
                           const MetainfoFile& file);

// A piece as torrent_handle::add_piece takes it: pads included, as zeros.
struct WebPiece {
  uint32_t index = 0;
  std::vector<char> bytes;
};

// Fetches on a thread of its own, a few requests at a time; memory is bounded
// by those and by what Take has not taken. A source that sends wrong bytes in
// three pieces, or does what no honest server does, is not asked again; one
// that fails otherwise is asked again after ever longer waits, ten times in a
// row at most; a file that it has not got is asked of others. The object is
// used by one thread.
class WebSeeds {
 public:
  // `metainfo` outlives this. At least one source.
  WebSeeds(const Metainfo& metainfo, WebSeedOptions options);
  ~WebSeeds();
  WebSeeds(const WebSeeds&) = delete;
  WebSeeds& operator=(const WebSeeds&) = delete;

  // The pieces to fetch, the most wanted first; replaces the former list.
  // Pieces that were handed over are left out until OnPieceFailed.
  void Want(std::vector<uint32_t> pieces);

  // Of all together, for what is begun from now on; 0: unlimited.
  void SetLimit(uint64_t bytes_per_s) { limit_bytes_per_s_ = bytes_per_s; }

  struct News {
    std::vector<WebPiece> pieces;
    std::vector<TransferNotice> notices;
  };
  News Take();

  // A piece that was handed over did not pass its hash, or got lost on its
  // way: it may be asked for again. Where no v1 digest told right from wrong
  // before, `wrong` counts against who sent it.
  void OnPieceFailed(uint32_t piece, bool wrong);

  // Ends all requests; within a second. What came before may still be taken.
  void Stop();

  uint64_t downloaded_bytes() const { return downloaded_bytes_; }
  uint64_t wasted_bytes() const { return wasted_bytes_; }
  uint64_t wrong_pieces() const { return wrong_pieces_; }
  // Sources that may still be asked.
  size_t num_alive() const { return num_alive_; }

 private:
  class Worker;

  std::atomic<uint64_t> downloaded_bytes_{0};
  std::atomic<uint64_t> wasted_bytes_{0};
  std::atomic<uint64_t> wrong_pieces_{0};
  std::atomic<size_t> num_alive_{0};
  std::atomic<uint64_t> limit_bytes_per_s_{0};
  std::unique_ptr<Worker> worker_;
};

}  // namespace p2p
