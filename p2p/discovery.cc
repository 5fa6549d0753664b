// SPDX-License-Identifier: Apache-2.0
#include "p2p/discovery.h"

#include <algorithm>
#include <array>
#include <optional>

#include "p2p/endpoint_policy.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::StrCat;

constexpr std::array<std::string_view, 6> kFallbackTrackers = {
    "udp://tracker.opentrackr.org:1337/announce",
    "http://tracker.opentrackr.org:1337/announce",
    "udp://open.stealth.si:80/announce",
    "udp://open.demonii.com:1337/announce",
    "udp://explodie.org:6969/announce",
    "http://open.tracker.cl:1337/announce",
};

constexpr std::array<std::string_view, 4> kDhtBootstrap = {
    "dht.libtorrent.org:25401",
    "dht.transmissionbt.com:6881",
    "router.bt.ouinet.work:6881",
    "router.bittorrent.com:6881",
};

bool StartsWithScheme(std::string_view url, std::string_view scheme) {
  return verify::AsciiLower(url.substr(0, scheme.size())) == scheme;
}

bool IsLoopback(std::string_view address) {
  const auto parsed = ParseIpAddress(address);
  if (!parsed.has_value()) return false;
  if (!parsed->is_v6) return parsed->bytes[0] == 127;
  return parsed == ParseIpAddress("::1");
}

// What the proxy rules out.
std::optional<std::string> ProxyProblem(const ProxySettings& proxy,
                                        std::string_view url) {
  if (!proxy.is_set()) return std::nullopt;
  if (StartsWithScheme(url, "udp://") && !proxy.carries_udp) {
    return "the proxy carries no UDP";
  }
  // For https through an http proxy the library asks the system's resolver.
  if (proxy.kind == ProxyKind::kHttp && StartsWithScheme(url, "https://") &&
      !ParseIpAddress(UrlHost(url)).has_value()) {
    return "its name could not be left to an http proxy; a socks5 one takes it";
  }
  return std::nullopt;
}

std::optional<std::string> Problem(const SessionSettings& settings,
                                   std::string_view url, EndpointKind kind,
                                   bool by_user) {
  const bool allow_local = settings.allow_local || settings.lan_only || by_user;
  if (auto problem = UrlProblem(url, kind, allow_local)) return problem;
  if (settings.lan_only && !by_user && !IsLocalHost(UrlHost(url))) {
    return "it is outside the local network";
  }
  return ProxyProblem(settings.proxy, url);
}

std::vector<std::string> Choose(const SessionSettings& settings,
                                const std::vector<std::string>& by_user,
                                const std::vector<std::string>& named,
                                EndpointKind kind) {
  std::vector<std::string> chosen;
  const auto add = [&](const std::string& url, bool is_by_user) {
    if (chosen.size() < kMaxEndpoints &&
        std::find(chosen.begin(), chosen.end(), url) == chosen.end() &&
        !Problem(settings, url, kind, is_by_user).has_value()) {
      chosen.push_back(url);
    }
  };
  for (const std::string& url : by_user) add(url, true);
  for (const std::string& url : named) add(url, false);
  return chosen;
}

std::string Join(std::string_view host, uint16_t port) {
  const bool is_v6 = host.find(':') != std::string_view::npos;
  return StrCat(is_v6 ? "[" : "", host, is_v6 ? "]" : "", ":", port);
}

}  // namespace

std::span<const std::string_view> FallbackTrackers() {
  return kFallbackTrackers;
}

std::string DhtBootstrapNodes(const SessionSettings& settings) {
  if (!settings.enable_dht) return {};
  std::string nodes;
  const auto add = [&](std::string_view node) {
    nodes += StrCat(nodes.empty() ? "" : ",", node);
  };
  for (const auto& [host, port] : settings.dht_nodes) {
    if (!settings.proxy.is_set() || ParseIpAddress(host).has_value()) {
      add(Join(host, port));
    }
  }
  if (settings.dht_nodes.empty() && !settings.proxy.is_set()) {
    for (const std::string_view node : kDhtBootstrap) add(node);
  }
  return nodes;
}

bool MayUseFallback(const SessionSettings& settings, bool is_private) {
  return settings.fallback_trackers && !is_private && !settings.lan_only &&
         !IsLoopback(settings.listen_address);
}

std::optional<std::string> TrackerProblem(const SessionSettings& settings,
                                          std::string_view url, bool by_user) {
  return Problem(settings, url, EndpointKind::kTracker, by_user);
}

std::optional<std::string> WebSeedProblem(const SessionSettings& settings,
                                          std::string_view url, bool by_user) {
  return Problem(settings, url, EndpointKind::kWebSeed, by_user);
}

std::vector<std::string> ChooseTrackers(const SessionSettings& settings,
                                        const std::vector<std::string>& named) {
  return Choose(settings, settings.trackers, named, EndpointKind::kTracker);
}

std::vector<std::string> ChooseWebSeeds(const SessionSettings& settings,
                                        const std::vector<std::string>& named) {
  return Choose(settings, settings.web_seeds, named, EndpointKind::kWebSeed);
}

std::vector<std::string> ChooseFallback(const SessionSettings& settings,
                                        const std::vector<std::string>& used) {
  std::vector<std::string> chosen;
  for (const std::string_view url : kFallbackTrackers) {
    if (std::find(used.begin(), used.end(), url) == used.end() &&
        !TrackerProblem(settings, url, false).has_value()) {
      chosen.emplace_back(url);
    }
  }
  return chosen;
}

}  // namespace p2p
