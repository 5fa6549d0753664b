// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/commands/archive_flags.h"
#include "cli/commands/commands.h"
#include "cli/commands/session_flags.h"
#include "cli/flows/evidence.h"
#include "cli/flows/fingerprint_flow.h"
#include "cli/flows/repair_flow.h"
#include "cli/flows/report_document.h"
#include "cli/flows/report_file.h"
#include "cli/flows/verify_flow.h"
#include "cli/shell_quote.h"
#include "cli/state/paths.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::Result;

constexpr std::array<std::pair<std::string_view, VerifyLevel>, 6> kLevels = {
    {{"pieces", VerifyLevel::kPieces},
     {"checksums", VerifyLevel::kChecksums},
     {"signature", VerifyLevel::kSignature},
     {"structure", VerifyLevel::kStructure},
     {"numeric", VerifyLevel::kNumeric},
     {"smoke", VerifyLevel::kSmoke}}};

constexpr std::array<std::pair<std::string_view, Requirement>, 3>
    kRequirements = {{{"sha256", Requirement::kSha256},
                      {"v2", Requirement::kV2},
                      {"signed", Requirement::kSigned}}};

// `name` was checked to be one of them.
template <typename Table>
auto ValueOf(const Table& table, std::string_view name) {
  for (const auto& [key, value] : table) {
    if (key == name) return value;
  }
  return table.front().second;
}

template <typename Table>
std::vector<std::string> NamesOf(const Table& table) {
  std::vector<std::string> names;
  for (const auto& [key, value] : table) names.emplace_back(key);
  return names;
}

class VerifyCommand final : public Command {
 public:
  std::string_view name() const override { return "verify"; }
  std::string_view summary() const override {
    return "is this local copy right? hashes, signatures, structure, numbers";
  }
  std::string_view example() const override {
    return "lodestone verify models/mixtral-8x7b-32kseqlen --against "
           "SHA256SUMS --report report.html";
  }
  bool is_document() const override { return summary_only_; }

  void AddFlags(CLI::App& app) override {
    app.add_option("path", options_.path, "model folder or file")->required();
    app.add_option(
           "--against", against_,
           "what says how the files should be: a list of digests, "
           "signature, .torrent, magnet or info-hash, name in the catalogue, "
           "index, Git LFS pointer, or a folder of these; may be given "
           "more than once (what lies in and beside the folder is "
           "found by itself)")
        ->allow_extra_args(false);
    app.add_option("--key", options_.keys,
                   "accept signatures by this key, too: a file, or the line "
                   "RWQ... of minisign; may be given more than once")
        ->allow_extra_args(false);
    app.add_option("--signature", options_.signature_file,
                   "judge this signature, and not those in and beside the "
                   "folder");
    app.add_option("--level", level_,
                   "how far to go: pieces, checksums, signature, structure, "
                   "numeric, smoke (numeric)")
        ->check(CLI::IsMember(NamesOf(kLevels)));
    app.add_flag("--deep", deep_,
                 "also run the model and compare it, layer by layer, with the "
                 "fingerprint in the publisher's manifest");
    app.add_option("--fingerprint", fingerprint_file_,
                   "with --deep: a file that holds the fingerprint")
        ->needs("--deep");
    app.add_option("--require", require_,
                   "what has to vouch for every file: sha256, v2 (exit code "
                   "10) or signed, by a key that you trust (exit code 7)")
        ->check(CLI::IsMember(NamesOf(kRequirements)));
    app.add_flag("--require-v2", require_v2_, "the same as --require v2");
    app.add_flag("--require-signature", require_signature_,
                 "the same as --require signed");
    app.add_flag("--strict", options_.strict,
                 "exit 10 if something beside the weights could run in other "
                 "software, a chat template is suspect, or the structure or "
                 "the numbers have warnings");
    app.add_option("--tensor-stats", options_.tensor_stats,
                   "write statistics of every tensor to this file, as JSON "
                   "(level numeric and above)");
    app.add_flag("--fail-on-extra", options_.fail_on_extra,
                 "exit 10 if there are files that nothing lists");
    app.add_flag("--fail-on-missing", options_.fail_on_missing,
                 "exit 10 also if files were left out on purpose");
    app.add_option("--report", reports_,
                   "also write what was found to this file, *.html (one page, "
                   "for people) or *.json; may be given more than once")
        ->allow_extra_args(false);
    app.add_flag("--summary", summary_only_,
                 "say only what is wrong; with --json: one document in place "
                 "of events");
    app.add_flag("--repair", repair_,
                 "fetch what is wrong or missing, and only that, and write it "
                 "into the copy");
    app.add_option("--metadata-timeout", metadata_timeout_,
                   "with --against MAGNET: give up when there is no metadata "
                   "for so long (120s)");
    app.add_option("--stall-timeout", stall_timeout_,
                   "with --repair: give up when no new byte came for so long "
                   "(15m)");
    app.add_flag("--rehash", rehash_,
                 "read every file, also those whose digests are remembered "
                 "from an earlier run and that did not change since");
    app.add_option("--io", io_,
                   "cached: read as programs do; direct: past the page cache, "
                   "what the disk itself holds, where the file system has that "
                   "(cached)")
        ->check(CLI::IsMember({"cached", "direct"}));
    app.add_option("--threads", options_.num_threads,
                   "processors to use (all)");
    AddArchiveFlags(app, archive_);
    AddSessionFlags(app, session_);
  }

