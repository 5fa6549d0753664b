// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <utility>

#include "cli/commands/commands.h"
#include "cli/commands/session_flags.h"
#include "cli/control/control_socket.h"
#include "cli/daemon.h"
#include "cli/flows/seed_service.h"
#include "cli/state/paths.h"
#include "cli/state/state_db.h"
#include "cli/web/bearer_token.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Json;
using verify::Result;
using verify::StrCat;

constexpr auto kControlTimeout = std::chrono::seconds(10);

std::string SocketPath() { return RuntimeFolder() + "/seed.sock"; }

class SeedCommand final : public Command {
 public:
  std::string_view name() const override { return "seed"; }
  std::string_view summary() const override {
    return "check local models and serve them to others";
  }
  std::string_view example() const override {
    return "lodestone seed models/mixtral-8x7b-32kseqlen --up 10MB";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("path", paths_,
                   "folders, files, or names as ls prints them; none: all "
                   "that were seeded before");
    app.add_flag("--all", all_, "every model that ls lists");
    app.add_option("--torrent", torrent_,
                   "serve it as this .torrent (found by itself if it was "
                   "fetched or published here)");
    app.add_option("--ratio", ratio_, "stop after that many copies uploaded")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--time", time_, "stop after so long, as 12h");
    app.add_option("--idle", idle_, "stop after so long without an upload");
    app.add_option("--max-upload", max_upload_,
                   "stop after that much uploaded, as 500GB");
    app.add_option("--rule", rule_,
                   "any or all of these limits must be reached (any)")
        ->check(CLI::IsMember({"any", "all"}));
    app.add_flag("--stop-even-if-last", stop_even_if_last_,
                 "stop at a limit even if nobody else is known to have the "
                 "whole model");
    app.add_flag("--rehash", rehash_,
                 "read everything again, also files that are as they were "
                 "when they were last found right");
    app.add_option("--scrub", scrub_,
                   "hash each model again that often, as 24h; 0: never (168h)");
    app.add_option("--metrics", metrics_,
                   "answer http://127.0.0.1:PORT/metrics for Prometheus")
        ->envname("LODESTONE_METRICS");
    app.add_option("--metrics-token-file", metrics_token_file_,
                   "only for who shows the token in this file (mode 0600) as "
                   "Authorization: Bearer TOKEN")
        ->needs("--metrics");
    app.add_flag("--stay", stay_, "go on when nothing is left to serve");
    app.add_flag("--daemon", daemon_, "go on in the background");
    app.add_flag("--separate", separate_,
                 "run beside the seeder that is running already");
    app.add_option("--pause", pause_, "tell the running seeder: pause NAME");
    app.add_option("--resume", resume_, "tell the running seeder: resume NAME");
    app.add_option("--recheck", recheck_,
                   "tell the running seeder: hash NAME again");
    app.add_option("--drop", drop_,
                   "tell the running seeder: serve NAME no more");
    app.add_flag("--limits", limits_,
                 "tell the running seeder: --up and --down as given here");
    app.add_flag("--stop", stop_, "tell the running seeder: end");
    const auto before = app.get_options();
    AddSessionFlags(app, session_);
    const std::set<CLI::Option*> ours(before.begin(), before.end());
    for (CLI::Option* option : app.get_options()) {
      if (!ours.contains(option)) session_options_.push_back(option);
    }
  }

  Result<CommandResult> Run(Context& context) override {
    ASSIGN_OR_RETURN(options_.session, SettingsOf(session_));
    RETURN_IF_ERROR(ReadPolicy());
    if (!scrub_.empty()) {
      ASSIGN_OR_RETURN(options_.scrub_s, ParseDuration(scrub_, "--scrub"));
    }
    if (IsOrder()) return TellRunning(context);
    options_.rehash = rehash_;
    options_.stay = stay_;
    options_.metrics_listen = metrics_;
    if (!metrics_token_file_.empty()) {
      ASSIGN_OR_RETURN(options_.metrics_token,
                       ReadTokenFile(metrics_token_file_));
    }
    if (separate_) options_.socket_name = SeparateSocketName();
    RETURN_IF_ERROR(ReadTargets(context));
    if (!separate_) {
      // A seeder that runs takes the models over.
      const auto running =
          CallControl(SocketPath(), {{"verb", "list"}}, kControlTimeout);
      if (running) return HandOver(*running, context);
      if (running.error().code != ErrorCode::kNotFound) {
        return verify::Unexpected(running.error());
      }
    }
    if (daemon_) return RunAsDaemon(context);
    return RunSeedService(options_, context);
  }

