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

#include "tests/bench/lt_client.h"

namespace {

int Recheck(const std::string& torrent, const std::string& folder) {
  lt::session session((lt::session_params(bench::Settings(""))));
  lt::add_torrent_params params;
  params.ti = std::make_shared<lt::torrent_info>(torrent);
  params.save_path = folder;
  params.flags = lt::torrent_flags::stop_when_ready;
  const auto start = std::chrono::steady_clock::now();
  const lt::torrent_handle handle = session.add_torrent(params);
  if (!bench::WaitFor<lt::torrent_checked_alert>(session)) return 2;
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  std::printf("%.4f\n", elapsed.count());
  return handle.status().is_seeding ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: lt_recheck FILE.torrent FOLDER\n", stderr);
    return 2;
  }
  return bench::Run([&] { return Recheck(argv[1], argv[2]); });
}