  Result<CommandResult> Run(Context& context) override {
    started_ = Timestamp();
    context.output.KeepEvents();
    RETURN_IF_ERROR(CheckReportPaths(reports_));
    RETURN_IF_ERROR(ReadFlags(context));
    if (repair_) RETURN_IF_ERROR(NeedTorrent());
    ASSIGN_OR_RETURN(VerifyReport report, RunVerify(options_, context));
    CommandResult result;
    if (repair_) {
      ASSIGN_OR_RETURN(
          report, RepairAndVerify(std::move(report), context, result.summary));
    }
    return Finish(report, context, std::move(result));
  }

 private:
  Result<void> ReadFlags(Context& context);
  Result<void> NeedTorrent();
  Result<VerifyReport> RepairAndVerify(VerifyReport report, Context& context,
                                       Fields& summary);
  Result<CommandResult> Finish(const VerifyReport& report, Context& context,
                               CommandResult result);
  void SayLast(const VerifyReport& report, Output& output) const;

  ArchiveFlags archive_;
  VerifyOptions options_;
  std::vector<std::string> against_;
  std::string level_ = "numeric";
  std::string require_;
  bool require_v2_ = false;
  bool require_signature_ = false;
  std::vector<std::string> reports_;
  bool summary_only_ = false;
  bool deep_ = false;
  std::string fingerprint_file_;
  bool repair_ = false;
  bool rehash_ = false;
  std::string io_ = "cached";
  SessionFlags session_;
  p2p::SessionSettings settings_;
  std::string metadata_timeout_ = "120s";
  std::string stall_timeout_ = "15m";
  std::string started_;
};

