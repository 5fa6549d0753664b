// SPDX-License-Identifier: Apache-2.0
// The rival of tests/bench/recheck.py: libtorrent's own check of files on
// disk, with the settings that it has by default, which is what clients built
// on it do when told to recheck.
//
//   lt_recheck FILE.torrent FOLDER    FOLDER holds what the torrent names
//
// Prints seconds from adding the torrent to the end of its check. Exit code 1
// if a piece is missing or bad, 2 for anything else. Opens no port.
#include <chrono>
#include <cstdio>
#include <exception>
#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_handle.hpp>
#include <libtorrent/torrent_info.hpp>
#include <libtorrent/torrent_status.hpp>
#include <memory>
#include <string>
#include <vector>

namespace {

int Recheck(const std::string& torrent, const std::string& folder) {
  lt::settings_pack settings;
  // The network is not what is measured; all else stays as it is.
  settings.set_str(lt::settings_pack::listen_interfaces, "");
  settings.set_bool(lt::settings_pack::enable_dht, false);
  settings.set_bool(lt::settings_pack::enable_lsd, false);
  settings.set_bool(lt::settings_pack::enable_upnp, false);
  settings.set_bool(lt::settings_pack::enable_natpmp, false);
  settings.set_int(lt::settings_pack::alert_mask,
                   lt::alert_category::status | lt::alert_category::error);
  lt::session session((lt::session_params(settings)));
  lt::add_torrent_params params;
  params.ti = std::make_shared<lt::torrent_info>(torrent);
  params.save_path = folder;
  params.flags = lt::torrent_flags::stop_when_ready;
  const auto start = std::chrono::steady_clock::now();
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
      if (lt::alert_cast<lt::torrent_checked_alert>(alert) == nullptr) continue;
      const std::chrono::duration<double> elapsed =
          std::chrono::steady_clock::now() - start;
      std::printf("%.4f\n", elapsed.count());
      const lt::torrent_status status = handle.status();
      return status.is_seeding ? 0 : 1;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: lt_recheck FILE.torrent FOLDER\n", stderr);
    return 2;
  }
  try {
    return Recheck(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
