// SPDX-License-Identifier: Apache-2.0
#include "p2p/session.h"

#include <algorithm>
#include <libtorrent/disabled_disk_io.hpp>
#include <libtorrent/extensions/smart_ban.hpp>
#include <libtorrent/extensions/ut_metadata.hpp>
#include <libtorrent/extensions/ut_pex.hpp>
#include <libtorrent/peer_class.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <set>
#include <utility>

#include "p2p/endpoint_policy.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

lt::session_params MakeParams(const SessionSettings& settings,
                              const SessionOptions& options, uint16_t port,
                              const std::vector<lt::tcp::endpoint>& named) {
  // An empty list of plugins: exactly the three of Open are wanted.
  lt::session_params params(MakeSettings(settings, options.role, port, named),
                            {});
  params.ip_filter = MakeIpFilter(settings, named);
  if (settings.enable_dht) params.dht_state = options.dht_state;
  if (options.role == SessionRole::kMetadata) {
    // Before the metadata was checked nothing can be created on disk.
    params.disk_io_constructor = lt::disabled_disk_io_constructor;
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

}  // namespace

Session::Session(const SessionSettings& settings, TransferSink& sink,
                 std::vector<lt::tcp::endpoint> named)
    : settings_(settings), sink_(sink), dialer_(std::move(named)) {}

Session::~Session() { Stop(); }

Result<std::unique_ptr<Session>> Session::Open(const SessionSettings& settings,
                                               const SessionOptions& options,
                                               TransferSink& sink) {
  std::vector<std::string> failures;
  std::vector<lt::tcp::endpoint> named = ResolvePeers(settings.peers, failures);
  for (const std::string& failure : failures) {
    sink.OnNotice({"PEER_UNKNOWN", StrCat("peer ", failure), ""});
  }
  std::unique_ptr<Session> session(
      new Session(settings, sink, std::move(named)));
  const bool fixed = settings.port.has_value() && *settings.port != 0;
  const uint16_t first = fixed ? *settings.port : options.preferred_port;
  ASSIGN_OR_RETURN(bool listening, session->Start(options, first));
  if (!listening && !fixed && first != 0) {
    session->Stop();
    ASSIGN_OR_RETURN(listening, session->Start(options, 0));
  }
  return session;
}

Result<bool> Session::Start(const SessionOptions& options, uint16_t port) {
  const bool fixed = settings_.port.has_value() && *settings_.port != 0;
  const auto opened = Guarded("open session", [&] {
    engine_ = std::make_unique<lt::session>(
        MakeParams(settings_, options, port, dialer_.endpoints()),
        lt::session::paused);
    engine_->add_extension(&lt::create_ut_metadata_plugin);
    engine_->add_extension(&lt::create_smart_ban_plugin);
    if (settings_.enable_pex) {
      engine_->add_extension(&lt::create_ut_pex_plugin);
    }
    ApplyLimitsToAll(*engine_);
    // Answered by the engine's thread after it opened its sockets, so their
    // alerts are there now.
    static_cast<void>(engine_->is_listening());
    engine_->pop_alerts(&alerts_);
  });
  if (!opened) return verify::Unexpected(opened.error());

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
  if (endpoints.empty() && !settings_.listen_address.empty() &&
      options.preferred_port == 0) {
    Stop();
    return Fail(ErrorCode::kNetwork,
                StrCat("cannot listen on \"",
                       verify::EscapeForTerminal(settings_.listen_address),
                       "\": ", failure))
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
                      const std::vector<std::string>& trackers,
                      const std::vector<std::string>& web_seeds) const {
  params.flags &=
      ~(lt::torrent_flags::auto_managed | lt::torrent_flags::paused);
  params.flags |= lt::torrent_flags::apply_ip_filter;
  if (!settings_.enable_pex) params.flags |= lt::torrent_flags::disable_pex;
  if (!settings_.enable_dht) params.flags |= lt::torrent_flags::disable_dht;
  if (!settings_.enable_lsd) params.flags |= lt::torrent_flags::disable_lsd;
  params.trackers.clear();
  params.tracker_tiers.clear();
  // What the user named may stand anywhere; what a stranger named may not
  // send us into our own network.
  const auto add = [&](const std::string& url, bool allow_local) {
    if (params.trackers.size() >= kMaxEndpoints ||
        UrlProblem(url, EndpointKind::kTracker, allow_local).has_value() ||
        std::find(params.trackers.begin(), params.trackers.end(), url) !=
            params.trackers.end()) {
      return;
    }
    params.trackers.push_back(url);
    // One tier: 2.0.8 does not retry the trackers of later ones properly.
    params.tracker_tiers.push_back(0);
  };
  for (const std::string& url : settings_.trackers) add(url, true);
  for (const std::string& url : trackers) add(url, settings_.allow_local);
  params.url_seeds.clear();
  for (const std::string& url : web_seeds) {
    if (params.url_seeds.size() < kMaxEndpoints &&
        !UrlProblem(url, EndpointKind::kWebSeed, settings_.allow_local)) {
      params.url_seeds.push_back(url);
    }
  }
  for (const lt::tcp::endpoint& endpoint : dialer_.endpoints()) {
    params.peers.push_back(endpoint);
  }
}

void Session::Resume() { engine_->resume(); }

const std::vector<lt::alert*>& Session::Wait(
    std::chrono::milliseconds timeout) {
  alerts_.clear();
  if (engine_->wait_for_alert(timeout) != nullptr) {
    engine_->pop_alerts(&alerts_);
  }
  for (const lt::alert* alert : alerts_) {
    trace_.OnAlert(*alert, sink_);
    dialer_.OnAlert(*alert);
  }
  return alerts_;
}

void Session::Tend(const lt::torrent_handle& torrent) {
  const auto now = std::chrono::steady_clock::now();
  dialer_.Dial(torrent, now);
  if (now >= next_stats_) {
    next_stats_ = now + std::chrono::seconds(2);
    engine_->post_session_stats();
  }
}

lt::dht::dht_state Session::DhtState() {
  if (!settings_.enable_dht) return {};
  return engine_->session_state(lt::session::save_dht_state).dht_state;
}

void Session::Stop() {
  if (engine_ == nullptr) return;
  alerts_.clear();
  // The proxy joins the engine's threads when it goes out of scope, last.
  lt::session_proxy proxy = engine_->abort();
  engine_.reset();
}

}  // namespace p2p
