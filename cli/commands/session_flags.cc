// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/session_flags.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

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
  app.add_option("--peer", flags.peers,
                 "connect to HOST:PORT; may be given more than once")
      ->envname("LODESTONE_PEER");
  app.add_option("--tracker", flags.trackers,
                 "announce to this URL too; may be given more than once")
      ->envname("LODESTONE_TRACKER");
  app.add_option("--listen", flags.listen,
                 "address or interface to listen on (all)")
      ->envname("LODESTONE_LISTEN");
  app.add_option("--port", flags.port,
                 "listen on this port and no other; 0 lets the system choose")
      ->check(CLI::Range(0, 65535))
      ->envname("LODESTONE_PORT");
  app.add_flag("--no-dht", flags.no_dht, "do not use the DHT")
      ->envname("LODESTONE_NO_DHT");
  app.add_flag("--no-lsd", flags.no_lsd,
               "do not look for peers in the local network")
      ->envname("LODESTONE_NO_LSD");
  app.add_flag("--no-pex", flags.no_pex, "do not exchange peers with peers")
      ->envname("LODESTONE_NO_PEX");
  app.add_flag("--no-utp", flags.no_utp, "TCP only")
      ->envname("LODESTONE_NO_UTP");
  app.add_flag("--allow-local", flags.allow_local,
               "use peers and trackers on private addresses that others name")
      ->envname("LODESTONE_ALLOW_LOCAL");
  app.add_option("--down", flags.down, "limit of the download rate, as 5MB")
      ->envname("LODESTONE_DOWN");
  app.add_option("--up", flags.up, "limit of the upload rate, as 500KB")
      ->envname("LODESTONE_UP");
}

Result<p2p::SessionSettings> SettingsOf(const SessionFlags& flags) {
  p2p::SessionSettings settings;
  settings.listen_address = flags.listen;
  if (flags.port >= 0) settings.port = static_cast<uint16_t>(flags.port);
  settings.enable_dht = !flags.no_dht;
  settings.enable_lsd = !flags.no_lsd;
  settings.enable_pex = !flags.no_pex;
  settings.enable_utp = !flags.no_utp;
  settings.allow_local = flags.allow_local;
  if (!flags.down.empty()) {
    ASSIGN_OR_RETURN(settings.down_bytes_per_s,
                     ParseSize(flags.down, "--down"));
  }
  if (!flags.up.empty()) {
    ASSIGN_OR_RETURN(settings.up_bytes_per_s, ParseSize(flags.up, "--up"));
  }
  for (const std::string& peer : flags.peers) {
    ASSIGN_OR_RETURN(auto endpoint, ParseEndpoint(peer, "--peer"));
    settings.peers.push_back(std::move(endpoint));
  }
  settings.trackers = flags.trackers;
  return settings;
}

}  // namespace cli