Result<void> VerifyCommand::ReadFlags(Context& context) {
  options_.level = ValueOf(kLevels, level_);
  if (!require_.empty()) options_.require = ValueOf(kRequirements, require_);
  if (require_v2_) {
    if (!require_.empty() && options_.require != Requirement::kV2) {
      return verify::Fail(verify::ErrorCode::kInvalidArgument,
                          "--require-v2 and --require " + require_ +
                              ": one requirement at a time")
          .Id("E-USAGE");
    }
    options_.require = Requirement::kV2;
  }
  if (require_signature_) {
    if (options_.require != Requirement::kNone &&
        options_.require != Requirement::kSigned) {
      return verify::Fail(verify::ErrorCode::kInvalidArgument,
                          "--require-signature and another requirement: one "
                          "at a time")
          .Id("E-USAGE");
    }
    options_.require = Requirement::kSigned;
  }
  const bool asks_for_signature =
      !options_.signature_file.empty() || !options_.keys.empty();
  if (asks_for_signature && options_.level < VerifyLevel::kSignature) {
    return verify::Fail(verify::ErrorCode::kInvalidArgument,
                        "--signature and --key: no signature is looked at "
                        "with --level " +
                            level_)
        .Id("E-USAGE");
  }
  if (deep_) options_.level = std::max(options_.level, VerifyLevel::kStructure);
  if (options_.strict && options_.level < VerifyLevel::kStructure) {
    return verify::Fail(verify::ErrorCode::kInvalidArgument,
                        "--strict: nothing beside the weights is looked at "
                        "with --level " +
                            level_)
        .Id("E-USAGE");
  }
  if (options_.require == Requirement::kSigned &&
      options_.level < VerifyLevel::kSignature) {
    return verify::Fail(verify::ErrorCode::kInvalidArgument,
                        "--require signed: no signature is looked at with "
                        "--level " +
                            level_)
        .Id("E-USAGE");
  }
  options_.brief = summary_only_;
  ASSIGN_OR_RETURN(options_.archive, ArchiveOptionsOf(archive_));
  // What is to be fetched is decided by what is on the disk now, and --io
  // direct is asked for to see that.
  options_.hashing.cache = rehash_ || repair_ || io_ == "direct"
                               ? DigestCache::kRenew
                               : DigestCache::kUse;
  if (io_ == "direct") options_.hashing.read_mode = verify::ReadMode::kDirect;
  options_.path = WithoutTrailingSlashes(options_.path);
  if (deep_) {
    ASSIGN_OR_RETURN(
        options_.fingerprint,
        FindFingerprint(options_.path, fingerprint_file_, against_));
  }
  if (against_.empty() && !repair_) return {};
  ASSIGN_OR_RETURN(settings_, SettingsOf(session_, context));
  if (against_.empty()) return {};
  AgainstOptions against;
  against.path = options_.path;
  against.against = against_;
  against.session = settings_;
  ASSIGN_OR_RETURN(against.metadata_timeout_s,
                   ParseDuration(metadata_timeout_, "--metadata-timeout"));
  ASSIGN_OR_RETURN(FoundEvidence found, ReadAgainst(against, context));
  options_.torrent = std::move(found.torrent);
  options_.evidence = std::move(found.evidence);
  options_.source_files = std::move(found.source_files);
  options_.manifest_file = std::move(found.manifest_file);
  if (!found.signature_file.empty()) {
    options_.signature_file = std::move(found.signature_file);
    if (options_.level < VerifyLevel::kSignature) {
      return verify::Fail(verify::ErrorCode::kInvalidArgument,
                          "--against " + options_.signature_file +
                              ": no signature is looked at with --level " +
                              level_)
          .Id("E-USAGE");
    }
  }
  return {};
}

// Nothing else says where bytes are to be had.
Result<void> VerifyCommand::NeedTorrent() {
  if (!options_.torrent.has_value()) {
    options_.torrent = TorrentStore::Default().FindForPath(options_.path);
  }
  if (options_.torrent.has_value()) return {};
  return verify::Fail(verify::ErrorCode::kNotFound,
                      "--repair: no torrent of this copy is known, so nothing "
                      "says where its bytes are to be had")
      .Id("E-NO-TORRENT")
      .Hint(
          "give its magnet link or .torrent file with --against, or fetch it "
          "by its link: get takes over what is right in the folder");
}

