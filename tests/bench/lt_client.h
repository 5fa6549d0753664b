// SPDX-License-Identifier: Apache-2.0
// What the rivals built on libtorrent share: its settings and disk layer as
// they are by default, and a wait for what is measured.
#pragma once

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "p2p/lt_bridge.h"

namespace bench {

// `listen`: libtorrent's listen_interfaces; empty opens no port. Nobody is to
// be found but who is named; all else stays as it is by default.
inline lt::settings_pack Settings(const std::string& listen) {
  lt::settings_pack settings;
  settings.set_str(lt::settings_pack::listen_interfaces, listen);
  settings.set_bool(lt::settings_pack::enable_dht, false);
  settings.set_bool(lt::settings_pack::enable_lsd, false);
  settings.set_bool(lt::settings_pack::enable_upnp, false);
  settings.set_bool(lt::settings_pack::enable_natpmp, false);
  settings.set_int(lt::settings_pack::alert_mask,
                   lt::alert_category::status | lt::alert_category::error);
  return settings;
}

// Until the first such alert. False, with the reason on stderr, if the torrent
// or its files fail before.
template <typename Alert>
bool WaitFor(lt::session& session) {
  while (true) {
    session.wait_for_alert(lt::seconds(1));
    std::vector<lt::alert*> alerts;
    session.pop_alerts(&alerts);
    for (const lt::alert* alert : alerts) {
      if (lt::alert_cast<lt::torrent_error_alert>(alert) != nullptr ||
          lt::alert_cast<lt::file_error_alert>(alert) != nullptr) {
        std::fprintf(stderr, "%s\n", alert->message().c_str());
        return false;
      }
      if (lt::alert_cast<Alert>(alert) != nullptr) return true;
    }
  }
}

// The exit code that `body` gives; 2, with the reason on stderr, if it throws.
template <typename F>
int Run(F&& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}

}  // namespace bench
