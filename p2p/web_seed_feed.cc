// SPDX-License-Identifier: Apache-2.0
#include "p2p/web_seed_feed.h"

#include <algorithm>
#include <set>
#include <utility>

namespace p2p {
namespace {

// A piece that was handed over and is neither good nor bad by then is asked
// for again.
constexpr auto kLostAfter = std::chrono::seconds(60);

bool Has(const lt::typed_bitfield<lt::piece_index_t>& have,
         lt::piece_index_t piece) {
  return piece < have.end_index() && have.get_bit(piece);
}

}  // namespace

void WebSeedFeed::OnPieces(const lt::typed_bitfield<lt::piece_index_t>& have) {
  if (!have.empty()) have_ = have;
  std::erase_if(handed_over_,
                [&](const auto& entry) { return Has(have_, entry.first); });
}

void WebSeedFeed::OnHashFailed(lt::piece_index_t piece) {
  if (handed_over_.erase(piece) == 0) return;
  seeds_.OnPieceFailed(static_cast<uint32_t>(static_cast<int>(piece)), true);
}

void WebSeedFeed::Pump(const lt::torrent_handle& torrent, TransferSink& sink) {
  const Clock::time_point now = Clock::now();
  WebSeeds::News news = seeds_.Take();
  for (WebPiece& piece : news.pieces) {
    const lt::piece_index_t index(static_cast<int>(piece.index));
    handed_over_[index] = now;
    // A v2 torrent's last piece is of full length there.
    piece.bytes.resize(static_cast<size_t>(files_.piece_size(index)));
    torrent.add_piece(index, std::move(piece.bytes));
  }
  for (const TransferNotice& notice : news.notices) sink.OnNotice(notice);
}

void WebSeedFeed::Refresh(const lt::torrent_handle& torrent, bool peers,
                          uint64_t limit, double peers_bytes_per_s) {
  const Clock::time_point now = Clock::now();
  // What peers leave of the limit; a tenth at least, so that a web seed that
  // is faster can show it.
  seeds_.SetLimit(
      limit == 0 ? 0
                 : std::max({uint64_t{1}, limit / 10,
                             limit - std::min(limit, static_cast<uint64_t>(
                                                         peers_bytes_per_s))}));
  for (auto entry = handed_over_.begin(); entry != handed_over_.end();) {
    if (now - entry->second < kLostAfter) {
      ++entry;
      continue;
    }
    seeds_.OnPieceFailed(static_cast<uint32_t>(static_cast<int>(entry->first)),
                         false);
    entry = handed_over_.erase(entry);
  }

  // Pieces that peers have begun are theirs, unless nothing else is left.
  std::set<lt::piece_index_t> begun;
  if (peers) {
    std::vector<lt::partial_piece_info> queue;
    torrent.get_download_queue(queue);
    for (const lt::partial_piece_info& part : queue) {
      if (!handed_over_.contains(part.piece_index)) {
        begun.insert(part.piece_index);
      }
    }
  }
  const std::vector<lt::download_priority_t> priorities =
      torrent.get_piece_priorities();
  std::vector<std::pair<int, uint32_t>> missing;  // rank, piece
  std::vector<std::pair<int, uint32_t>> shared;
  for (size_t i = 0; i < priorities.size(); ++i) {
    const lt::piece_index_t piece(static_cast<int>(i));
    const int priority = static_cast<uint8_t>(priorities[i]);
    if (priority == 0 || Has(have_, piece)) continue;
    auto& list = begun.contains(piece) ? shared : missing;
    list.emplace_back(-priority, static_cast<uint32_t>(i));
  }
  if (missing.empty()) missing = std::move(shared);
  std::stable_sort(
      missing.begin(), missing.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<uint32_t> pieces;
  pieces.reserve(missing.size());
  for (const auto& [rank, piece] : missing) pieces.push_back(piece);
  seeds_.Want(std::move(pieces));

  if (measured_ != Clock::time_point{}) {
    const double seconds =
        std::chrono::duration<double>(now - measured_).count();
    const uint64_t bytes = seeds_.downloaded_bytes();
    if (seconds > 0) {
      bytes_per_s_ = static_cast<double>(bytes - measured_bytes_) / seconds;
    }
    measured_bytes_ = bytes;
  }
  measured_ = now;
}

}  // namespace p2p
