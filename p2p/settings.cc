// SPDX-License-Identifier: Apache-2.0
// Every value that differs from libtorrent's default, with its reason.
#include "p2p/settings.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <libtorrent/alert.hpp>
#include <libtorrent/fingerprint.hpp>
#include <limits>

#include "p2p/discovery.h"
#include "p2p/lt_bridge.h"

namespace p2p {
namespace {

using lt::settings_pack;

// Descriptors for peers and for payload files; both stay below the limit of
// the process so that one cannot starve the other.
struct DescriptorBudget {
  int connections = 500;       // by default
  int max_connections = 8000;  // if the user asks for more
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
  budget.max_connections = std::clamp(usable / 2 - 8, 4, 8000);
  budget.files = std::clamp(usable / 4, 4, 512);
  return budget;
}

std::string ListenInterfaces(const SessionSettings& settings, uint16_t port) {
  if (!settings.interface_name.empty()) {
    return verify::StrCat(settings.interface_name, ":", port);
  }
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

// The library's limits are of this type.
int Rate(uint64_t bytes_per_s) {
  return static_cast<int>(
      std::min<uint64_t>(bytes_per_s, std::numeric_limits<int>::max()));
}

void SetIdentity(settings_pack& pack, const SessionSettings& settings) {
  pack.set_bool(settings_pack::anonymous_mode, settings.anonymous);
  if (settings.anonymous) {
    // A peer id of random bytes alone.
    pack.set_str(settings_pack::peer_fingerprint, "");
    pack.set_str(settings_pack::user_agent, "");
    return;
  }
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

// What a peer sends ahead while its blocks are on their way to the disk lands
// in a buffer of that size here as well, fresh memory for the most part. Linux
// stops at 6 MiB by default, which is left as it is; where it was told to go
// far beyond, 4 MiB carry 40 MB/s from a peer 100 ms away. 0: as it is.
int ReceiveBufferBytes() {
  constexpr int64_t kEnough = 4 << 20;
  int64_t least = 0;
  int64_t usual = 0;
  int64_t most = 0;
  int64_t settable = 0;
  std::ifstream("/proc/sys/net/ipv4/tcp_rmem") >> least >> usual >> most;
  std::ifstream("/proc/sys/net/core/rmem_max") >> settable;
  return most > 2 * kEnough && settable >= kEnough ? static_cast<int>(kEnough)
                                                   : 0;
}

void SetPeers(settings_pack& pack, const SessionSettings& settings,
              SessionRole role, const DescriptorBudget& budget,
              const std::vector<lt::tcp::endpoint>& named) {
  pack.set_int(settings_pack::connections_limit,
               settings.max_connections > 0
                   ? std::min(settings.max_connections, budget.max_connections)
                   : budget.connections);
  const int slots = role == SessionRole::kSeed ? 50 : 20;
  pack.set_int(settings_pack::unchoke_slots_limit,
               settings.max_uploads > 0 ? settings.max_uploads : slots);
  // The pieces that are wanted first are a whole torrent to libtorrent: once
  // they are there it would leave each seed, and call again seconds later.
  pack.set_bool(settings_pack::close_redundant_connections,
                role != SessionRole::kDownload);
  // Peers are called on a tick, and whoever downloads waits for the first one.
  if (role != SessionRole::kSeed) {
    pack.set_int(settings_pack::tick_interval, 100);
    pack.set_int(settings_pack::recv_socket_buffer_size, ReceiveBufferBytes());
  }
  // The default asks each peer for a run of pieces, as many as it brings in 20
  // s: leechers that start near each other then ask a lone seed for the same.
  pack.set_int(settings_pack::whole_pieces_threshold, 0);
  pack.set_int(settings_pack::connection_speed, 100);
  pack.set_int(settings_pack::listen_queue_size, 128);
  pack.set_int(settings_pack::seed_choking_algorithm,
               settings_pack::fastest_upload);
  pack.set_int(settings_pack::send_buffer_watermark, 4 << 20);
  pack.set_int(settings_pack::send_buffer_low_watermark, 1 << 20);
  pack.set_int(settings_pack::send_buffer_watermark_factor, 150);
  pack.set_int(settings_pack::max_out_request_queue, 1500);
  // What is asked of a lone seed for the next seconds is asked by each peer
  // without knowing of the others, and may be sent to several: ask shortly
  // before.
  pack.set_int(settings_pack::request_queue_time, 1);
  pack.set_int(settings_pack::max_metadata_size, 16 << 20);
  pack.set_bool(settings_pack::no_connect_privileged_ports, true);
  // Peers named by hand may not be up yet: try again soon.
  pack.set_int(settings_pack::min_reconnect_time, named.empty() ? 20 : 2);
  // Several clients behind one address: on one machine, in one LAN, or (as it
  // looks from here) behind one proxy.
  const bool local_peers =
      settings.allow_local || settings.lan_only || settings.proxy.is_set() ||
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
  SetRates(pack, RatesNow(settings));
}

void SetEncryption(settings_pack& pack, EncryptionPolicy policy) {
  const int use =
      policy == EncryptionPolicy::kRequire ? settings_pack::pe_forced
      : policy == EncryptionPolicy::kOff   ? settings_pack::pe_disabled
                                           : settings_pack::pe_enabled;
  pack.set_int(settings_pack::out_enc_policy, use);
  pack.set_int(settings_pack::in_enc_policy, use);
  pack.set_int(settings_pack::allowed_enc_level,
               policy == EncryptionPolicy::kRequire ? settings_pack::pe_rc4
                                                    : settings_pack::pe_both);
}

void SetProxy(settings_pack& pack, const ProxySettings& proxy) {
  pack.set_bool(settings_pack::proxy_hostnames, true);
  pack.set_bool(settings_pack::proxy_peer_connections, true);
  pack.set_bool(settings_pack::proxy_tracker_connections, true);
  if (!proxy.is_set()) return;
  const bool login = !proxy.user.empty();
  pack.set_int(settings_pack::proxy_type,
               proxy.kind == ProxyKind::kSocks5
                   ? (login ? settings_pack::socks5_pw : settings_pack::socks5)
                   : (login ? settings_pack::http_pw : settings_pack::http));
  pack.set_str(settings_pack::proxy_hostname, proxy.host);
  pack.set_int(settings_pack::proxy_port, proxy.port);
  pack.set_str(settings_pack::proxy_username, proxy.user);
  pack.set_str(settings_pack::proxy_password, proxy.password);
}

void SetDiscovery(settings_pack& pack, const SessionSettings& settings) {
  pack.set_bool(settings_pack::enable_upnp, settings.port_map);
  pack.set_bool(settings_pack::enable_natpmp, settings.port_map);
  pack.set_bool(settings_pack::enable_dht, settings.enable_dht);
  pack.set_str(settings_pack::dht_bootstrap_nodes, DhtBootstrapNodes(settings));
  if (settings.allow_local) {
    // In a lab every node is of one network, and none has an id made from a
    // public address.
    pack.set_bool(settings_pack::dht_restrict_routing_ips, false);
    pack.set_bool(settings_pack::dht_restrict_search_ips, false);
    pack.set_bool(settings_pack::dht_prefer_verified_node_ids, false);
  }
  // Multicast on the LAN finds private addresses only, which are of use only
  // where those are allowed.
  pack.set_bool(settings_pack::enable_lsd,
                settings.enable_lsd && settings.allow_local);
  // Where nothing else finds peers, a lost packet must not cost five minutes.
  if (settings.lan_only) {
    pack.set_int(settings_pack::local_service_announce_interval, 15);
  }
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

SessionSettings Effective(SessionSettings settings) {
  if (settings.lan_only) {
    settings.allow_local = true;
    settings.enable_dht = false;
    settings.port_map = false;
    settings.fallback_trackers = false;
  }
  if (settings.anonymous) settings.enable_lsd = false;
  if (!settings.proxy.is_set()) return settings;
  settings.anonymous = true;
  settings.enable_dht = settings.enable_dht && settings.proxy.carries_udp;
  settings.enable_lsd = false;
  settings.enable_utp = false;
  settings.port_map = false;
  settings.listen_address.clear();
  settings.interface_name.clear();
  settings.port.reset();
  return settings;
}

RateLimits RatesNow(const SessionSettings& settings) {
  const RateLimits base{settings.down_bytes_per_s, settings.up_bytes_per_s};
  if (settings.schedule.empty()) return base;
  return RatesAt(settings.schedule, base, settings.week_time());
}

void SetRates(lt::settings_pack& pack, const RateLimits& rates) {
  pack.set_int(settings_pack::download_rate_limit,
               Rate(rates.down_bytes_per_s));
  pack.set_int(settings_pack::upload_rate_limit, Rate(rates.up_bytes_per_s));
}

size_t MaxOpenPayloadFiles() {
  return static_cast<size_t>(Descriptors().files);
}

lt::settings_pack MakeSettings(const SessionSettings& settings,
                               SessionRole role, uint16_t port,
                               const std::vector<lt::tcp::endpoint>& named) {
  const DescriptorBudget budget = Descriptors();
  settings_pack pack;
  SetIdentity(pack, settings);
  SetAlerts(pack);
  SetPeers(pack, settings, role, budget, named);
  SetEncryption(pack, settings.encryption);
  SetDiscovery(pack, settings);
  SetProxy(pack, settings.proxy);
  pack.set_str(settings_pack::outgoing_interfaces, settings.interface_name);
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
