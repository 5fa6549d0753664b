// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/archive_flags.h"

#include <CLI/CLI.hpp>
#include "cli/commands/commands.h"
#include "cli/commands/session_flags.h"
#include "cli/flows/get_flow.h"
#include "cli/state/paths.h"

namespace cli {
namespace {

class GetCommand final : public Command {
 public:
  std::string_view name() const override { return "get"; }
  std::vector<std::string> aliases() const override {
    return {"download", "pull"};
  }
  std::string_view summary() const override {
    return "fetch a model from a magnet link, check it, try it";
  }
  std::string_view example() const override {
    return "lodestone get 'magnet:?xt=urn:btih:5546272da9065eddeb6fcd7ffddeef5b"
           "75be79a7&dn=mixtral-8x7b-32kseqlen' --output models";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option(
           "source", options_.source,
           "magnet link, info-hash, name in the catalogue, .torrent file, "
           "or http(s) URL of one")
        ->required();
    app.add_option("-o,--output", options_.output_folder,
                   "folder to put the model in (the model store)")
        ->envname("LODESTONE_OUTPUT");
    app.add_flag("--raw", options_.raw,
                 "stop after the verified download: no structure check, no "
                 "smoke test");
    app.add_flag("--require-v2", options_.require_v2,
                 "do not fetch what only SHA-1 vouches for (exit code 10)");
    app.add_option("--sha256sums", options_.proof.sum_lists,
                   "hold the files against this list of SHA-256 sums, from "
                   "the publisher's page; may be given more than once")
        ->allow_extra_args(false);
    app.add_option("--signature", options_.proof.signature_file,
                   "judge this signature, and not those in the torrent");
    app.add_option("--key", options_.proof.keys,
                   "accept signatures by this key, too: a file, or the line "
                   "RWQ... of minisign; may be given more than once")
        ->allow_extra_args(false);
    app.add_flag("--require-signature", options_.proof.require_signature,
                 "give it its final name only if a key that you trust signed "
                 "all of it (exit code 7)");
    app.add_flag("--seed", options_.seed, "go on serving it to others");
    app.add_option("--select", options_.selection.select,
                   "fetch only files that this pattern fits (*, **, ?, [a-z]); "
                   "may be given more than once");
    app.add_option("--exclude", options_.selection.exclude,
                   "leave out files that this pattern fits; may be given more "
                   "than once");
    app.add_option("--files", options_.selection.files,
                   "fetch only these: numbers as --dry-run prints them, ranges "
                   "and names, with commas between");
    app.add_flag("--dry-run", options_.dry_run,
                 "say what would be fetched and write nothing");
    app.add_option("--reserve", reserve_,
                   "keep that much of the disk free besides, as 100GB for a "
                   "conversion");
    app.add_option("--adopt", options_.adopt_path,
                   "use what is right in this former copy, which stays as it "
                   "is");
    app.add_flag("--overwrite", options_.overwrite,
                 "take over a folder at the destination although nothing in it "
                 "is of this torrent");
    app.add_option("--timeout", timeout_,
                   "give up when there is no metadata or no new byte for so "
                   "long (120s for metadata, 15m for bytes)");
    app.add_option("--metadata-timeout", metadata_timeout_,
                   "give up when there is no metadata for so long (120s)");
    app.add_option("--stall-timeout", stall_timeout_,
                   "give up when no new byte came for so long (15m)");
    app.add_option("--max-size", max_size_,
                   "refuse a torrent with more payload than this, as 100GB");
    app.add_option("--save-torrent", options_.save_torrent,
                   "also write the .torrent to this file");
    app.add_option("--threads", options_.num_threads,
                   "processors to use (all)");
    AddArchiveFlags(app, archive_);
    AddSessionFlags(app, session_);
  }

  verify::Result<CommandResult> Run(Context& context) override {
    if (options_.output_folder.empty()) {
      options_.output_folder = ModelsFolder();
    }
    ASSIGN_OR_RETURN(options_.archive, ArchiveOptionsOf(archive_));
    options_.output_folder = WithoutTrailingSlashes(options_.output_folder);
    ASSIGN_OR_RETURN(options_.session, SettingsOf(session_, context));
    if (!timeout_.empty()) {
      ASSIGN_OR_RETURN(const double seconds,
                       ParseDuration(timeout_, "--timeout"));
      options_.metadata_timeout_s = seconds;
      options_.stall_timeout_s = seconds;
    } else {
      ASSIGN_OR_RETURN(options_.metadata_timeout_s,
                       ParseDuration(metadata_timeout_, "--metadata-timeout"));
      ASSIGN_OR_RETURN(options_.stall_timeout_s,
                       ParseDuration(stall_timeout_, "--stall-timeout"));
    }
    if (!max_size_.empty()) {
      ASSIGN_OR_RETURN(options_.max_total_bytes,
                       ParseSize(max_size_, "--max-size"));
    }
    if (!reserve_.empty()) {
      ASSIGN_OR_RETURN(options_.reserve_bytes,
                       ParseSize(reserve_, "--reserve"));
    }
    if (options_.seed && !options_.selection.empty()) {
      return verify::Fail(verify::ErrorCode::kInvalidArgument,
                          "--seed: part of a torrent is not served")
          .Id("E-USAGE")
          .Hint("fetch all of it, or leave out --seed");
    }
    return RunGet(options_, context);
  }

 private:
  ArchiveFlags archive_;
  GetOptions options_;
  SessionFlags session_;
  std::string timeout_;
  std::string metadata_timeout_ = "120s";
  std::string stall_timeout_ = "15m";
  std::string max_size_;
  std::string reserve_;
};

}  // namespace

std::unique_ptr<Command> MakeGetCommand() {
  return std::make_unique<GetCommand>();
}

}  // namespace cli