 private:
  Result<void> ReadPolicy() {
    p2p::SeedPolicy policy;
    if (ratio_ >= 0) policy.max_ratio = ratio_;
    if (!time_.empty()) {
      ASSIGN_OR_RETURN(policy.max_seed_s, ParseDuration(time_, "--time"));
    }
    if (!idle_.empty()) {
      ASSIGN_OR_RETURN(policy.max_idle_s, ParseDuration(idle_, "--idle"));
    }
    if (!max_upload_.empty()) {
      ASSIGN_OR_RETURN(policy.max_uploaded_bytes,
                       ParseSize(max_upload_, "--max-upload"));
    }
    policy.rule = rule_ == "all" ? p2p::SeedPolicy::Rule::kAll
                                 : p2p::SeedPolicy::Rule::kAny;
    policy.stop_even_if_last = stop_even_if_last_;
    if (policy.has_limit()) options_.policy = policy;
    return {};
  }

  bool IsOrder() const {
    return stop_ || limits_ || !pause_.empty() || !resume_.empty() ||
           !recheck_.empty() || !drop_.empty();
  }

  // A path that is there, or the name of a model that is known.
  Result<std::string> PathOf(const std::string& text, const StateDb* state) {
    if (state != nullptr) {
      ASSIGN_OR_RETURN(const auto model, state->FindModel(text));
      if (model.has_value()) return model->path;
    }
    std::error_code error;
    if (fs::exists(text, error)) return CanonicalPath(text);
    return Fail(ErrorCode::kNotFound,
                StrCat("\"", EscapeForTerminal(text), "\" is not there"))
        .Hint("lodestone ls lists the names of models");
  }

  Result<void> ReadTargets(Context& context) {
    std::string warning;
    auto state = StateDb::Open(StateDb::DefaultPath(), warning);
    if (!warning.empty()) context.output.Warning("STATE_REBUILT", warning);
    const StateDb* known = state ? &*state : nullptr;
    if (!torrent_.empty() && paths_.size() != 1) {
      return Fail(ErrorCode::kInvalidArgument, "--torrent goes with one path")
          .Id("E-USAGE");
    }
    for (const std::string& text : paths_) {
      SeedTarget target;
      ASSIGN_OR_RETURN(target.path, PathOf(text, known));
      if (!torrent_.empty()) {
        ASSIGN_OR_RETURN(target.torrent, ReadTorrentFile(torrent_));
      }
      options_.targets.push_back(std::move(target));
    }
    if (!paths_.empty()) return {};
    if (known == nullptr) return verify::Unexpected(state.error());
    if (all_) {
      ASSIGN_OR_RETURN(const auto models, known->Models());
      for (const ModelRecord& model : models) {
        options_.targets.push_back({model.path, std::nullopt, false});
      }
    } else {
      ASSIGN_OR_RETURN(const auto seeds, known->Seeds());
      for (const SeedRecord& seed : seeds) {
        if (seed.wanted) {
          options_.targets.push_back({seed.path, std::nullopt, false});
        }
      }
    }
    if (options_.targets.empty() && !stay_) {
      return Fail(ErrorCode::kNotFound, "no model is known that was seeded")
          .Id("E-NOTHING-TO-SEED")
          .Hint("name a folder, or lodestone seed --all; --stay waits for one");
    }
    return {};
  }

  Result<CommandResult> HandOver(const Json& running, Context& context) {
    const auto pid = running.value("pid", int64_t{0});
    std::string own;
    for (const CLI::Option* option : session_options_) {
      // What the environment sets is no wish of this command.
      const std::string variable = option->get_envname();
      if (option->count() > 0 &&
          (variable.empty() || std::getenv(variable.c_str()) == nullptr)) {
        own = option->get_name();
      }
    }
    if (daemon_) own = "--daemon";
    if (!metrics_.empty()) own = "--metrics";
    if (!own.empty()) {
      return Fail(ErrorCode::kBusy,
                  StrCat("a seeder runs already (pid ", pid, "), and ", own,
                         " cannot be changed while it does"))
          .Id("E-RUNNING")
          .Hint(StrCat("leave ", own,
                       " out to hand the models to it, end it with lodestone "
                       "seed --stop, or run beside it with --separate"));
    }
    CommandResult result;
    result.summary["pid"] = pid;
    result.summary["uploaded_bytes"] = 0;
    result.summary["models"] = Fields::array();
    for (const SeedTarget& target : options_.targets) {
      if (target.torrent.has_value()) {
        // It finds the torrent where torrents are kept.
        RETURN_IF_ERROR(TorrentStore::Default().Save(
            target.torrent->bytes, target.torrent->metainfo, target.path));
      }
      Json request{{"verb", "add"}, {"path", target.path}, {"rehash", rehash_}};
      if (options_.policy.has_value()) {
        request["policy"] = p2p::FormatSeedPolicy(*options_.policy);
      }
      ASSIGN_OR_RETURN(const Json answer,
                       CallControl(SocketPath(), request, kControlTimeout));
      if (answer.contains("model")) {
        result.summary["models"].push_back(Fields(answer["model"]));
      }
      context.output.Say(StrCat("handed to the running seeder (pid ", pid,
                                "): ", EscapeForTerminal(target.path)));
      result.path = target.path;
    }
    result.next = {"lodestone ps"};
    return result;
  }

