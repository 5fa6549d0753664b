// SPDX-License-Identifier: Apache-2.0
// Long because: the steps of one get share what they found out.
#include "cli/flows/get_flow.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/flows/early_check.h"
#include "cli/flows/final_name.h"
#include "cli/flows/model_flow.h"
#include "cli/flows/register_model.h"
#include "cli/flows/repair_flow.h"
#include "cli/flows/seed_flow.h"
#include "cli/flows/source.h"
#include "cli/flows/transfer_sink.h"
#include "cli/flows/verify_flow.h"
#include "cli/shell_quote.h"
#include "cli/state/torrent_store.h"
#include "p2p/download.h"
#include "p2p/endpoint_policy.h"
#include "p2p/magnet.h"
#include "p2p/metainfo.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FormatRate;
using verify::FormatSize;
using verify::Result;
using verify::StrCat;

// What --require-v2 finds; it ends the run, but is no error.
constexpr std::string_view kNeedsV2 = "E-REQUIRE-V2";

// Made if absent, and writable: said before minutes are spent on peers.
Result<void> PrepareFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return verify::FailErrno("create", folder, error.value());
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    return verify::FailErrno("write to", folder, errno);
  }
  // Root passes access() on a read-only file system.
  std::string probe = folder + "/.lodestone-probe-XXXXXX";
  const verify::UniqueFd fd(::mkstemp(probe.data()));
  if (!fd.valid()) return verify::FailErrno("write to", folder, errno);
  ::unlink(probe.c_str());
  return {};
}

// One `get`, step by step.
class GetRun {
 public:
  GetRun(const GetOptions& options, Context& context)
      : options_(options), context_(context), output_(context.output) {}

  Result<CommandResult> Run();

 private:
  Result<CommandResult> DryRun(const Source& source);
  Result<std::optional<CommandResult>> CheckExisting(
      const p2p::Metainfo& metainfo, verify::ByteSpan torrent);
  p2p::DownloadOptions OptionsFor(const Source& source) const;
  Result<p2p::CopyElsewhere> FindCopy(const p2p::Metainfo& metainfo,
                                      const p2p::PieceLayers& layers);
  Result<p2p::DownloadOutcome> DownloadPayload(const Source& source);
  Result<void> CheckPayload(const p2p::DownloadOutcome& download,
                            const std::string& path);
  Result<CommandResult> Finish(verify::ByteSpan torrent,
                               const p2p::Metainfo& metainfo);
  void SetPartial(const p2p::Metainfo& metainfo,
                  const p2p::Selection& selection);
  void RecordDigests(const p2p::Metainfo& metainfo,
                     const ContentReport& content);
  verify::Error InTheWay(const p2p::Metainfo& metainfo) const;
  Result<void> CheckKind(const p2p::Metainfo& metainfo) const;
  std::string FinalPath(const p2p::Metainfo& metainfo) const {
    return options_.output_folder + "/" + metainfo.name;
  }

  const GetOptions& options_;
  Context& context_;
  Output& output_;
  TorrentStore store_ = TorrentStore::Default();
  std::string work_folder_;
  Fields summary_ = Fields::object();
  verify::TrustLevel level_ = verify::TrustLevel::kUnverified;
  bool runs_ = false;  // the smoke test said so
  p2p::SelectionRequest selection_;
  p2p::CopyElsewhere copy_;             // at the final path; empty: none
  std::optional<PartialCopy> partial_;  // if not everything is wanted
  // The files before the read that found them right.
  std::optional<std::vector<VerifiedFile>> before_;
};

