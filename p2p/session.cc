// SPDX-License-Identifier: Apache-2.0
#include "p2p/session.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <libtorrent/announce_entry.hpp>
#include <libtorrent/disabled_disk_io.hpp>
#include <libtorrent/extensions/smart_ban.hpp>
#include <libtorrent/extensions/ut_metadata.hpp>
#include <libtorrent/extensions/ut_pex.hpp>
#include <libtorrent/peer_class.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <set>
#include <utility>

#include "p2p/dht_state_file.h"
#include "p2p/discovery.h"
#include "p2p/disk_io.h"
#include "p2p/request_depth.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/base/thread_pool.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr auto kProxyTimeout = std::chrono::seconds(10);
// Trackers that are slow to answer still get a chance before others are asked.
constexpr auto kFallbackAfter = std::chrono::seconds(15);

// Nodes known from before that have not answered by then are all gone.
constexpr auto kDhtBootstrapAfter = std::chrono::seconds(15);
constexpr auto kDhtProxyRetry = std::chrono::seconds(4);
constexpr size_t kMaxNodesCalled = 50;

// Of the disk layer. Who serves waits for disks. Who downloads hashes and
// copies: half of the processors, the other half goes to the network.
constexpr size_t kServingThreads = 4;
constexpr size_t kMaxDownloadThreads = 4;

bool HasNodes(const lt::dht::dht_state& state) {
  return !state.nodes.empty() || !state.nodes6.empty();
}

bool IsWarm(const SessionSettings& settings, const lt::dht::dht_state& state) {
  return HasNodes(state) && settings.dht_nodes.empty();
}

void StartWarmDht(lt::session& engine) {
  lt::settings_pack pack;
  pack.set_bool(lt::settings_pack::enable_dht, true);
  engine.apply_settings(std::move(pack));
}

// A port that is free now. The library gives each of its sockets a port of its
// own otherwise, and tells the local network that of loopback.
uint16_t FreePort() {
  for (const int family : {AF_INET6, AF_INET}) {
    const verify::UniqueFd probe(
        ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!probe.valid()) continue;
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    auto* const address = family == AF_INET6 ? reinterpret_cast<sockaddr*>(&v6)
                                             : reinterpret_cast<sockaddr*>(&v4);
    socklen_t size = family == AF_INET6 ? sizeof(v6) : sizeof(v4);
    if (::bind(probe.get(), address, size) == 0 &&
        ::getsockname(probe.get(), address, &size) == 0) {
      return ntohs(family == AF_INET6 ? v6.sin6_port : v4.sin_port);
    }
  }
  return 0;
}

lt::session_params MakeParams(const SessionSettings& settings,
                              const SessionOptions& options, uint16_t port,
                              const std::vector<lt::tcp::endpoint>& named,
                              const lt::dht::dht_state& dht_state) {
  // An empty list of plugins: exactly those of Open are wanted.
  lt::session_params params(MakeSettings(settings, options.role, port, named),
                            {});
  params.ip_filter = MakeIpFilter(settings, named);
  if (settings.enable_dht) params.dht_state = dht_state;
  if (settings.enable_dht && IsWarm(settings, dht_state)) {
    // The library starts its DHT only after all look-ups of these names, and
    // nodes that are known need none of them. It forgets those nodes if the
    // DHT starts before its sockets are open: StartWarmDht.
    params.settings.set_str(lt::settings_pack::dht_bootstrap_nodes, "");
    params.settings.set_bool(lt::settings_pack::enable_dht, false);
  }
  if (options.role == SessionRole::kMetadata) {
    // Before the metadata was checked nothing can be created on disk.
    params.disk_io_constructor = lt::disabled_disk_io_constructor;
  } else {
    DiskIoOptions disk;
    disk.files.mode = options.role == SessionRole::kSeed
                          ? PayloadMode::kServe
                          : PayloadMode::kDownload;
    disk.files.max_open_files = MaxOpenPayloadFiles();
    disk.num_threads =
        options.role == SessionRole::kSeed
            ? kServingThreads
            : std::clamp<size_t>(verify::AvailableProcessors() / 2, 1,
                                 kMaxDownloadThreads);
    params.disk_io_constructor = MakeDiskIo(disk);
  }
  return params;
}

// Local peers are exempt from rate limits otherwise; the limits a user set
// hold for everyone.
void ApplyLimitsToAll(lt::session& engine) {
  constexpr unsigned kGlobalClassBit =
      1u << static_cast<unsigned>(lt::session::global_peer_class_id);
  lt::ip_filter classes;
  classes.add_rule(lt::make_address_v4("0.0.0.0"),
                   lt::make_address_v4("255.255.255.255"), kGlobalClassBit);
  classes.add_rule(
      lt::make_address_v6("::"),
      lt::make_address_v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
      kGlobalClassBit);
  engine.set_peer_class_filter(classes);
}