// What fetching can mend is mended, and the copy checked again.
Result<VerifyReport> VerifyCommand::RepairAndVerify(VerifyReport report,
                                                    Context& context,
                                                    Fields& summary) {
  switch (RepairNeeded(report.content)) {
    case RepairNeed::kNone:
      RemoveRepairRemains(options_.path, options_.torrent->metainfo);
      context.output.Say("      there is nothing to repair");
      return report;
    case RepairNeed::kCannotHelp:
      context.output.Say(
          "      nothing was fetched: what the torrent names is right, and "
          "fetching it again would change nothing");
      return report;
    case RepairNeed::kFetch:
      break;
  }
  RepairOptions repair;
  repair.path = options_.path;
  repair.torrent = *options_.torrent;
  repair.session = settings_;
  ASSIGN_OR_RETURN(repair.stall_timeout_s,
                   ParseDuration(stall_timeout_, "--stall-timeout"));
  repair.num_threads = options_.num_threads;
  ASSIGN_OR_RETURN(const RepairOutcome repaired, RunRepair(repair, context));
  summary["repaired_pieces"] = repaired.bad_pieces;
  summary["downloaded_bytes"] = repaired.downloaded_bytes;
  summary["files_repaired"] = repaired.applied.files_repaired;
  summary["files_added"] = repaired.applied.files_made;
  context.output.KeepEvents();
  return RunVerify(options_, context);
}

Result<CommandResult> VerifyCommand::Finish(const VerifyReport& report,
                                            Context& context,
                                            CommandResult result) {
  if (report.error.has_value()) context.output.Error(*report.error);
  result.code = report.code;
  const ContentReport& content = report.content;
  result.summary["level"] = verify::TrustLevelName(content.level);
  result.summary["files"] = content.files.size();
  result.summary["extra_files"] = content.num_extra;
  result.summary["bytes_read"] = content.bytes_read;
  result.summary["bytes_not_read"] = content.bytes_not_read;
  result.summary["pieces"] = content.num_pieces;
  result.summary["bad_pieces"] = content.bad_pieces;
  result.summary["structure_checked"] = report.structure_checked;
  if (deep_) {
    result.summary["fingerprint_checked"] = report.fingerprint_checked;
  }
  result.summary["warnings"] = report.num_warnings;
  result.summary["side_findings"] = report.num_side_findings;
  result.summary["findings"] = report.findings;
  if (summary_only_ || !reports_.empty()) {
    ReportInput input;
    input.path = options_.path;
    input.level_asked = level_;
    input.started = started_;
    input.finished = Timestamp();
    input.arguments = context.output.arguments();
    input.events = context.output.kept_events();
    Fields document = ReportDocument(report, input);
    if (auto written = WriteReports(document, reports_); !written) {
      // What was found weighs more than that it could not be written down.
      if (result.code == ExitCode::kOk) {
        return verify::Unexpected(std::move(written).error());
      }
      context.output.Warning("REPORT_NOT_WRITTEN", written.error().ToString(),
                             written.error().hint);
    }
    for (const std::string& path : reports_) {
      context.output.Say("      report: " + verify::EscapeForTerminal(path));
    }
    if (summary_only_) result.summary = std::move(document);
  }
  if (report.code == ExitCode::kMismatch && !repair_) {
    result.next.push_back("lodestone verify --repair " +
                          ShellQuote(options_.path));
  }
  if (report.code == ExitCode::kOk) {
    result.path = options_.path;
    SayLast(report, context.output);
  }
  return result;
}

// One line that names the level, and what else there is to know of it.
void VerifyCommand::SayLast(const VerifyReport& report, Output& output) const {
  const ContentReport& content = report.content;
  std::string line = fmt::format(
      "{}: {}", verify::MayCallVerified(content.level) ? "verified" : "result",
      verify::TrustLevelText(content.level));
  if (content.num_extra > 0) {
    line += fmt::format("; {} file{} that no source names", content.num_extra,
                        content.num_extra == 1 ? "" : "s");
  }
  output.Say(line);
  if (content.level != verify::TrustLevel::kUnverified) return;
  if (content.sources.empty() && !report.torrent.has_value()) {
    output.Say(
        "      nothing says what these bytes should be: no torrent, list or "
        "signature was found; compare the sha256 of each file with what the "
        "publisher states, or give that with --against");
  } else {
    output.Say(
        "      not all files that a model is read from are named by a source");
  }
}

}  // namespace

std::unique_ptr<Command> MakeVerifyCommand() {
  return std::make_unique<VerifyCommand>();
}

}  // namespace cli
