// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/session_flags.h"

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "cli/state/paths.h"
#include "p2p/endpoint_policy.h"
#include "p2p/ip_ranges.h"
#include "p2p/proxy.h"
#include "p2p/rate_schedule.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

verify::Unexpected BadFlag(std::string_view flag, std::string_view value,
                           std::string_view wanted) {
  return Fail(ErrorCode::kInvalidArgument,
              StrCat(flag, ": \"", EscapeForTerminal(value), "\" is not ",
                     wanted))
      .Id("E-USAGE");
}

// HOST:PORT or [V6]:PORT.
Result<std::pair<std::string, uint16_t>> ParseEndpoint(std::string_view text,
                                                       std::string_view flag) {
  constexpr std::string_view kWanted = "HOST:PORT";
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadFlag(flag, text, kWanted);
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return BadFlag(flag, text, "HOST:PORT (write [ADDRESS]:PORT for IPv6)");
  }
  uint16_t port = 0;
  const char* end = port_text.data() + port_text.size();
  const auto [rest, error] = std::from_chars(port_text.data(), end, port);
  if (host.empty() || error != std::errc{} || rest != end || port == 0) {
    return BadFlag(flag, text, kWanted);
  }
  return std::pair(std::string(host), port);
}

// The number at the start of `text`, and the unit that follows.
Result<std::pair<double, std::string>> SplitUnit(std::string_view text,
                                                 std::string_view flag,
                                                 std::string_view wanted) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || !std::isfinite(number) || number < 0) {
    return BadFlag(flag, text, wanted);
  }
  return std::pair(
      number, verify::AsciiLower(verify::TrimAscii(
                  std::string_view(rest, static_cast<size_t>(end - rest)))));
}

verify::Unexpected Conflict(std::string_view flag, std::string_view other,
                            std::string_view why) {
  return Fail(ErrorCode::kInvalidArgument,
              StrCat(flag, " and ", other, " exclude each other: ", why))
      .Id("E-USAGE");
}

// What the user typed is used or refused, never dropped in silence.
Result<void> CheckUrls(std::string_view flag,
                       const std::vector<std::string>& urls,
                       p2p::EndpointKind kind) {
  if (urls.size() > p2p::kMaxEndpoints) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat(flag, ": ", urls.size(), " given, at most ",
                       p2p::kMaxEndpoints, " are used"))
        .Id("E-USAGE");
  }
  for (const std::string& url : urls) {
    if (const auto problem = p2p::UrlProblem(url, kind, true)) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat(flag, ": \"", EscapeForTerminal(url, 200),
                         "\": ", *problem))
          .Id("E-USAGE");
    }
  }
  return {};
}

Result<void> ReadRates(const SessionFlags& flags,
                       p2p::SessionSettings& settings) {
  if (!flags.down.empty()) {
    ASSIGN_OR_RETURN(settings.down_bytes_per_s,
                     ParseSize(flags.down, "--down"));
  }
  if (!flags.up.empty()) {
    ASSIGN_OR_RETURN(settings.up_bytes_per_s, ParseSize(flags.up, "--up"));
  }
  for (const std::string& text : flags.schedule) {
    auto rule = p2p::ParseRateRule(
        text, [](std::string_view size) { return ParseSize(size, "rate"); });
    if (!rule) {
      verify::Error error = std::move(rule).error();
      error.id = "E-USAGE";
      error.hint = "as in --schedule '22:00-07:00 up=20MB down=0'";
      return verify::WithContext(std::move(error), "--schedule");
    }
    settings.schedule.push_back(*std::move(rule));
  }
  return {};
}