NameLookup LookupOf(const SessionSettings& settings) {
  return settings.proxy.is_set() ? NameLookup::kNever : NameLookup::kSystem;
}

}  // namespace

Session::Session(const SessionSettings& settings, TransferSink& sink,
                 std::vector<lt::tcp::endpoint> named)
    : settings_(settings), sink_(sink), dialer_(std::move(named)) {}

Session::~Session() { Stop(); }

Result<std::unique_ptr<Session>> Session::Open(const SessionSettings& wanted,
                                               const SessionOptions& options,
                                               TransferSink& sink) {
  SessionSettings settings = wanted;
  if (settings.proxy.is_set()) {
    ASSIGN_OR_RETURN(settings.proxy, ProbeProxy(wanted.proxy, kProxyTimeout));
    if (!options.is_second) {
      sink.OnNotice({"PROXY",
                     StrCat("all traffic goes through ",
                            verify::EscapeForTerminal(ProxyUrl(wanted.proxy)),
                            settings.proxy.carries_udp
                                ? ""
                                : ", which carries no UDP: no DHT and no udp "
                                  "trackers"),
                     ""});
    }
  }
  settings = Effective(std::move(settings));
  std::vector<std::string> failures;
  std::vector<lt::tcp::endpoint> named =
      ResolvePeers(settings.peers, LookupOf(settings), failures);
  if (!options.is_second) {
    for (const std::string& failure : failures) {
      sink.OnNotice({"PEER_UNKNOWN", StrCat("peer ", failure), ""});
    }
    for (const std::string& url : settings.trackers) {
      if (const auto problem = TrackerProblem(settings, url, true)) {
        sink.OnNotice({"TRACKER_LEFT_OUT",
                       StrCat("tracker \"", verify::EscapeForTerminal(url),
                              "\" is not used: ", *problem),
                       ""});
      }
    }
  }
  std::unique_ptr<Session> session(
      new Session(settings, sink, std::move(named)));
  session->LoadDht(options);
  const bool fixed = settings.port.has_value() && *settings.port != 0;
  uint16_t first = fixed ? *settings.port : options.preferred_port;
  if (first == 0 && !settings.proxy.is_set()) first = FreePort();
  ASSIGN_OR_RETURN(bool listening, session->Start(options, first));
  if (!listening && !fixed && first != 0 && !settings.proxy.is_set()) {
    session->Stop();
    ASSIGN_OR_RETURN(listening, session->Start(options, 0));
  }
  return session;
}

Result<bool> Session::Start(const SessionOptions& options, uint16_t port) {
  const bool fixed = settings_.port.has_value() && *settings_.port != 0;
  role_ = options.role;
  is_second_ = options.is_second;
  rates_ = RatesNow(settings_);
  const auto opened = Guarded("open session", [&] {
    engine_ = std::make_unique<lt::session>(
        MakeParams(settings_, options, port, dialer_.endpoints(), former_dht_),
        lt::session::paused);
    engine_->add_extension(&lt::create_ut_metadata_plugin);
    engine_->add_extension(&lt::create_smart_ban_plugin);
    if (settings_.enable_pex) {
      engine_->add_extension(&lt::create_ut_pex_plugin);
    }
    // Metadata alone is served on no request of this kind.
    if (options.role != SessionRole::kMetadata) {
      engine_->add_extension(MakeRequestDepthPlugin());
    }
    ApplyLimitsToAll(*engine_);
    // Answered by the engine's thread after it opened its sockets, so their
    // alerts are there now.
    static_cast<void>(engine_->is_listening());
    if (dht_is_warm_) StartWarmDht(*engine_);
    engine_->pop_alerts(&alerts_);
  });
  if (!opened) return verify::Unexpected(opened.error());

  // Peers cannot call in through a proxy, and must not around it.
  if (settings_.proxy.is_set()) return false;
  std::set<std::string> endpoints;
  std::string failure;
  bool taken = false;
  for (const lt::alert* alert : alerts_) {
    if (const auto* up = lt::alert_cast<lt::listen_succeeded_alert>(alert)) {
      if (up->socket_type != lt::socket_type_t::tcp) continue;
      port_ = static_cast<uint16_t>(up->port);
      endpoints.insert(EndpointText({up->address, port_}));
    } else if (const auto* down =
                   lt::alert_cast<lt::listen_failed_alert>(alert)) {
      failure = StrCat(
          EndpointText({down->address, static_cast<uint16_t>(down->port)}),
          ": ", ErrorText(down->error));
      taken |= down->error == boost::system::errc::address_in_use;
    }
  }
  if (fixed && (taken || endpoints.empty())) {
    const bool busy = taken;
    Stop();
    return Fail(busy ? ErrorCode::kBusy : ErrorCode::kNetwork,
                StrCat("cannot listen on port ", *settings_.port,
                       failure.empty() ? "" : ": ", failure))
        .Id(busy ? "E-PORT" : "E-LISTEN")
        .Hint(busy ? "another program has the port; choose another one, or "
                     "none"
                   : "check the address to listen on");
  }
  const std::string& where = settings_.interface_name.empty()
                                 ? settings_.listen_address
                                 : settings_.interface_name;
  if (endpoints.empty() && !where.empty() && options.preferred_port == 0) {
    Stop();
    return Fail(ErrorCode::kNetwork,
                StrCat(
                    "cannot listen on \"", verify::EscapeForTerminal(where),
                    "\": ",
                    failure.empty() ? "no such address or interface" : failure))
        .Id("E-LISTEN")
        .Hint("check the address to listen on");
  }
  if (endpoints.empty()) {
    sink_.OnNotice({"NOT_LISTENING",
                    StrCat("no port could be opened: ", failure),
                    "peers can be reached, but cannot reach this machine"});
  }
  if (port_ != options.preferred_port) {
    for (const std::string& endpoint : endpoints) sink_.OnListen(endpoint);
  }
  return !endpoints.empty();
}