Result<CommandResult> GetRun::Run() {
  ASSIGN_OR_RETURN(Source source,
                   ReadSource(options_.source, options_.session, context_));
  if (!options_.dry_run) {
    RETURN_IF_ERROR(CheckConsent(source, context_));
  }
  const std::string key = source.magnet.info_hashes.Key();
  work_folder_ = options_.output_folder + "/." + key + ".partial";

  selection_ = options_.selection;
  if (selection_.select.empty() && selection_.files.empty()) {
    selection_.indices = source.magnet.selected_files;
  }
  // A model that was fetched before needs no peer to say so.
  if (!source.metainfo.has_value()) {
    if (auto known = store_.FindByKey(key)) {
      source.torrent = std::move(known->bytes);
      source.metainfo = std::move(known->metainfo);
    }
  }
  RETURN_IF_ERROR(CheckAskedProof(options_.proof, context_));
  if (options_.dry_run) return DryRun(source);
  RETURN_IF_ERROR(PrepareFolder(options_.output_folder));
  if (source.metainfo.has_value()) {
    ASSIGN_OR_RETURN(auto existing,
                     CheckExisting(*source.metainfo, source.torrent));
    if (existing.has_value()) {
      // Of a run that was killed after it had given the final name.
      std::error_code ignored;
      fs::remove_all(work_folder_, ignored);
      return std::move(*existing);
    }
  }
  auto fetched = DownloadPayload(source);
  if (!fetched && fetched.error().id == kNeedsV2) {
    output_.Warning("V1_ONLY", fetched.error().message,
                    "nothing was fetched, as --require-v2 asks");
    CommandResult result;
    result.code = ExitCode::kFindings;
    return result;
  }
  ASSIGN_OR_RETURN(const p2p::DownloadOutcome download, std::move(fetched));
  SetPartial(download.metainfo, download.selection);
  const std::string final_path = FinalPath(download.metainfo);
  if (!copy_.path.empty()) {
    ASSIGN_OR_RETURN(const p2p::ApplyOutcome applied,
                     ApplyToCopy(download, copy_, context_));
    summary_["adopted_pieces"] = p2p::NumSet(copy_.good);
    summary_["files_repaired"] = applied.files_repaired;
    summary_["files_added"] = applied.files_made;
    RETURN_IF_ERROR(CheckPayload(download, final_path));
  } else {
    RETURN_IF_ERROR(CheckPayload(download, download.payload_path));
    // Before the name is given: killed in between, the next run knows what
    // stands there. Finish says so if it cannot be stored.
    static_cast<void>(store_.Save(download.torrent, download.metainfo, ""));
    OpenPermissions(download.payload_path);
    RETURN_IF_ERROR(Promote(download.payload_path, final_path));
  }
  std::error_code ignored;
  fs::remove_all(work_folder_, ignored);
  return Finish(download.torrent, download.metainfo);
}

// What would be fetched, from the metadata alone; nothing is written.
Result<CommandResult> GetRun::DryRun(const Source& source) {
  const p2p::DownloadOptions download_options = OptionsFor(source);
  // Of the folder that will hold it, or of the one that will hold that.
  fs::path existing = fs::absolute(options_.output_folder);
  std::error_code error;
  while (!fs::exists(existing, error) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  OutputTransferSink sink(output_, existing.native());
  auto fetched = p2p::FetchTorrent(download_options, context_.cancel, sink);
  if (!fetched) {
    sink.EndStage(false, "");
    return verify::Unexpected(DownloadError(std::move(fetched).error()));
  }
  const p2p::Metainfo& metainfo = fetched->metainfo;
  ASSIGN_OR_RETURN(const p2p::Selection selection,
                   p2p::SelectFiles(metainfo, selection_));
  p2p::TransferPlan plan = p2p::PlanOf(metainfo, selection);
  plan.needed_bytes =
      plan.selected_bytes + plan.selected_bytes / 20 + options_.reserve_bytes;
  sink.OnPlan(plan);
  for (const std::string& warning : metainfo.warnings) {
    output_.Warning("TORRENT", warning);
  }
  if (!selection.shard_indexes.empty()) {
    output_.Say("      the shards that the chosen index names come with it");
  }
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(FinalPath(metainfo), ignored))) {
    output_.Say(StrCat("      \"", EscapeForTerminal(FinalPath(metainfo)),
                       "\" is there: what is right in it would be kept"));
  }
  CommandResult result;
  result.summary["dry_run"] = true;
  result.summary["total_bytes"] = plan.total_bytes;
  result.summary["selected_bytes"] = plan.selected_bytes;
  result.summary["selected_files"] = selection.NumWanted();
  result.summary["needed_bytes"] = plan.needed_bytes;
  if (const auto free_bytes = verify::FreeBytes(existing.native())) {
    result.summary["free_bytes"] = *free_bytes;
    if (*free_bytes < plan.needed_bytes) {
      output_.Warning(
          "DISK_TOO_SMALL",
          fmt::format("{} needed, {} free", FormatSize(plan.needed_bytes),
                      FormatSize(*free_bytes)),
          "free some space or choose fewer files");
    }
  }
  return result;
}