  Result<CommandResult> TellRunning(Context& context) {
    Json request;
    if (!pause_.empty()) request = {{"verb", "pause"}, {"name", Name(pause_)}};
    if (!resume_.empty()) {
      request = {{"verb", "resume"}, {"name", Name(resume_)}};
    }
    if (!recheck_.empty()) {
      request = {{"verb", "recheck"}, {"name", Name(recheck_)}};
    }
    if (!drop_.empty()) request = {{"verb", "remove"}, {"name", Name(drop_)}};
    if (limits_) {
      request = {{"verb", "limits"}};
      if (!session_.up.empty()) {
        request["up"] = options_.session.up_bytes_per_s;
      }
      if (!session_.down.empty()) {
        request["down"] = options_.session.down_bytes_per_s;
      }
    }
    if (stop_) request = {{"verb", "stop"}};
    auto answer = CallControl(SocketPath(), request, kControlTimeout);
    if (!answer && answer.error().code == ErrorCode::kNotFound &&
        answer.error().hint.empty()) {
      return Fail(ErrorCode::kNotFound, "no seeder is running")
          .Id("E-NOT-RUNNING")
          .Hint("start one with lodestone seed PATH");
    }
    if (!answer) return verify::Unexpected(std::move(answer).error());
    CommandResult result;
    result.summary["order"] = request["verb"].get<std::string>();
    result.summary["uploaded_bytes"] = 0;
    context.output.Say(
        StrCat("the seeder was told to ", request["verb"].get<std::string>()));
    return result;
  }

  // A path is told as the seeder knows it.
  static std::string Name(const std::string& text) {
    std::error_code error;
    return text.find('/') != std::string::npos && fs::exists(text, error)
               ? CanonicalPath(text)
               : text;
  }

  Result<CommandResult> RunAsDaemon(Context& context) {
    const std::string log = StateFolder() + "/seed.log";
    ASSIGN_OR_RETURN(DaemonFork forked, Daemonize(log));
    if (forked.is_parent) {
      if (auto error = ControlError(forked.said)) {
        return verify::Unexpected(std::move(*error));
      }
      CommandResult result;
      result.summary["pid"] = forked.pid;
      result.summary["log"] = log;
      result.summary["uploaded_bytes"] = 0;
      context.output.Say(StrCat("seeding in the background, pid ", forked.pid,
                                "; log: ", EscapeForTerminal(log)));
      result.next = {"lodestone ps", "lodestone seed --stop"};
      return result;
    }
    options_.on_ready = [&forked] {
      SayToParent(forked.report, {{"ok", true}, {"pid", ::getpid()}});
    };
    auto result = RunSeedService(options_, context);
    // Nothing if it was ready before.
    if (!result) SayToParent(forked.report, ControlFailure(result.error()));
    return result;
  }

  SeedServiceOptions options_;
  SessionFlags session_;
  std::vector<CLI::Option*> session_options_;
  std::vector<std::string> paths_;
  std::string torrent_;
  double ratio_ = -1;
  std::string time_;
  std::string idle_;
  std::string max_upload_;
  std::string rule_ = "any";
  std::string scrub_;
  std::string metrics_;
  std::string metrics_token_file_;
  std::string pause_;
  std::string resume_;
  std::string recheck_;
  std::string drop_;
  bool all_ = false;
  bool stop_even_if_last_ = false;
  bool rehash_ = false;
  bool stay_ = false;
  bool daemon_ = false;
  bool separate_ = false;
  bool limits_ = false;
  bool stop_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeSeedCommand() {
  return std::make_unique<SeedCommand>();
}

}  // namespace cli
