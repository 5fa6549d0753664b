// SPDX-License-Identifier: Apache-2.0
// Metadata for a magnet from peers (BEP 9), in a session that cannot write to
// disk. Internal to p2p. Tested by tests/p2p/download_test.cc.
#pragma once

#include <vector>

#include "p2p/download.h"
#include "p2p/session.h"

namespace p2p {

struct FetchedMetadata {
  std::vector<std::byte> info;  // the info dictionary's own bytes
  // For the session that follows: who answered, what the DHT knew, our port.
  std::vector<lt::tcp::endpoint> peers;
  lt::dht::dht_state dht_state;
  uint16_t port = 0;
  bool by_session = false;  // a session ran to get it
};

// The info dictionary that the magnet's hash names; none of our rules were
// applied to it yet. Errors: kNetwork (E-NO-PEERS, E-NO-METADATA), kCancelled,
// kBusy, kInternal.
verify::Result<FetchedMetadata> FetchMetadata(const DownloadOptions& options,
                                              const verify::CancelToken& cancel,
                                              TransferSink& sink);

// The error for a transfer that was asked to stop.
verify::Unexpected FailCancelled();

}  // namespace p2p