void GetRun::SetPartial(const p2p::Metainfo& metainfo,
                        const p2p::Selection& selection) {
  if (selection.IsAll(metainfo)) return;
  partial_.emplace();
  partial_->files = selection.files;
  // What an earlier run chose and put there stays wanted.
  if (const auto former = store_.FindPartial(metainfo, FinalPath(metainfo))) {
    for (size_t i = 0; i < former->files.size(); ++i) {
      if (former->files[i]) partial_->files[i] = true;
    }
    partial_->sha256 = former->sha256;
  }
}

void GetRun::RecordDigests(const p2p::Metainfo& metainfo,
                           const ContentReport& content) {
  if (!partial_.has_value()) return;
  for (const FileVerdict& file : content.files) {
    if (file.report.outcome != verify::FileOutcome::kOk ||
        file.sha256.empty()) {
      continue;
    }
    const std::string& name =
        metainfo.single_file ? metainfo.files.front().path : file.report.name;
    partial_->sha256[name] = file.sha256;
  }
}

// The copy at the final path of which something is right; an error if what is
// there has nothing in common with the torrent.
Result<p2p::CopyElsewhere> GetRun::FindCopy(const p2p::Metainfo& metainfo,
                                            const p2p::PieceLayers& layers) {
  const std::string path = FinalPath(metainfo);
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return p2p::CopyElsewhere{};
  RETURN_IF_ERROR(CheckKind(metainfo));
  ASSIGN_OR_RETURN(copy_, FindGoodPieces(metainfo, layers, path,
                                         options_.num_threads, context_));
  const bool is_empty = !metainfo.single_file && fs::is_empty(path, error);
  // Small files that we put here may share every piece with what was left out.
  const bool is_ours = store_.FindPartial(metainfo, path).has_value();
  if (p2p::NumSet(copy_.good) == 0 && !is_empty && !is_ours &&
      !options_.overwrite) {
    copy_ = {};
    return verify::Unexpected(InTheWay(metainfo));
  }
  return copy_;
}

verify::Error GetRun::InTheWay(const p2p::Metainfo& metainfo) const {
  return Fail(ErrorCode::kIo,
              StrCat("\"", EscapeForTerminal(FinalPath(metainfo)),
                     "\" is there already and holds nothing of what the link "
                     "names"))
      .Id("E-EXISTS")
      .Hint(
          "nothing was changed; move it away, choose another --output, or "
          "give --overwrite")
      .error();
}

// A link, or a file where a folder should be, is nobody's former copy.
Result<void> GetRun::CheckKind(const p2p::Metainfo& metainfo) const {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(FinalPath(metainfo), error);
  if (metainfo.single_file ? fs::is_regular_file(status)
                           : fs::is_directory(status)) {
    return {};
  }
  return verify::Unexpected(InTheWay(metainfo));
}

// Nothing if the destination is free or not complete. A finished copy is
// checked and done.
Result<std::optional<CommandResult>> GetRun::CheckExisting(
    const p2p::Metainfo& metainfo, verify::ByteSpan torrent) {
  const std::string final_path = FinalPath(metainfo);
  std::error_code error;
  if (!fs::exists(fs::symlink_status(final_path, error))) {
    return std::optional<CommandResult>();
  }
  RETURN_IF_ERROR(CheckKind(metainfo));
  ASSIGN_OR_RETURN(const p2p::Selection selection,
                   p2p::SelectFiles(metainfo, selection_));
  // Which shards belong to it is known when the index has been read.
  if (!selection.shard_indexes.empty()) return std::optional<CommandResult>();
  SetPartial(metainfo, selection);
  VerifyOptions verify_options;
  verify_options.path = final_path;
  verify_options.torrent = KnownTorrent{{torrent.begin(), torrent.end()},
                                        metainfo,
                                        "the torrent asked for",
                                        partial_};
  verify_options.level =
      options_.raw ? VerifyLevel::kChecksums : VerifyLevel::kNumeric;
  verify_options.num_threads = options_.num_threads;
  verify_options.archive = options_.archive;
  RETURN_IF_ERROR(AddProof(options_.proof, context_, verify_options));
  before_ = PayloadIdentities(metainfo, final_path);
  ASSIGN_OR_RETURN(const VerifyReport report,
                   RunVerify(verify_options, context_));
  if (report.content.error.has_value() || report.content.num_unproven > 0) {
    return std::optional<CommandResult>();
  }
  if (report.error.has_value()) return verify::Unexpected(*report.error);
  output_.Say("      it is here already and complete");
  RecordDigests(metainfo, report.content);
  level_ = report.content.level;
  summary_["downloaded_bytes"] = 0;
  ASSIGN_OR_RETURN(CommandResult result, Finish(torrent, metainfo));
  return std::optional<CommandResult>(std::move(result));
}

