// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/content_plan.h"

#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "cli/flows/list_files.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FileOutcome;
using verify::Result;
using verify::StrCat;

class Planner {
 public:
  Planner(const ContentOptions& options, Output& output)
      : options_(options), output_(output), plan_(options) {}

  Result<ContentPlan> Run() {
    RETURN_IF_ERROR(LookAtPath());
    RETURN_IF_ERROR(ListWhatIsThere());
    plan_.request.num_threads = options_.num_threads;
    plan_.extra_request.num_threads = options_.num_threads;
    if (options_.torrent.has_value()) PlanTorrent();
    PlanOthers();
    if (is_folder_ && !plan_.pieces_only) PlanMissing();
    return std::move(plan_);
  }

 private:
  Result<void> LookAtPath();
  Result<void> ListWhatIsThere();
  void PlanTorrent();
  void PlanOthers();
  void PlanMissing();
  void AddMissing(const std::string& name, const std::string& source,
                  bool is_part);
  size_t Add(verify::HashRequest& request, const std::string& relative,
             const std::string& path, uint64_t size_bytes);

  const ContentOptions& options_;
  Output& output_;
  ContentPlan plan_;
  bool is_folder_ = true;
  std::vector<ListedFile> listed_;
  std::set<std::string> planned_;
};

Result<void> Planner::LookAtPath() {
  std::error_code error;
  const fs::file_status status = fs::status(options_.path, error);
  const std::string shown = EscapeForTerminal(options_.path);
  if (!fs::exists(status)) {
    return Fail(ErrorCode::kNotFound, StrCat("\"", shown, "\" is not there"));
  }
  is_folder_ = fs::is_directory(status);
  if (options_.torrent.has_value() &&
      options_.torrent->metainfo.single_file != !is_folder_) {
    return Fail(
        ErrorCode::kInvalidArgument,
        StrCat("the torrent is of a ", is_folder_ ? "file" : "folder", ", \"",
               shown, "\" is a ", is_folder_ ? "folder" : "file"));
  }
  plan_.base_folder = is_folder_
                          ? options_.path
                          : fs::path(options_.path).parent_path().string();
  if (plan_.base_folder.empty()) plan_.base_folder = ".";
  plan_.pieces_only = options_.pieces_only && options_.torrent.has_value();
  return {};
}

Result<void> Planner::ListWhatIsThere() {
  std::vector<std::string> skipped;
  if (is_folder_) {
    ASSIGN_OR_RETURN(listed_, ListFiles(options_.path, skipped));
  } else {
    std::error_code error;
    listed_.push_back({fs::path(options_.path).filename().string(),
                       options_.path,
                       fs::file_size(options_.path, error),
                       {}});
  }
  WarnOfLinks(listed_, output_);
  for (const std::string& name : skipped) {
    output_.Warning("NOT_A_FILE",
                    StrCat("\"", EscapeForTerminal(name),
                           "\" is no regular file and was not read"));
  }
  if (is_folder_ && listed_.empty() && !options_.torrent.has_value()) {
    return Fail(
        ErrorCode::kNotFound,
        StrCat("\"", EscapeForTerminal(options_.path), "\": no files in it"));
  }
  return {};
}

// The place of its verdict in the report.
size_t Planner::Add(verify::HashRequest& request, const std::string& relative,
                    const std::string& path, uint64_t size_bytes) {
  verify::HashFile file;
  file.path = path;
  file.size_bytes = size_bytes;
  // Of a partial copy the digests prove what its pieces cannot.
  if ((plan_.pieces_only || options_.pieces_proven) &&
      !(options_.torrent.has_value() &&
        options_.torrent->partial.has_value())) {
    file.sums = {};
  }
  if (!plan_.pieces_only) {
    for (const verify::Statement& statement : plan_.statements.Of(relative)) {
      file.sums.Add(statement.sum->algorithm);
    }
  }
  request.files.push_back(std::move(file));
  FileVerdict verdict;
  verdict.report.name = relative;
  verdict.report.size_bytes = size_bytes;
  plan_.report.files.push_back(std::move(verdict));
  planned_.insert(relative);
  return plan_.report.files.size() - 1;
}

void Planner::PlanTorrent() {
  const p2p::Metainfo& metainfo = options_.torrent->metainfo;
  if (output_.verbose()) {
    output_.Say("      checking against: " + options_.torrent->source);
  }
  if (!metainfo.piece_digests.empty() && !options_.pieces_proven) {
    plan_.request.piece_length = metainfo.piece_length;
    plan_.request.piece_digests = metainfo.piece_digests;
  }
  plan_.report.num_pieces = metainfo.piece_digests.size();
  for (const p2p::MetainfoFile& file : metainfo.files) {
    if (file.is_pad) {
      verify::HashFile pad;
      pad.size_bytes = file.size_bytes;
      pad.sums = {};
      plan_.request.files.push_back(std::move(pad));
      plan_.verdict_of.emplace_back();
      continue;
    }
    const std::string path =
        metainfo.single_file ? options_.path : options_.path + "/" + file.path;
    const std::string relative =
        metainfo.single_file ? listed_.front().relative : file.path;
    plan_.verdict_of.emplace_back(
        Add(plan_.request, relative, path, file.size_bytes));
    plan_.request.files.back().want_merkle = file.pieces_root.has_value();
    plan_.report.files.back().published_bytes = file.size_bytes;
  }
}

void Planner::PlanOthers() {
  for (const ListedFile& file : listed_) {
    if (planned_.contains(file.relative)) continue;
    // What a client keeps beside a model for itself is no part of it.
    if (IsBookkeeping(file.relative) &&
        plan_.statements.Of(file.relative).empty()) {
      continue;
    }
    plan_.extra_verdict_of.push_back(
        Add(plan_.extra_request, file.relative, file.path, file.size_bytes));
  }
}

// What a source names and is not here.
void Planner::PlanMissing() {
  for (const auto& [name, statements] : plan_.statements.all()) {
    AddMissing(name, statements.front().evidence->source, false);
  }
  // With a torrent, that says what there is; the structure check says more.
  if (options_.torrent.has_value()) return;
  for (const verify::Evidence& evidence : options_.evidence) {
    for (const std::string& name : evidence.required) {
      AddMissing(name, evidence.source, true);
    }
  }
}

void Planner::AddMissing(const std::string& name, const std::string& source,
                         bool is_part) {
  if (!planned_.insert(name).second) return;
  FileVerdict verdict;
  verdict.report.name = name;
  verdict.report.outcome = FileOutcome::kMissing;
  verdict.report.detail =
      StrCat("listed in ", EscapeForTerminal(source, 200), ", not here");
  verdict.source = source;
  verdict.missing_part = is_part;
  plan_.report.files.push_back(std::move(verdict));
}

}  // namespace

bool IsBookkeeping(std::string_view relative) {
  return relative.starts_with(".git/") ||
         relative.starts_with(".cache/huggingface/");
}

Result<ContentPlan> PlanContent(const ContentOptions& options, Output& output) {
  return Planner(options, output).Run();
}

}  // namespace cli
