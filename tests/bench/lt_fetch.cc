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
#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/address.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/socket.hpp>
#include <libtorrent/torrent_info.hpp>
#include <memory>
#include <string>

#include "tests/bench/lt_client.h"

namespace {

int Fetch(const std::string& torrent, const std::string& folder,
          const std::string& address, int port, bool utp) {
  lt::settings_pack settings = bench::Settings(address + ":0");
  settings.set_bool(lt::settings_pack::enable_outgoing_utp, utp);
  lt::session session((lt::session_params(settings)));
  lt::add_torrent_params params;
  params.ti = std::make_shared<lt::torrent_info>(torrent);
  params.trackers.clear();
  params.save_path = folder;
  params.peers.emplace_back(lt::make_address(address),
                            static_cast<uint16_t>(port));
  session.add_torrent(params);
  return bench::WaitFor<lt::torrent_finished_alert>(session) ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  const bool tcp = argc == 6 && std::strcmp(argv[5], "--tcp") == 0;
  if (argc != 5 && !tcp) {
    std::fputs("usage: lt_fetch FILE.torrent FOLDER ADDRESS PORT [--tcp]\n",
               stderr);
    return 2;
  }
  return bench::Run([&] {
    return Fetch(argv[1], argv[2], argv[3], std::atoi(argv[4]), !tcp);
  });
}
