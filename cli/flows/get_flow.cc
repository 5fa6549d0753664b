// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/get_flow.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/flows/model_flow.h"
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

// Gives the payload its final name; never over something that is there.
Result<void> Promote(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(),
                  RENAME_NOREPLACE) != 0) {
    const int error_number = errno;
    if (error_number == EINVAL && ::access(to.c_str(), F_OK) != 0) {
      // A file system without NOREPLACE.
      if (::rename(from.c_str(), to.c_str()) == 0) {
        return verify::SyncDirectory(fs::path(to).parent_path());
      }
      return verify::FailErrno("rename to", to, errno);
    }
    if (error_number == EEXIST) {
      return Fail(ErrorCode::kIo,
                  StrCat("\"", EscapeForTerminal(to), "\" appeared meanwhile"))
          .Id("E-EXISTS")
          .Hint("move it away and run the same command again");
    }
    return verify::FailErrno("rename to", to, error_number);
  }
  return verify::SyncDirectory(fs::path(to).parent_path());
}

// Owner-readable only while unverified; as other files are once verified.
void OpenPermissions(const std::string& path) {
  std::error_code ignored;
  constexpr fs::perms kFolder = fs::perms::owner_all | fs::perms::group_read |
                                fs::perms::group_exec | fs::perms::others_read |
                                fs::perms::others_exec;
  constexpr fs::perms kFile = fs::perms::owner_read | fs::perms::owner_write |
                              fs::perms::group_read | fs::perms::others_read;
  fs::permissions(path, fs::is_directory(path, ignored) ? kFolder : kFile,
                  ignored);
  if (!fs::is_directory(path, ignored)) return;
  for (const auto& entry : fs::recursive_directory_iterator(path, ignored)) {
    if (entry.is_symlink(ignored)) continue;
    fs::permissions(entry.path(), entry.is_directory(ignored) ? kFolder : kFile,
                    ignored);
  }
}

// One `get`, step by step.
class GetRun {
 public:
  GetRun(const GetOptions& options, Context& context)
      : options_(options), context_(context), output_(context.output) {}

  Result<CommandResult> Run();

 private:
  Result<std::optional<CommandResult>> CheckExisting(
      const p2p::Metainfo& metainfo, verify::ByteSpan torrent);
  Result<p2p::DownloadOutcome> DownloadPayload(Source& source);
  Result<void> CheckPayload(const p2p::DownloadOutcome& download);
  Result<CommandResult> Finish(verify::ByteSpan torrent,
                               const p2p::Metainfo& metainfo);
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
};

Result<CommandResult> GetRun::Run() {
  ASSIGN_OR_RETURN(Source source,
                   ReadSource(options_.source, options_.session, context_));
  RETURN_IF_ERROR(PrepareFolder(options_.output_folder));
  const std::string key = source.magnet.info_hashes.Key();
  work_folder_ = options_.output_folder + "/." + key + ".partial";

  // A model that was fetched before needs no peer to say so.
  if (!source.metainfo.has_value()) {
    if (auto known = store_.FindByKey(key)) {
      source.torrent = std::move(known->bytes);
      source.metainfo = std::move(known->metainfo);
    }
  }
  if (source.metainfo.has_value()) {
    ASSIGN_OR_RETURN(auto existing,
                     CheckExisting(*source.metainfo, source.torrent));
    if (existing.has_value()) return std::move(*existing);
  }
  ASSIGN_OR_RETURN(const p2p::DownloadOutcome download,
                   DownloadPayload(source));
  RETURN_IF_ERROR(CheckPayload(download));

  const std::string final_path = FinalPath(download.metainfo);
  OpenPermissions(download.payload_path);
  RETURN_IF_ERROR(Promote(download.payload_path, final_path));
  std::error_code ignored;
  fs::remove_all(work_folder_, ignored);
  return Finish(download.torrent, download.metainfo);
}

// Nothing if the destination is free. A finished copy is checked and done; any
// other thing in the way is an error.
Result<std::optional<CommandResult>> GetRun::CheckExisting(
    const p2p::Metainfo& metainfo, verify::ByteSpan torrent) {
  const std::string final_path = FinalPath(metainfo);
  std::error_code error;
  if (!fs::exists(fs::symlink_status(final_path, error))) {
    return std::optional<CommandResult>();
  }
  const verify::Error in_the_way =
      Fail(ErrorCode::kIo,
           StrCat("\"", EscapeForTerminal(final_path),
                  "\" is there already and is not what the link names"))
          .Id("E-EXISTS")
          .Hint("nothing was changed; move it away or choose another --output")
          .error();
  // A link that leads nowhere, or a file where a folder should be, cannot be
  // compared at all.
  const fs::file_status status = fs::status(final_path, error);
  if (metainfo.single_file ? !fs::is_regular_file(status)
                           : !fs::is_directory(status)) {
    return verify::Unexpected(in_the_way);
  }
  VerifyOptions verify_options;
  verify_options.path = final_path;
  verify_options.torrent = KnownTorrent{
      {torrent.begin(), torrent.end()}, metainfo, "the torrent asked for"};
  verify_options.level =
      options_.raw ? VerifyLevel::kChecksums : VerifyLevel::kNumeric;
  verify_options.num_threads = options_.num_threads;
  ASSIGN_OR_RETURN(const VerifyReport report,
                   RunVerify(verify_options, context_));
  if (report.content.error.has_value()) {
    return verify::Unexpected(in_the_way);
  }
  if (report.error.has_value()) return verify::Unexpected(*report.error);
  output_.Say("      it is here already and complete");
  level_ = report.content.level;
  summary_["downloaded_bytes"] = 0;
  ASSIGN_OR_RETURN(CommandResult result, Finish(torrent, metainfo));
  return std::optional<CommandResult>(std::move(result));
}

