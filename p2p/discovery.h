// SPDX-License-Identifier: Apache-2.0
// Which trackers, web seeds and ways into the DHT a session uses: what the user
// named, what the torrent names as far as settings allow, and well-known
// trackers where a public torrent has none that lives. No sockets here.
// Tested by tests/p2p/discovery_test.cc.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "p2p/settings.h"

namespace p2p {

// Open trackers that the torrents of models name most.
std::span<const std::string_view> FallbackTrackers();

// "HOST:PORT,HOST:PORT": the user's ways into the DHT, else the well-known
// ones; only addresses if a proxy is set, which resolves no names for UDP;
// empty without DHT.
std::string DhtBootstrapNodes(const SessionSettings& settings);

// True if the session may announce to FallbackTrackers at all: never for a
// private torrent, on a LAN, or when it listens on loopback alone.
bool MayUseFallback(const SessionSettings& settings, bool is_private);

// Why a session with these settings must not use the URL of a tracker, as
// words; nothing if it may. `by_user`: named by hand, so that it may stand in
// the local network.
std::optional<std::string> TrackerProblem(const SessionSettings& settings,
                                          std::string_view url, bool by_user);
std::optional<std::string> WebSeedProblem(const SessionSettings& settings,
                                          std::string_view url, bool by_user);

// The user's URLs and then the torrent's, each once, without those that have a
// problem, at most kMaxEndpoints.
std::vector<std::string> ChooseTrackers(const SessionSettings& settings,
                                        const std::vector<std::string>& named);
std::vector<std::string> ChooseWebSeeds(const SessionSettings& settings,
                                        const std::vector<std::string>& named);
// Those of FallbackTrackers that are not among `used` and have no problem.
std::vector<std::string> ChooseFallback(const SessionSettings& settings,
                                        const std::vector<std::string>& used);

}  // namespace p2p