void Session::Prepare(lt::add_torrent_params& params,
                      const std::vector<std::string>& trackers) {
  params.flags &=
      ~(lt::torrent_flags::auto_managed | lt::torrent_flags::paused);
  params.flags |= lt::torrent_flags::apply_ip_filter;
  if (!settings_.enable_pex) params.flags |= lt::torrent_flags::disable_pex;
  if (!settings_.enable_dht) params.flags |= lt::torrent_flags::disable_dht;
  if (!settings_.enable_lsd) params.flags |= lt::torrent_flags::disable_lsd;
  params.trackers = ChooseTrackers(settings_, trackers);
  own_trackers_ = params.trackers;
  const bool is_private = params.ti != nullptr && params.ti->priv();
  fallback_open_ = MayUseFallback(settings_, is_private);
  if (fallback_open_ && params.trackers.empty()) {
    fallback_open_ = false;
    params.trackers = ChooseFallback(settings_, {});
    if (!is_second_ && !params.trackers.empty()) {
      sink_.OnNotice({"FALLBACK_TRACKERS",
                      "no tracker is named that can be asked: well-known ones "
                      "are",
                      "--no-fallback-trackers leaves them out"});
    }
  }
  fallback_due_ = std::chrono::steady_clock::now() + kFallbackAfter;
  // One tier: 2.0.8 does not retry the trackers of later ones properly.
  params.tracker_tiers.assign(params.trackers.size(), 0);
  params.url_seeds.clear();
  for (const lt::tcp::endpoint& endpoint : dialer_.endpoints()) {
    params.peers.push_back(endpoint);
  }
}

void Session::AddPeers(lt::add_torrent_params& params,
                       const std::vector<HostPort>& peers) const {
  std::vector<std::string> ignored;
  for (const lt::tcp::endpoint& peer :
       ResolvePeers(peers, LookupOf(settings_), ignored)) {
    params.peers.push_back(peer);
  }
}

WebSeedOptions Session::WebSeedsOf(
    const std::vector<std::string>& web_seeds) const {
  WebSeedOptions options;
  options.allow_local = settings_.allow_local;
  options.proxy = ProxyUrl(settings_.proxy);
  if (!settings_.proxy.user.empty()) {
    options.proxy_login =
        verify::StrCat(settings_.proxy.user, ":", settings_.proxy.password);
  }
  const std::vector<std::string>& named = settings_.web_seeds;
  for (std::string& url : ChooseWebSeeds(settings_, web_seeds)) {
    const bool by_user =
        std::find(named.begin(), named.end(), url) != named.end();
    options.sources.push_back({std::move(url), by_user});
  }
  return options;
}

void Session::Resume() {
  bootstrap_due_ =
      std::chrono::steady_clock::now() +
      (settings_.proxy.is_set() ? kDhtProxyRetry : kDhtBootstrapAfter);
  engine_->resume();
}

const std::vector<lt::alert*>& Session::Wait(
    std::chrono::milliseconds timeout) {
  alerts_.clear();
  if (engine_->wait_for_alert(timeout) != nullptr) {
    engine_->pop_alerts(&alerts_);
  }
  for (const lt::alert* alert : alerts_) {
    if (const auto* update = lt::alert_cast<lt::state_update_alert>(alert)) {
      for (const lt::torrent_status& status : update->status) {
        trace_.OnStatus(status);
      }
    }
    trace_.OnAlert(*alert, sink_);
    dialer_.OnAlert(*alert);
    if (settings_.proxy.is_set()) lost_announces_.OnAlert(*alert);
  }
  return alerts_;
}