std::string Environment(const char* lower, const char* upper) {
  for (const char* name : {lower, upper}) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

// The flag, else all_proxy, unless no_proxy is "*": who has set that for all
// programs expects that nothing goes around it.
Result<void> ReadProxy(const SessionFlags& flags,
                       p2p::SessionSettings& settings) {
  std::string url = flags.proxy;
  std::string_view source = "--proxy";
  if (url.empty() && !flags.offline_lan &&
      Environment("no_proxy", "NO_PROXY") != "*") {
    url = Environment("all_proxy", "ALL_PROXY");
    source = "all_proxy";
  }
  auto proxy = p2p::ParseProxyUrl(url);
  if (!proxy) {
    verify::Error error = std::move(proxy).error();
    error.id = "E-USAGE";
    return verify::WithContext(std::move(error), source);
  }
  settings.proxy = *std::move(proxy);
  if (!settings.proxy.is_set()) {
    if (flags.proxy_login_file.empty()) return {};
    return Fail(ErrorCode::kInvalidArgument,
                "--proxy-auth is given, but no proxy")
        .Id("E-USAGE");
  }
  if (!flags.proxy_login_file.empty()) {
    const auto read =
        p2p::ReadProxyLogin(flags.proxy_login_file, settings.proxy);
    if (!read) return verify::WithContext(read.error(), "--proxy-auth");
  }
  constexpr std::string_view kOutgoing =
      "through a proxy peers can be called, but cannot call";
  if (flags.port > 0) return Conflict("--port", source, kOutgoing);
  if (!flags.listen.empty()) return Conflict("--listen", source, kOutgoing);
  if (flags.port_map) return Conflict("--port-map", source, kOutgoing);
  if (flags.offline_lan) {
    return Conflict("--offline-lan", source,
                    "a proxy leads out of the network");
  }
  if (!flags.interface_name.empty()) {
    return Conflict("--interface", source, "the proxy decides the way out");
  }
  return {};
}

void AddPeerFlags(CLI::App& app, SessionFlags& flags) {
  app.add_option("--peer", flags.peers,
                 "connect to HOST:PORT; may be given more than once")
      ->envname("LODESTONE_PEER");
  app.add_option("--tracker", flags.trackers,
                 "announce to this URL too; may be given more than once")
      ->envname("LODESTONE_TRACKER");
  app.add_option("--web-seed", flags.web_seeds,
                 "fetch from this URL too (BEP 19); may be given more than "
                 "once")
      ->envname("LODESTONE_WEB_SEED");
  app.add_option("--listen", flags.listen,
                 "address or interface to listen on (all)")
      ->envname("LODESTONE_LISTEN");
  app.add_option("--interface", flags.interface_name,
                 "network interface for all connections, in and out, as "
                 "eth0")
      ->envname("LODESTONE_INTERFACE");
  app.add_option("--port", flags.port,
                 "listen on this port and no other; 0 lets the system choose")
      ->check(CLI::Range(0, 65535))
      ->envname("LODESTONE_PORT");
  app.add_flag("--port-map", flags.port_map,
               "ask the router to let peers in (UPnP, NAT-PMP)")
      ->envname("LODESTONE_PORT_MAP");
  app.add_flag("--no-dht", flags.no_dht, "do not use the DHT")
      ->envname("LODESTONE_NO_DHT");
  app.add_option("--dht-node", flags.dht_nodes,
                 "enter the DHT at HOST:PORT instead of the well-known "
                 "nodes; may be given more than once")
      ->envname("LODESTONE_DHT_NODE");
  app.add_flag("--no-lsd", flags.no_lsd,
               "do not look for peers in the local network")
      ->envname("LODESTONE_NO_LSD");
  app.add_flag("--no-pex", flags.no_pex, "do not exchange peers with peers")
      ->envname("LODESTONE_NO_PEX");
  app.add_flag("--no-utp", flags.no_utp, "TCP only")
      ->envname("LODESTONE_NO_UTP");
  app.add_flag("--no-fallback-trackers", flags.no_fallback_trackers,
               "do not announce public torrents whose trackers are dead to "
               "well-known ones")
      ->envname("LODESTONE_NO_FALLBACK_TRACKERS");
  app.add_flag("--allow-local", flags.allow_local,
               "use peers and trackers on private addresses that others name")
      ->envname("LODESTONE_ALLOW_LOCAL");
  app.add_flag("--offline-lan", flags.offline_lan,
               "stay in the local network: its peers, and what you name")
      ->envname("LODESTONE_OFFLINE_LAN");
}

void AddPrivacyFlags(CLI::App& app, SessionFlags& flags) {
  app.add_flag("--private", flags.is_private,
               "ask the named trackers and peers only: no DHT, LSD, PEX from "
               "the start")
      ->envname("LODESTONE_PRIVATE");
  app.add_option("--proxy", flags.proxy,
                 "send everything through socks5://HOST:PORT or "
                 "http://HOST:PORT (all_proxy, unless no_proxy is *; none "
                 "for no proxy); implies --anonymous")
      ->envname("LODESTONE_PROXY");
  app.add_option("--proxy-auth", flags.proxy_login_file,
                 "file with USER:PASSWORD for the proxy")
      ->envname("LODESTONE_PROXY_AUTH");
  app.add_flag("--anonymous", flags.anonymous,
               "do not say which program this is, nor look for peers in the "
               "local network")
      ->envname("LODESTONE_ANONYMOUS");
  app.add_option("--encryption", flags.encryption,
                 "obfuscation of peer connections: prefer, require or off "
                 "(prefer)")
      ->check(CLI::IsMember({"prefer", "require", "off"}))
      ->envname("LODESTONE_ENCRYPTION");
  app.add_option("--ip-filter", flags.ip_filter,
                 "file of addresses never to talk to: networks, PeerGuardian "
                 "text, eMule ipfilter.dat")
      ->envname("LODESTONE_IP_FILTER");
}

void AddLimitFlags(CLI::App& app, SessionFlags& flags) {
  app.add_option("--down", flags.down, "limit of the download rate, as 5MB")
      ->envname("LODESTONE_DOWN");
  app.add_option("--up", flags.up, "limit of the upload rate, as 500KB")
      ->envname("LODESTONE_UP");
  app.add_option("--schedule", flags.schedule,
                 "other rates at times, in local time, as '22:00-07:00 "
                 "up=20MB down=0' or 'mon-fri 08:00-18:00 up=1MB'; 0 is no "
                 "limit, the first rule that fits counts; may be given more "
                 "than once");
  app.add_option("--max-connections", flags.max_connections,
                 "connections to peers at once (500, or what file "
                 "descriptors allow)")
      ->check(CLI::Range(1, 100000))
      ->envname("LODESTONE_MAX_CONNECTIONS");
  app.add_option("--max-uploads", flags.max_uploads,
                 "peers served at once (20; 50 when seeding)")
      ->check(CLI::Range(1, 100000))
      ->envname("LODESTONE_MAX_UPLOADS");
}

}  // namespace

