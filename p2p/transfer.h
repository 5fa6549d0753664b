// SPDX-License-Identifier: Apache-2.0
// The payload part of a download: from a checked torrent and the pieces that
// are here to a flushed, synced folder, with state saved on every way out.
// Internal to p2p. Tested by tests/p2p/download_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "p2p/download.h"
#include "p2p/fetch_scope.h"
#include "p2p/lt_bridge.h"
#include "p2p/torrent_plan.h"
#include "p2p/work_folder.h"

namespace p2p {

struct TransferStart {
  PieceSet have;
  // Blocks of pieces that are not whole yet, as libtorrent left them.
  std::map<lt::piece_index_t, lt::bitfield> unfinished;
  std::vector<lt::tcp::endpoint> peers;
  std::vector<std::string> trackers;
  std::vector<std::string> web_seeds;
  lt::dht::dht_state dht_state;
  uint16_t port = 0;       // to listen on if it is free; 0: any
  bool is_second = false;  // another session of this transfer ran before
};

struct TransferResult {
  uint64_t downloaded_bytes = 0;
  uint64_t wasted_bytes = 0;
  // Whole .torrent with the v2 hash layers; empty for v1.
  std::vector<std::byte> torrent;
};

// `scope` grows where the caller's look asks for more. Errors as Download says.
// May throw what libtorrent throws.
verify::Result<TransferResult> RunTransfer(
    const DownloadOptions& options, const CheckedTorrent& torrent,
    const TransferStart& start, FetchScope& scope, WorkFolder& folder,
    const verify::CancelToken& cancel, TransferSink& sink);

}  // namespace p2p
