// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>

#include "cli/commands/commands.h"
#include "cli/web/tracker_server.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using std::chrono::steady_clock;
using verify::Result;

// 40 hex digits, or 64 of which trackers see the first 40.
Result<p2p::SwarmKey> SwarmKeyOf(const std::string& text) {
  const auto bytes = verify::HexDecode(text);
  if (!bytes.has_value() || (bytes->size() != 20 && bytes->size() != 32)) {
    return verify::Fail(
               verify::ErrorCode::kInvalidArgument,
               verify::StrCat("--only: \"", verify::EscapeForTerminal(text),
                              "\" is no info-hash of 40 or 64 hex "
                              "digits"))
        .Id("E-USAGE");
  }
  p2p::SwarmKey key{};
  std::copy_n(bytes->begin(), key.size(), key.begin());
  return key;
}

class TrackerCommand final : public Command {
 public:
  std::string_view name() const override { return "tracker"; }
  std::string_view summary() const override {
    return "tell peers of each other, for a lab or a cluster";
  }
  std::string_view example() const override {
    return "lodestone tracker --listen 10.0.0.1 --port 6969";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("--listen", options_.listen,
                   "address to listen on (127.0.0.1: this machine only)");
    app.add_option("--port", options_.port,
                   "port to listen on (6969); 0 lets the system choose")
        ->check(CLI::Range(0, 65535));
    app.add_option("--interval", options_.limits.interval_s,
                   "seconds between the announces of a peer (300)")
        ->check(CLI::Range(1, 86400));
    app.add_option("--only", only_,
                   "serve this info-hash and no other; may be given more than "
                   "once");
    app.add_option("--max-peers", options_.limits.max_peers,
                   "peers to remember in all (200000)")
        ->check(CLI::Range(1, 10'000'000));
  }

  Result<CommandResult> Run(Context& context) override {
    for (const std::string& text : only_) {
      ASSIGN_OR_RETURN(options_.only.emplace_back(), SwarmKeyOf(text));
    }
    options_.limits.max_peers_per_swarm = options_.limits.max_peers;
    TrackerServerEvents events;
    events.on_listen = [&](const std::string& url) {
      context.output.Event("listen", {{"endpoint", url}});
      context.output.Say("tracker on " + url + "; stop with Ctrl-C");
      last_time_ = steady_clock::now();
    };
    events.on_tick = [&](const p2p::TrackerCounts& counts) {
      Tell(context.output, counts);
    };
    ASSIGN_OR_RETURN(const p2p::TrackerCounts counts,
                     RunTrackerServer(options_, context.cancel, events));
    context.output.Say(fmt::format("{} announces, {} of them refused",
                                   counts.announces, counts.refused));
    CommandResult result;
    result.summary["announces"] = counts.announces;
    result.summary["refused"] = counts.refused;
    result.summary["swarms"] = counts.swarms;
    result.summary["peers"] = counts.peers;
    // There is no other end than being told to.
    result.code = ExitCode::kInterrupted;
    return result;
  }

 private:
  // An event for each second in which someone announced.
  void Tell(Output& output, const p2p::TrackerCounts& counts) {
    const auto now = steady_clock::now();
    const double elapsed =
        std::chrono::duration<double>(now - last_time_).count();
    const uint64_t fresh = counts.announces - last_announces_;
    last_time_ = now;
    last_announces_ = counts.announces;
    if (fresh == 0 || elapsed <= 0) return;
    output.Event("progress",
                 {{"stage", "tracker"},
                  {"done_bytes", 0},
                  {"total_bytes", 0},
                  {"fraction", 0.0},
                  {"rate_down", 0.0},
                  {"rate_up", 0.0},
                  {"eta_s", nullptr},
                  {"item", ""},
                  {"swarms", counts.swarms},
                  {"peers", counts.peers},
                  {"announces", counts.announces},
                  {"refused", counts.refused},
                  {"announces_per_s", static_cast<double>(fresh) / elapsed}});
  }

  TrackerServerOptions options_;
  std::vector<std::string> only_;
  steady_clock::time_point last_time_;
  uint64_t last_announces_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeTrackerCommand() {
  return std::make_unique<TrackerCommand>();
}

}  // namespace cli