p2p::DownloadOptions GetRun::OptionsFor(const Source& source) const {
  p2p::DownloadOptions download_options;
  download_options.magnet = source.magnet;
  download_options.torrent = source.torrent;
  download_options.work_folder = work_folder_;
  download_options.session = options_.session;
  download_options.metadata_timeout_s = options_.metadata_timeout_s;
  download_options.stall_timeout_s = options_.stall_timeout_s;
  download_options.max_total_bytes = options_.max_total_bytes;
  download_options.selection = selection_;
  download_options.reserve_bytes = options_.reserve_bytes;
  download_options.adopt_path = options_.adopt_path;
  return download_options;
}

Result<p2p::DownloadOutcome> GetRun::DownloadPayload(const Source& source) {
  p2p::DownloadOptions download_options = OptionsFor(source);
  // The name is known now: look whether its place is free before 90 GB come.
  download_options.approve =
      [this,
       entry = source.entry](const p2p::Metainfo& metainfo) -> Result<void> {
    if (options_.require_v2 && !metainfo.info_hashes.v2.has_value()) {
      return Fail(ErrorCode::kMismatch,
                  "the torrent has no v2 hash: SHA-1 is a weak anchor")
          .Id(std::string(kNeedsV2));
    }
    RETURN_IF_ERROR(CheckProofFits(options_.proof, metainfo));
    for (const std::string& warning : metainfo.warnings) {
      output_.Warning("TORRENT", warning);
    }
    if (metainfo.is_private) {
      output_.Warning("PRIVATE",
                      "the torrent is marked private: peers come from its "
                      "trackers only");
    }
    std::error_code error;
    const bool is_new =
        !fs::exists(fs::symlink_status(FinalPath(metainfo), error));
    // What mends a copy that is here is far less than all of it.
    return ApproveFetch(entry, metainfo,
                        is_new ? Question::kAsk : Question::kNone, context_);
  };
  download_options.find_copy = [this](const p2p::Metainfo& metainfo,
                                      const p2p::PieceLayers& layers) {
    return FindCopy(metainfo, layers);
  };
  EarlyCheckOptions early;
  early.selection = selection_;
  early.judge = !options_.raw;
  download_options.look = MakeEarlyCheck(std::move(early), context_);
  OutputTransferSink sink(output_, options_.output_folder);
  auto outcome = p2p::Download(download_options, context_.cancel, sink);
  if (!outcome) {
    sink.EndStage(false, outcome.error().code == ErrorCode::kCancelled &&
                                 outcome.error().id != "E-DECLINED"
                             ? "stopped; what is here is kept"
                             : "");
    return verify::Unexpected(DownloadError(std::move(outcome).error()));
  }
  sink.EndStage(true, fmt::format("{} received, {} wasted",
                                  FormatSize(outcome->downloaded_bytes),
                                  FormatSize(outcome->wasted_bytes)));
  summary_["downloaded_bytes"] = outcome->downloaded_bytes;
  summary_["wasted_bytes"] = outcome->wasted_bytes;
  return outcome;
}

