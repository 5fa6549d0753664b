// SPDX-License-Identifier: Apache-2.0
// A torrent that passed our rules, in our form and in libtorrent's, and what
// follows from it: priorities, sizes, limits. Internal to p2p.
// Tested by tests/p2p/download_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "p2p/events.h"
#include "p2p/fetch_scope.h"
#include "p2p/lt_bridge.h"
#include "p2p/metainfo.h"
#include "p2p/selection.h"
#include "verify/base/bytes.h"

namespace p2p {

struct CheckedTorrent {
  Metainfo metainfo;
  // Whole .torrent as ParseMetainfo accepts it; empty for a v2 or hybrid
  // torrent whose hash layers are not known yet.
  std::vector<std::byte> torrent;
  std::vector<std::byte> info_bytes;  // its info dictionary
  // Without trackers and web seeds: those are given apart. Shared with the
  // session that runs it.
  std::shared_ptr<lt::torrent_info> info;
};

// Applies our rules, then lets libtorrent read the same bytes, and refuses
// where the two disagree on a name, a size or a hash.
// Errors: those of ParseMetainfo; kCorrupt (E-NAME-ALTERED, E-TORRENT).
verify::Result<CheckedTorrent> CheckTorrent(std::vector<std::byte> torrent);

// The same for an info dictionary as peers send it.
verify::Result<CheckedTorrent> CheckInfo(
    std::vector<std::byte> info, const std::vector<std::string>& trackers,
    const std::vector<std::string>& web_seeds);

// Error if the torrent is not the one that was asked for: every hash that was
// asked for must be there. kMismatch, id E-INFO-HASH; kCorrupt, id E-HASH-PAIR
// if one is and the other is not.
verify::Result<void> CheckIdentity(const InfoHashes& wanted,
                                   const InfoHashes& got);

// `selection`: null for all files.
TransferPlan MakePlan(const Metainfo& metainfo, uint64_t resume_bytes,
                      const Selection* selection = nullptr);

// Bytes of payload (without pads) in one piece.
uint64_t PieceBytes(const lt::file_storage& files, lt::piece_index_t piece);
// Path of the first payload file in the piece; empty if all is padding.
std::string PieceItem(const lt::file_storage& files, lt::piece_index_t piece);

// What libtorrent is to ask for: what tells what the rest is first, nothing
// that is not open.
std::vector<lt::download_priority_t> PiecePriorities(const FetchScope& scope);

// libtorrent's resume data for the pieces that are here. May throw.
std::vector<std::byte> MakeResumeData(const lt::torrent_info& info,
                                      const std::vector<bool>& have);
lt::typed_bitfield<lt::piece_index_t> ToBitfield(const std::vector<bool>& have);

}  // namespace p2p