void Session::Tend(const lt::torrent_handle& torrent) {
  TendAll({torrent});
  if (fallback_open_ && std::chrono::steady_clock::now() >= fallback_due_) {
    AddFallback(torrent);
  }
}

void Session::TendAll(const std::vector<lt::torrent_handle>& torrents) {
  const auto now = std::chrono::steady_clock::now();
  dialer_.Dial(torrents, now);
  lost_announces_.Repeat(now);
  if (now >= next_stats_) {
    next_stats_ = now + std::chrono::seconds(2);
    engine_->post_session_stats();
  }
  if (now >= next_look_) {
    next_look_ = now + std::chrono::seconds(1);
    FollowSchedule();
    if (dht_is_warm_ && now >= bootstrap_due_) Bootstrap();
  }
}

void Session::Bootstrap() {
  dht_is_warm_ = trace_.dht_nodes() == 0;
  if (!dht_is_warm_) return;
  if (settings_.proxy.is_set()) {
    // The first datagrams were lost if the proxy's relay was not open yet.
    bootstrap_due_ = std::chrono::steady_clock::now() + kDhtProxyRetry;
    for (const auto* nodes : {&former_dht_.nodes, &former_dht_.nodes6}) {
      for (size_t i = 0; i < nodes->size() && i < kMaxNodesCalled; ++i) {
        const lt::udp::endpoint& node = (*nodes)[i];
        engine_->add_dht_node({node.address().to_string(), node.port()});
      }
    }
    return;
  }
  dht_is_warm_ = false;
  lt::settings_pack pack;
  pack.set_str(lt::settings_pack::dht_bootstrap_nodes,
               DhtBootstrapNodes(settings_));
  engine_->apply_settings(std::move(pack));
}

void Session::FollowSchedule() {
  if (settings_.schedule.empty()) return;
  const RateLimits rates = RatesNow(settings_);
  if (rates == rates_) return;
  rates_ = rates;
  lt::settings_pack pack;
  SetRates(pack, rates);
  engine_->apply_settings(std::move(pack));
  const auto text = [](uint64_t rate) {
    return rate == 0 ? std::string("unlimited")
                     : verify::FormatRate(static_cast<double>(rate));
  };
  sink_.OnNotice({"RATES",
                  StrCat("by schedule: down ", text(rates.down_bytes_per_s),
                         ", up ", text(rates.up_bytes_per_s)),
                  ""});
}

void Session::AddFallback(const lt::torrent_handle& torrent) {
  if (trace_.ever_connected() || !trace_.AllFailed(own_trackers_)) return;
  fallback_open_ = false;
  for (const std::string& url : ChooseFallback(settings_, own_trackers_)) {
    lt::announce_entry entry(url);
    entry.tier = 0;
    torrent.add_tracker(entry);
  }
  sink_.OnNotice({"FALLBACK_TRACKERS",
                  "no tracker of this torrent answers: well-known ones are "
                  "asked too",
                  "--no-fallback-trackers leaves them out"});
}

lt::dht::dht_state Session::DhtState() {
  if (!settings_.enable_dht) return {};
  return engine_->session_state(lt::session::save_dht_state).dht_state;
}

void Session::LoadDht(const SessionOptions& options) {
  if (!settings_.enable_dht) return;
  former_dht_ = options.dht_state;
  if (!HasNodes(former_dht_) && !settings_.dht_state_path.empty()) {
    auto loaded = LoadDhtState(settings_.dht_state_path);
    if (loaded) {
      former_dht_ = std::move(loaded).value();
    } else {
      sink_.OnNotice({"DHT_STATE_IGNORED", loaded.error().message, ""});
    }
  }
  dht_is_warm_ = IsWarm(settings_, former_dht_);
  // The same node id with and without a proxy would tie the two together.
  if (settings_.anonymous) former_dht_.nids.clear();
}

void Session::SaveDht() {
  if (!settings_.enable_dht || settings_.dht_state_path.empty()) return;
  const auto saved = Guarded("DHT state", [&] {
    lt::dht::dht_state state = DhtState();
    if (settings_.anonymous) state.nids.clear();
    return SaveDhtState(settings_.dht_state_path, state, former_dht_);
  });
  if (saved && *saved) return;
  sink_.OnNotice({"DHT_STATE_NOT_SAVED",
                  saved ? saved->error().message : saved.error().message, ""});
}

void Session::Stop() {
  if (engine_ == nullptr) return;
  SaveDht();
  alerts_.clear();
  // The proxy joins the engine's threads when it goes out of scope, last.
  lt::session_proxy proxy = engine_->abort();
  engine_.reset();
}

}  // namespace p2p