Result<uint64_t> ParseSize(std::string_view text, std::string_view flag) {
  constexpr std::string_view kWanted = "a size such as 500MB or 2GiB";
  ASSIGN_OR_RETURN(const auto split, SplitUnit(text, flag, kWanted));
  struct Unit {
    std::string_view name;
    double factor;
  };
  static constexpr std::array<Unit, 14> kUnits = {{{"", 1},
                                                   {"b", 1},
                                                   {"k", 1e3},
                                                   {"kb", 1e3},
                                                   {"kib", 1024},
                                                   {"m", 1e6},
                                                   {"mb", 1e6},
                                                   {"mib", 1048576},
                                                   {"g", 1e9},
                                                   {"gb", 1e9},
                                                   {"gib", 1073741824},
                                                   {"t", 1e12},
                                                   {"tb", 1e12},
                                                   {"tib", 1099511627776}}};
  for (const Unit& unit : kUnits) {
    if (split.second != unit.name) continue;
    const double bytes = split.first * unit.factor;
    if (bytes > 1e18) break;
    return static_cast<uint64_t>(bytes);
  }
  return BadFlag(flag, text, kWanted);
}

Result<double> ParseDuration(std::string_view text, std::string_view flag) {
  constexpr std::string_view kWanted = "a time such as 90s, 15m or 2h";
  ASSIGN_OR_RETURN(const auto split, SplitUnit(text, flag, kWanted));
  if (split.second.empty() || split.second == "s") return split.first;
  if (split.second == "m" || split.second == "min") return split.first * 60;
  if (split.second == "h") return split.first * 3600;
  return BadFlag(flag, text, kWanted);
}

