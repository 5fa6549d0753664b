// SPDX-License-Identifier: Apache-2.0
// The flags of a BitTorrent session, the same for get and seed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "p2p/settings.h"
#include "verify/base/result.h"

namespace CLI {
class App;
}

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
  bool offline_lan = false;
  bool is_private = false;
  bool no_fallback_trackers = false;
  bool port_map = false;
  bool anonymous = false;
  std::string interface_name;
  std::string proxy;
  std::string proxy_login_file;
  std::string encryption = "prefer";
  std::string ip_filter;
  std::vector<std::string> web_seeds;
  std::vector<std::string> dht_nodes;
  std::vector<std::string> schedule;
  int max_connections = 0;
  int max_uploads = 0;
  std::string down;
  std::string up;
};

void AddSessionFlags(CLI::App& app, SessionFlags& flags);

// Reads the files that flags name, and all_proxy and no_proxy of the
// environment if --proxy is not given; `remarks`, if not null, gets what is
// worth a warning. Errors: kInvalidArgument naming the flag and its value;
// kNotFound, kIo.
verify::Result<p2p::SessionSettings> SettingsOf(
    const SessionFlags& flags, std::vector<std::string>* remarks = nullptr);
// The same; remarks go to the output.
verify::Result<p2p::SessionSettings> SettingsOf(const SessionFlags& flags,
                                                Context& context);

// "5MB", "512KiB", "1.5G", "1000000": bytes (per second); K, M, G are decimal,
// KiB, MiB, GiB binary. kInvalidArgument.
verify::Result<uint64_t> ParseSize(std::string_view text,
                                   std::string_view flag);
// "90", "90s", "15m", "2h": seconds.
verify::Result<double> ParseDuration(std::string_view text,
                                     std::string_view flag);

}  // namespace cli
