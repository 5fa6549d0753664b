// SPDX-License-Identifier: Apache-2.0
// How many requests a peer is to keep waiting here, told to it (BEP 10,
// "reqq") and told again as things change. Internal to p2p.
// Tested by tests/p2p/request_depth_test.cc.
//
// A piece that a peer has asked for and not yet announced looks to all others
// as if nobody had it. Where several fetch from a lone seed they ask it for the
// same pieces then, the more often the more requests wait; deep queues make
// each copy of the last pieces cost a copy for every peer.
#pragma once

#include <memory>

#include "p2p/lt_bridge.h"

namespace p2p {

// What a peer that was given `bytes_per_s`, `round_trip_s` away, may keep
// waiting while `num_served` peers are being sent payload; in requests of
// 16 KiB.
int RequestDepth(double bytes_per_s, double round_trip_s, int num_served);

// For one session, added after all other plugins. Lives on its thread.
std::shared_ptr<lt::plugin> MakeRequestDepthPlugin();

}  // namespace p2p
