// SPDX-License-Identifier: Apache-2.0
// The flags of a BitTorrent session, the same for get and seed.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "p2p/settings.h"
#include "verify/base/result.h"

namespace cli {

struct SessionFlags {
  std::vector<std::string> peers;
  std::vector<std::string> trackers;
  std::string listen;
  int port = -1;
  bool no_dht = false;
  bool no_lsd = false;
  bool no_pex = false;
  bool no_utp = false;
  bool allow_local = false;
  std::string down;
  std::string up;
};

void AddSessionFlags(CLI::App& app, SessionFlags& flags);

// Errors: kInvalidArgument naming the flag and its value.
verify::Result<p2p::SessionSettings> SettingsOf(const SessionFlags& flags);

// "5MB", "512KiB", "1.5G", "1000000": bytes (per second); K, M, G are decimal,
// KiB, MiB, GiB binary. kInvalidArgument.
verify::Result<uint64_t> ParseSize(std::string_view text,
                                   std::string_view flag);
// "90", "90s", "15m", "2h": seconds.
verify::Result<double> ParseDuration(std::string_view text,
                                     std::string_view flag);

}  // namespace cli
