// SPDX-License-Identifier: Apache-2.0
// A rival of tests/bench/fetch.py: libtorrent with the settings and the disk
// layer that it has by default, as the simplest client built on it has them.
//
//   lt_fetch FILE.torrent FOLDER ADDRESS PORT [--tcp]    from that peer
//
// --tcp: not by uTP, which it tries first by default and which is slow.
// Exit code 0 once all is there and checked, 2 for anything else.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/address.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/socket.hpp>
#include <libtorrent/torrent_handle.hpp>
#include <libtorrent/torrent_info.hpp>
#include <memory>
#include <string>
#include <vector>

namespace {

int Fetch(const std::string& torrent, const std::string& folder,
          const std::string& address, int port, bool utp) {
  lt::settings_pack settings;
  // Nobody else is to be found; all else stays as it is.
  settings.set_str(lt::settings_pack::listen_interfaces, address + ":0");
  settings.set_bool(lt::settings_pack::enable_dht, false);
  settings.set_bool(lt::settings_pack::enable_lsd, false);
  settings.set_bool(lt::settings_pack::enable_upnp, false);
  settings.set_bool(lt::settings_pack::enable_natpmp, false);
  settings.set_bool(lt::settings_pack::enable_outgoing_utp, utp);
  settings.set_int(lt::settings_pack::alert_mask,
                   lt::alert_category::status | lt::alert_category::error);
  lt::session session((lt::session_params(settings)));
  lt::add_torrent_params params;
  params.ti = std::make_shared<lt::torrent_info>(torrent);
  params.trackers.clear();
  params.save_path = folder;
  params.peers.emplace_back(lt::make_address(address),
                            static_cast<uint16_t>(port));
  const lt::torrent_handle handle = session.add_torrent(params);
  while (true) {
    session.wait_for_alert(lt::seconds(1));
    std::vector<lt::alert*> alerts;
    session.pop_alerts(&alerts);
    for (const lt::alert* alert : alerts) {
      if (lt::alert_cast<lt::torrent_error_alert>(alert) != nullptr ||
          lt::alert_cast<lt::file_error_alert>(alert) != nullptr) {
        std::fprintf(stderr, "%s\n", alert->message().c_str());
        return 2;
      }
      if (lt::alert_cast<lt::torrent_finished_alert>(alert) != nullptr) {
        return 0;
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool tcp = argc == 6 && std::strcmp(argv[5], "--tcp") == 0;
  if (argc != 5 && !tcp) {
    std::fputs("usage: lt_fetch FILE.torrent FOLDER ADDRESS PORT [--tcp]\n",
               stderr);
    return 2;
  }
  try {
    return Fetch(argv[1], argv[2], argv[3], std::atoi(argv[4]), !tcp);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
