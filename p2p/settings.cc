// SPDX-License-Identifier: Apache-2.0
// Every value that differs from libtorrent's default, with its reason.
#include "p2p/settings.h"

#include <sys/resource.h>

#include <algorithm>
#include <libtorrent/alert.hpp>
#include <libtorrent/fingerprint.hpp>
#include <limits>

#include "p2p/lt_bridge.h"

namespace p2p {
namespace {

using lt::settings_pack;

// Descriptors for peers and for payload files; both stay below the limit of
// the process so that one cannot starve the other.
struct DescriptorBudget {
  int connections = 500;
  int files = 512;
};

DescriptorBudget Descriptors() {
  DescriptorBudget budget;
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
      limit.rlim_cur == RLIM_INFINITY) {
    return budget;
  }
  const int usable =
      static_cast<int>(std::clamp<rlim_t>(limit.rlim_cur, 24, 65536));
  budget.connections = std::clamp(usable / 2 - 8, 4, 500);
  budget.files = std::clamp(usable / 4, 4, 512);
  return budget;
}

std::string ListenInterfaces(const SessionSettings& settings, uint16_t port) {
  if (settings.listen_address.empty()) {
    return verify::StrCat("0.0.0.0:", port, ",[::]:", port);
  }
  lt::error_code error;
  const lt::address address = lt::make_address(settings.listen_address, error);
  if (!error && address.is_v6()) {
    return verify::StrCat("[", settings.listen_address, "]:", port);
  }
  return verify::StrCat(settings.listen_address, ":", port);
}

int Rate(uint64_t bytes_per_s) {
  return static_cast<int>(
      std::min<uint64_t>(bytes_per_s, std::numeric_limits<int>::max()));
}

void SetIdentity(settings_pack& pack) {
  pack.set_str(settings_pack::user_agent, "Lodestone/" LODESTONE_VERSION);
  pack.set_str(settings_pack::peer_fingerprint,
               lt::generate_fingerprint("LS", 0, 1, 0, 0));
}

void SetAlerts(settings_pack& pack) {
  namespace category = lt::alert_category;
  pack.set_int(settings_pack::alert_mask,
               category::error | category::status | category::storage |
                   category::tracker | category::connect);
  // A dropped answer to a request for resume data would be waited for in
  // vain; the queue is long, and every wait has an end besides.
  pack.set_int(settings_pack::alert_queue_size, 200'000);
}

void SetDisk(settings_pack& pack, const DescriptorBudget& budget) {
  // Files are written and read by pwrite and pread, never mapped: a full disk
  // under a map is a signal, and 2.0.8 can advise away pages just written.
  pack.set_int(settings_pack::mmap_file_size_cutoff,
               std::numeric_limits<int>::max());
  pack.set_int(settings_pack::disk_write_mode,
               settings_pack::mmap_write_mode_t::always_pwrite);
  // The default of 1 MiB stops a fast download at every write.
  pack.set_int(settings_pack::max_queued_disk_bytes, 32 << 20);
  pack.set_int(settings_pack::checking_mem_usage, 2048);
  pack.set_int(settings_pack::hashing_threads, 2);
  pack.set_int(settings_pack::file_pool_size, budget.files);
}

void SetPeers(settings_pack& pack, const SessionSettings& settings,
              SessionRole role, const DescriptorBudget& budget,
              const std::vector<lt::tcp::endpoint>& named) {
  pack.set_int(settings_pack::connections_limit, budget.connections);
  pack.set_int(settings_pack::unchoke_slots_limit,
               role == SessionRole::kSeed ? 50 : 20);
  pack.set_int(settings_pack::connection_speed, 100);
  pack.set_int(settings_pack::listen_queue_size, 128);
  pack.set_int(settings_pack::seed_choking_algorithm,
               settings_pack::fastest_upload);
  pack.set_int(settings_pack::send_buffer_watermark, 4 << 20);
  pack.set_int(settings_pack::send_buffer_low_watermark, 1 << 20);
  pack.set_int(settings_pack::send_buffer_watermark_factor, 150);
  pack.set_int(settings_pack::max_out_request_queue, 1500);
  pack.set_int(settings_pack::max_metadata_size, 16 << 20);
  pack.set_bool(settings_pack::no_connect_privileged_ports, true);
  // Peers named by hand may not be up yet: try again soon.
  pack.set_int(settings_pack::min_reconnect_time, named.empty() ? 20 : 2);
  // Several clients behind one address: on one machine or in one LAN.
  const bool local_peers =
      settings.allow_local ||
      std::any_of(named.begin(), named.end(),
                  [](const lt::tcp::endpoint& endpoint) {
                    return IsLocalAddress(endpoint.address());
                  });
  pack.set_bool(settings_pack::allow_multiple_connections_per_ip, local_peers);
  // TCP carries bulk: uTP in 2.0.8 is slow, and could corrupt payload when it
  // closed. Who can reach us by uTP only is still let in.
  pack.set_bool(settings_pack::enable_outgoing_utp, false);
  pack.set_bool(settings_pack::enable_incoming_utp, settings.enable_utp);
  pack.set_int(settings_pack::mixed_mode_algorithm, settings_pack::prefer_tcp);
  pack.set_int(settings_pack::download_rate_limit,
               Rate(settings.down_bytes_per_s));
  pack.set_int(settings_pack::upload_rate_limit, Rate(settings.up_bytes_per_s));
}

void SetDiscovery(settings_pack& pack, const SessionSettings& settings) {
  pack.set_bool(settings_pack::enable_upnp, false);
  pack.set_bool(settings_pack::enable_natpmp, false);
  pack.set_bool(settings_pack::enable_dht, settings.enable_dht);
  pack.set_str(settings_pack::dht_bootstrap_nodes,
               settings.enable_dht
                   ? "dht.libtorrent.org:25401,dht.transmissionbt.com:6881,"
                     "router.bt.ouinet.work:6881,router.bittorrent.com:6881"
                   : "");
  // Multicast on the LAN finds private addresses only, which are of use only
  // where those are allowed.
  pack.set_bool(settings_pack::enable_lsd,
                settings.enable_lsd && settings.allow_local);
  // One dead tracker must not hide the others.
  pack.set_bool(settings_pack::announce_to_all_trackers, true);
  pack.set_bool(settings_pack::announce_to_all_tiers, true);
  pack.set_bool(settings_pack::apply_ip_filter_to_trackers, true);
  pack.set_bool(settings_pack::ssrf_mitigation, true);
  pack.set_bool(settings_pack::allow_idna, false);
  pack.set_bool(settings_pack::validate_https_trackers, true);
  pack.set_int(settings_pack::stop_tracker_timeout, 1);
  pack.set_int(settings_pack::urlseed_max_request_bytes, 64 << 20);
}

}  // namespace

lt::settings_pack MakeSettings(const SessionSettings& settings,
                               SessionRole role, uint16_t port,
                               const std::vector<lt::tcp::endpoint>& named) {
  const DescriptorBudget budget = Descriptors();
  settings_pack pack;
  SetIdentity(pack);
  SetAlerts(pack);
  SetDisk(pack, budget);
  SetPeers(pack, settings, role, budget, named);
  SetDiscovery(pack, settings);
  pack.set_str(settings_pack::listen_interfaces,
               ListenInterfaces(settings, port));
  // Never silently on another port than the one that was asked for.
  pack.set_bool(settings_pack::listen_system_port_fallback, false);
  pack.set_int(settings_pack::max_retry_port_bind, 0);
  // Queueing is ours: each session has one torrent.
  pack.set_int(settings_pack::active_downloads, -1);
  pack.set_int(settings_pack::active_seeds, -1);
  pack.set_int(settings_pack::active_limit, -1);
  return pack;
}

}  // namespace p2p
