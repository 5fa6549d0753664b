// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <filesystem>
#include <system_error>

#include "cli/commands/commands.h"
#include "cli/commands/session_flags.h"
#include "cli/flows/repair_flow.h"
#include "cli/flows/verify_flow.h"
#include "cli/shell_quote.h"
#include "cli/state/paths.h"
#include "p2p/magnet.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::Result;

VerifyLevel LevelOf(const std::string& name) {
  if (name == "pieces") return VerifyLevel::kPieces;
  if (name == "checksums") return VerifyLevel::kChecksums;
  if (name == "structure") return VerifyLevel::kStructure;
  if (name == "smoke") return VerifyLevel::kSmoke;
  return VerifyLevel::kNumeric;
}

class VerifyCommand final : public Command {
 public:
  std::string_view name() const override { return "verify"; }
  std::string_view summary() const override {
    return "is this local copy right? hashes, structure, numbers";
  }
  std::string_view example() const override {
    return "lodestone verify models/mixtral-8x7b-32kseqlen";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("path", options_.path, "model folder or file")->required();
    app.add_option("--against", against_,
                   ".torrent file, or magnet or info-hash of a torrent that "
                   "was fetched or published here (found by itself)");
    app.add_option("--level", level_,
                   "how far to go: pieces, checksums, structure, numeric, "
                   "smoke (numeric)")
        ->check(CLI::IsMember(
            {"pieces", "checksums", "structure", "numeric", "smoke"}));
    app.add_option("--tensor-stats", options_.tensor_stats,
                   "write statistics of every tensor to this file, as JSON "
                   "(level numeric and above)");
    app.add_flag("--fail-on-extra", options_.fail_on_extra,
                 "exit 10 if there are files that nothing lists");
    app.add_flag("--strict", options_.strict,
                 "exit 10 if something beside the weights could run in other "
                 "software, a chat template is suspect, or the structure or "
                 "the numbers have warnings");
    app.add_flag("--repair", repair_,
                 "fetch what is wrong or missing, and only that, and write it "
                 "into the copy");
    app.add_option("--stall-timeout", stall_timeout_,
                   "with --repair: give up when no new byte came for so long "
                   "(15m)");
    app.add_option("--threads", options_.num_threads,
                   "processors to use (all)");
    AddSessionFlags(app, session_);
  }

  Result<CommandResult> Run(Context& context) override {
    options_.level = LevelOf(level_);
    options_.path = WithoutTrailingSlashes(options_.path);
    if (!against_.empty()) {
      ASSIGN_OR_RETURN(options_.torrent, FindAgainst());
      options_.torrent->partial = TorrentStore::Default().FindPartial(
          options_.torrent->metainfo, options_.path);
    }
    if (repair_) RETURN_IF_ERROR(NeedTorrent());
    ASSIGN_OR_RETURN(VerifyReport report, RunVerify(options_, context));
    CommandResult result;
    if (repair_ && NeedsRepair(report)) {
      ASSIGN_OR_RETURN(const RepairOutcome repaired, Repair(context));
      result.summary["repaired_pieces"] = repaired.bad_pieces;
      result.summary["downloaded_bytes"] = repaired.downloaded_bytes;
      result.summary["files_repaired"] = repaired.applied.files_repaired;
      result.summary["files_added"] = repaired.applied.files_made;
      ASSIGN_OR_RETURN(report, RunVerify(options_, context));
    } else if (repair_) {
      RemoveRepairRemains(options_.path, options_.torrent->metainfo);
      context.output.Say("      there is nothing to repair");
    }
    if (report.error.has_value()) context.output.Error(*report.error);
    result.code = report.code;
    result.summary["level"] = verify::TrustLevelName(report.content.level);
    result.summary["files"] = report.content.files.size();
    result.summary["extra_files"] = report.content.num_extra;
    result.summary["bytes_read"] = report.content.bytes_read;
    result.summary["pieces"] = report.content.num_pieces;
    result.summary["bad_pieces"] = report.content.bad_pieces;
    result.summary["structure_checked"] = report.structure_checked;
    result.summary["warnings"] = report.num_warnings;
    result.summary["side_findings"] = report.num_side_findings;
    if (report.code == ExitCode::kMismatch && !repair_) {
      result.next.push_back("lodestone verify --repair " +
                            ShellQuote(options_.path));
    }
    if (report.code == ExitCode::kOk) {
      result.path = options_.path;
      context.output.Say(fmt::format(
          "{}: {}",
          verify::MayCallVerified(report.content.level) ? "verified" : "result",
          verify::TrustLevelText(report.content.level)));
    }
    return result;
  }

 private:
  // What fetching can mend: bytes that differ, are missing or cannot be read.
  static bool NeedsRepair(const VerifyReport& report) {
    return report.content.error.has_value() || report.content.num_unproven > 0;
  }

  // Nothing else says where bytes are to be had.
  Result<void> NeedTorrent() {
    if (!options_.torrent.has_value()) {
      options_.torrent = TorrentStore::Default().FindForPath(options_.path);
    }
    if (options_.torrent.has_value()) return {};
    return verify::Fail(verify::ErrorCode::kNotFound,
                        "--repair: no torrent of this copy is known, so "
                        "nothing says where its bytes are to be had")
        .Id("E-NO-TORRENT")
        .Hint(
            "give its .torrent file with --against, or fetch it by its "
            "link: get takes over what is right in the folder");
  }

  Result<RepairOutcome> Repair(Context& context) {
    RepairOptions repair;
    repair.path = options_.path;
    repair.torrent = *options_.torrent;
    ASSIGN_OR_RETURN(repair.session, SettingsOf(session_));
    ASSIGN_OR_RETURN(repair.stall_timeout_s,
                     ParseDuration(stall_timeout_, "--stall-timeout"));
    repair.num_threads = options_.num_threads;
    return RunRepair(repair, context);
  }

  Result<KnownTorrent> FindAgainst() const {
    std::error_code error;
    if (std::filesystem::exists(against_, error)) {
      return ReadTorrentFile(against_);
    }
    std::optional<p2p::InfoHashes> hashes = p2p::ParseInfoHash(against_);
    if (!hashes.has_value()) {
      ASSIGN_OR_RETURN(const p2p::ParsedMagnet parsed,
                       p2p::ParseMagnet(against_));
      hashes = parsed.magnet.info_hashes;
    }
    if (auto known = TorrentStore::Default().FindByKey(hashes->Key())) {
      return std::move(*known);
    }
    return verify::Fail(verify::ErrorCode::kNotFound,
                        "--against: that torrent is not known here")
        .Hint("give its .torrent file");
  }

  VerifyOptions options_;
  std::string against_;
  std::string level_ = "numeric";
  bool repair_ = false;
  SessionFlags session_;
  std::string stall_timeout_ = "15m";
};

}  // namespace

std::unique_ptr<Command> MakeVerifyCommand() {
  return std::make_unique<VerifyCommand>();
}

}  // namespace cli