Result<p2p::DownloadOutcome> GetRun::DownloadPayload(Source& source) {
  p2p::DownloadOptions download_options;
  download_options.magnet = std::move(source.magnet);
  download_options.torrent = std::move(source.torrent);
  download_options.work_folder = work_folder_;
  download_options.session = options_.session;
  download_options.metadata_timeout_s = options_.metadata_timeout_s;
  download_options.stall_timeout_s = options_.stall_timeout_s;
  download_options.max_total_bytes = options_.max_total_bytes;
  // The name is known now: look whether its place is free before 90 GB come.
  download_options.approve =
      [this](const p2p::Metainfo& metainfo) -> Result<void> {
    for (const std::string& warning : metainfo.warnings) {
      output_.Warning("TORRENT", warning);
    }
    if (metainfo.is_private) {
      output_.Warning("PRIVATE",
                      "the torrent is marked private: peers come from its "
                      "trackers only");
    }
    std::error_code error;
    if (!fs::exists(fs::symlink_status(FinalPath(metainfo), error))) return {};
    return Fail(ErrorCode::kIo,
                StrCat("\"", EscapeForTerminal(FinalPath(metainfo)),
                       "\" is there already"))
        .Id("E-EXISTS")
        .Hint("nothing was changed; move it away or choose another --output");
  };
  OutputTransferSink sink(output_, options_.output_folder);
  auto outcome = p2p::Download(download_options, context_.cancel, sink);
  if (!outcome) {
    sink.EndStage(false, outcome.error().code == ErrorCode::kCancelled
                             ? "stopped; what is here is kept"
                             : "");
    verify::Error error = std::move(outcome).error();
    if (error.code == ErrorCode::kCancelled) {
      error.id = "E-INTERRUPTED";
      error.message = "interrupted; the state is saved";
      error.hint = "run the same command again to go on";
    }
    return verify::Unexpected(std::move(error));
  }
  sink.EndStage(true, fmt::format("{} received, {} wasted",
                                  FormatSize(outcome->downloaded_bytes),
                                  FormatSize(outcome->wasted_bytes)));
  summary_["downloaded_bytes"] = outcome->downloaded_bytes;
  summary_["wasted_bytes"] = outcome->wasted_bytes;
  return outcome;
}

// Hashes, published sums, structure, numbers; then a smoke test. An error
// leaves the payload where it is, without its final name.
Result<void> GetRun::CheckPayload(const p2p::DownloadOutcome& download) {
  VerifyOptions verify_options;
  verify_options.path = download.payload_path;
  verify_options.torrent = KnownTorrent{download.torrent, download.metainfo,
                                        "the torrent asked for"};
  verify_options.level =
      options_.raw ? VerifyLevel::kChecksums : VerifyLevel::kNumeric;
  verify_options.num_threads = options_.num_threads;
  ASSIGN_OR_RETURN(const VerifyReport report,
                   RunVerify(verify_options, context_));
  level_ = report.content.level;
  Result<void> result;
  if (report.error.has_value()) {
    result = verify::Unexpected(*report.error);
  } else if (report.structure_checked && !options_.raw) {
    auto smoke =
        SmokeTestModel(download.payload_path, options_.num_threads, context_);
    if (!smoke) result = verify::Unexpected(std::move(smoke).error());
  }
  if (!result) {
    verify::Error error = std::move(result).error();
    if (error.code != ErrorCode::kCancelled &&
        error.code != ErrorCode::kMismatch) {
      error.hint += StrCat(error.hint.empty() ? "" : "; ",
                           "the download is kept, without a final name, in ",
                           EscapeForTerminal(work_folder_),
                           "; --raw stops after the hashes");
    }
    return verify::Unexpected(std::move(error));
  }
  return {};
}

Result<CommandResult> GetRun::Finish(verify::ByteSpan torrent,
                                     const p2p::Metainfo& metainfo) {
  const std::string final_path = FinalPath(metainfo);
  if (auto saved = store_.Save(torrent, metainfo, final_path); !saved) {
    output_.Warning("TORRENT_NOT_SAVED", saved.error().message,
                    "verify will need --against");
  }
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
  if (!options_.raw) result.next.push_back("lodestone chat " + quoted);
  if (!options_.seed) {
    result.next.push_back("lodestone seed " + quoted);
    return result;
  }
  SeedFlowOptions seed_options;
  seed_options.path = final_path;
  seed_options.torrent =
      KnownTorrent{{torrent.begin(), torrent.end()}, metainfo, "just fetched"};
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