// Hashes, published sums, structure, numbers; then a smoke test, if the engine
// runs such a model. An error leaves the payload where it is, without its final
// name.
Result<void> GetRun::CheckPayload(const p2p::DownloadOutcome& download,
                                  const std::string& path) {
  VerifyOptions verify_options;
  verify_options.path = path;
  verify_options.torrent = KnownTorrent{download.torrent, download.metainfo,
                                        "the torrent asked for", partial_};
  verify_options.cut_pieces_proven = true;
  verify_options.level =
      options_.raw ? VerifyLevel::kChecksums : VerifyLevel::kNumeric;
  // Who asks for the bytes alone has them: each v1 piece passed its hash before
  // it was written. v2 roots are taken over the files as they are on disk.
  verify_options.pieces_proven =
      options_.raw && std::none_of(download.metainfo.files.begin(),
                                   download.metainfo.files.end(),
                                   [](const p2p::MetainfoFile& file) {
                                     return file.pieces_root.has_value();
                                   });
  verify_options.num_threads = options_.num_threads;
  verify_options.archive = options_.archive;
  RETURN_IF_ERROR(AddProof(options_.proof, context_, verify_options));
  before_ = PayloadIdentities(download.metainfo, download.payload_path);
  ASSIGN_OR_RETURN(const VerifyReport report,
                   RunVerify(verify_options, context_));
  level_ = report.content.level;
  RecordDigests(download.metainfo, report.content);
  Result<void> result;
  if (report.error.has_value()) {
    result = verify::Unexpected(*report.error);
  } else if (report.structure_checked && !options_.raw) {
    auto smoke = SmokeTestModel(
        path, {.num_threads = options_.num_threads, .skip_unsupported = true},
        context_);
    runs_ = smoke && *smoke;
    if (!smoke) result = verify::Unexpected(std::move(smoke).error());
  }
  if (!result) {
    verify::Error error = std::move(result).error();
    if (error.code != ErrorCode::kCancelled &&
        error.code != ErrorCode::kMismatch) {
      error.hint += StrCat(
          error.hint.empty() ? "" : "; ",
          copy_.path.empty() ? "the download is kept, without a final name, "
                               "in "
                             : "what was fetched is in ",
          EscapeForTerminal(copy_.path.empty() ? work_folder_ : path),
          "; --raw stops after the hashes");
    }
    return verify::Unexpected(std::move(error));
  }
  return {};
}

Result<CommandResult> GetRun::Finish(verify::ByteSpan torrent,
                                     const p2p::Metainfo& metainfo) {
  const std::string final_path = FinalPath(metainfo);
  if (auto saved = store_.Save(torrent, metainfo, final_path,
                               partial_.has_value() ? &*partial_ : nullptr);
      !saved) {
    output_.Warning("TORRENT_NOT_SAVED", saved.error().message,
                    "verify will need --against");
  }
  RegisterModel(metainfo, final_path, before_,
                std::string(verify::TrustLevelName(level_)),
                ModelOrigin::kFetched, output_);
  if (!options_.save_torrent.empty()) {
    RETURN_IF_ERROR(
        verify::WriteFileAtomically(options_.save_torrent, torrent));
  }
  CommandResult result;
  result.path = final_path;
  summary_["level"] = verify::TrustLevelName(level_);
  summary_["total_bytes"] = metainfo.total_bytes();
  result.summary = summary_;
  output_.Say(fmt::format("verified: {}", verify::TrustLevelText(level_)));
  const std::string quoted = ShellQuote(final_path);
  if (runs_) result.next.push_back("lodestone chat " + quoted);
  if (partial_.has_value()) {
    summary_["selected_files"] =
        std::count(partial_->files.begin(), partial_->files.end(), true);
    result.summary = summary_;
    return result;
  }
  if (!options_.seed) {
    result.next.push_back("lodestone seed " + quoted);
    return result;
  }
  SeedFlowOptions seed_options;
  seed_options.path = final_path;
  seed_options.torrent = KnownTorrent{
      {torrent.begin(), torrent.end()}, metainfo, "just fetched", {}};
  seed_options.session = options_.session;
  ASSIGN_OR_RETURN(CommandResult seeded, ServeVerified(seed_options, context_));
  for (const auto& [name, value] : seeded.summary.items()) {
    result.summary[name] = value;
  }
  result.code = seeded.code;
  return result;
}

}  // namespace

Result<CommandResult> RunGet(const GetOptions& options, Context& context) {
  return GetRun(options, context).Run();
}

}  // namespace cli
