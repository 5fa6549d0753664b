// SPDX-License-Identifier: Apache-2.0
// What a session knew of the DHT, kept in a file so that the next one starts
// with nodes. Internal to p2p. Tested by tests/p2p/dht_state_test.cc.
#pragma once

#include <cstddef>
#include <string>

#include "p2p/lt_bridge.h"
#include "verify/base/result.h"

namespace p2p {

// Of each address family; a node is 6 or 18 bytes.
inline constexpr size_t kMaxDhtNodes = 400;
inline constexpr size_t kMaxDhtStateBytes = 64 << 10;

// The nodes in the file, at most kMaxDhtNodes of each family. A file that is
// not there is an empty state. Errors (say them and go on): kIo, kLimit,
// kCorrupt.
verify::Result<lt::dht::dht_state> LoadDhtState(const std::string& path);

// Replaces the file, of mode 0600; makes its folder. Where `fresh` has few
// nodes, those of `former` are kept behind them. A state without nodes is not
// written. Errors: kIo.
verify::Result<void> SaveDhtState(const std::string& path,
                                  const lt::dht::dht_state& fresh,
                                  const lt::dht::dht_state& former);

}  // namespace p2p
