// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/commands.h"
#include "cli/commands/session_flags.h"
#include "cli/flows/seed_flow.h"

namespace cli {
namespace {

class SeedCommand final : public Command {
 public:
  std::string_view name() const override { return "seed"; }
  std::string_view summary() const override {
    return "check a local model and serve it to others";
  }
  std::string_view example() const override {
    return "lodestone seed models/mixtral-8x7b-32kseqlen --up 10MB";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("path", options_.path, "folder or file to serve")
        ->required();
    app.add_option("--torrent", torrent_,
                   "serve it as this .torrent (found by itself if it was "
                   "fetched or published here)");
    app.add_option("--ratio", ratio_, "stop after that many copies uploaded");
    app.add_option("--time", time_, "stop after so long, as 12h");
    AddSessionFlags(app, session_);
  }

  verify::Result<CommandResult> Run(Context& context) override {
    ASSIGN_OR_RETURN(options_.session, SettingsOf(session_, context));
    if (ratio_ > 0) options_.max_ratio = ratio_;
    if (!time_.empty()) {
      ASSIGN_OR_RETURN(options_.max_time_s, ParseDuration(time_, "--time"));
    }
    if (!torrent_.empty()) {
      ASSIGN_OR_RETURN(options_.torrent, ReadTorrentFile(torrent_));
    }
    return RunSeed(options_, context);
  }

 private:
  SeedFlowOptions options_;
  SessionFlags session_;
  std::string torrent_;
  double ratio_ = 0;
  std::string time_;
};

}  // namespace

std::unique_ptr<Command> MakeSeedCommand() {
  return std::make_unique<SeedCommand>();
}

}  // namespace cli