void AddSessionFlags(CLI::App& app, SessionFlags& flags) {
  AddPeerFlags(app, flags);
  AddPrivacyFlags(app, flags);
  AddLimitFlags(app, flags);
}

Result<p2p::SessionSettings> SettingsOf(const SessionFlags& flags,
                                        Context& context) {
  std::vector<std::string> remarks;
  auto settings = SettingsOf(flags, &remarks);
  for (const std::string& remark : remarks) {
    context.output.Warning("SETTINGS", remark);
  }
  return settings;
}

Result<p2p::SessionSettings> SettingsOf(const SessionFlags& flags,
                                        std::vector<std::string>* remarks) {
  p2p::SessionSettings settings;
  settings.listen_address = flags.listen;
  settings.interface_name = flags.interface_name;
  if (flags.port >= 0) settings.port = static_cast<uint16_t>(flags.port);
  settings.enable_dht = !flags.no_dht && !flags.is_private;
  settings.enable_lsd = !flags.no_lsd && !flags.is_private;
  settings.enable_pex = !flags.no_pex && !flags.is_private;
  settings.enable_utp = !flags.no_utp;
  settings.fallback_trackers = !flags.no_fallback_trackers && !flags.is_private;
  settings.allow_local = flags.allow_local;
  settings.lan_only = flags.offline_lan;
  settings.port_map = flags.port_map;
  settings.anonymous = flags.anonymous;
  settings.max_connections = flags.max_connections;
  settings.max_uploads = flags.max_uploads;
  settings.dht_state_path = StateFolder() + "/dht.dat";
  settings.encryption =
      flags.encryption == "require" ? p2p::EncryptionPolicy::kRequire
      : flags.encryption == "off"   ? p2p::EncryptionPolicy::kOff
                                    : p2p::EncryptionPolicy::kPrefer;
  if (!flags.interface_name.empty() && !flags.listen.empty()) {
    return Conflict("--listen", "--interface",
                    "an interface takes its addresses with it");
  }
  RETURN_IF_ERROR(ReadRates(flags, settings));
  for (const std::string& peer : flags.peers) {
    ASSIGN_OR_RETURN(auto endpoint, ParseEndpoint(peer, "--peer"));
    settings.peers.push_back(std::move(endpoint));
  }
  for (const std::string& node : flags.dht_nodes) {
    ASSIGN_OR_RETURN(auto endpoint, ParseEndpoint(node, "--dht-node"));
    settings.dht_nodes.push_back(std::move(endpoint));
  }
  settings.trackers = flags.trackers;
  settings.web_seeds = flags.web_seeds;
  RETURN_IF_ERROR(
      CheckUrls("--tracker", flags.trackers, p2p::EndpointKind::kTracker));
  RETURN_IF_ERROR(
      CheckUrls("--web-seed", flags.web_seeds, p2p::EndpointKind::kWebSeed));
  if (!flags.ip_filter.empty()) {
    std::string remark;
    auto ranges = p2p::ReadIpFilter(flags.ip_filter, remark);
    if (!ranges) {
      return verify::WithContext(std::move(ranges).error(), "--ip-filter");
    }
    settings.blocked = std::move(ranges).value();
    if (!remark.empty() && remarks != nullptr) {
      remarks->push_back("--ip-filter: " + remark);
    }
  }
  RETURN_IF_ERROR(ReadProxy(flags, settings));
  return settings;
}

}  // namespace cli
