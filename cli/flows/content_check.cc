// SPDX-License-Identifier: Apache-2.0
// Long because: a verdict on one file needs what was found of all others.
#include "cli/flows/content_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "cli/flows/content_report.h"
#include "cli/flows/list_files.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/digest/hash_engine.h"
#include "verify/manifest/published_sums.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FileOutcome;
using verify::Result;
using verify::StrCat;
using verify::TrustLevel;

// One comparison, step by step.
class ContentCheck {
 public:
  ContentCheck(const ContentOptions& options, Context& context)
      : options_(options), context_(context), output_(context.output) {}

  Result<ContentReport> Run();

 private:
  Result<void> Plan();
  Result<void> Hash();
  void JudgePieces(const verify::HashOutcome& outcome);
  bool IsLeftOut(size_t file) const;
  void JudgeCutFile(size_t file, const std::vector<DamagedRange>& cut);
  void DropDamage(FileVerdict& verdict);
  void BlameDamage(FileVerdict& verdict);
  void JudgeFile(size_t index, const verify::FileDigests& digests);
  void CheckSums(FileVerdict& verdict, const verify::FileDigests& digests);
  void NameTensors();
  void SetMismatchError();

  const ContentOptions& options_;
  Context& context_;
  Output& output_;
  ContentReport report_;

  bool is_folder_ = true;
  bool pieces_only_ = false;
  std::string base_folder_;  // where relative paths begin
  std::optional<KnownTorrent> torrent_;
  std::map<std::string, std::vector<verify::PublishedSum>> sums_;  // by name
  // In step: what is hashed, and its verdict. Pads have no verdict.
  verify::HashRequest request_;
  std::vector<std::optional<size_t>> verdict_of_;
  // A torrent's file -> its place in request_.files is the same index; extra
  // files are hashed by a second request.
  verify::HashRequest extra_request_;
  std::vector<uint32_t> bad_pieces_;  // ascending; cut ones left out
  std::vector<size_t> extra_verdict_of_;
};

// Of the files that are not what they should be the one that is surely wrong
// rather than its neighbour, then one with a known place of damage; the first
// of those.
void ContentCheck::SetMismatchError() {
  const FileVerdict* worst = nullptr;
  const auto rank = [](const FileVerdict& file) {
    if (file.maybe_neighbour) return 0;
    return file.damage.empty() ? 1 : 2;
  };
  for (const FileVerdict& file : report_.files) {
    const FileOutcome outcome = file.report.outcome;
    if (outcome == FileOutcome::kOk || outcome == FileOutcome::kExtra ||
        outcome == FileOutcome::kLeftOut) {
      continue;
    }
    if (worst == nullptr || rank(file) > rank(*worst)) worst = &file;
  }
  if (worst == nullptr) return;
  const std::string name = EscapeForTerminal(worst->report.name);
  verify::Error error;
  if (worst->report.outcome == FileOutcome::kUnreadable) {
    error.code = ErrorCode::kIo;
    error.id = "E-READ";
    error.message = worst->report.detail;
    report_.error = std::move(error);
    return;
  }
  error.code = ErrorCode::kMismatch;
  error.id = "E-MISMATCH";
  error.message = StrCat("\"", name, "\": ");
  if (worst->damage.empty() ||
      worst->report.outcome == FileOutcome::kWrongSize) {
    error.message += EscapeForTerminal(worst->report.detail);
  } else {
    const DamagedRange& first = worst->damage.front();
    error.message +=
        fmt::format("piece {} differs, bytes {} to {}{}", first.piece,
                    first.begin, first.end - 1, TensorList(first.tensors));
    if (worst->damage.size() > 1) {
      error.message +=
          fmt::format(" (and {} more pieces)", worst->damage.size() - 1);
    }
  }
  error.hint = "do not use this copy; fetch it again";
  report_.error = std::move(error);
}

Result<ContentReport> ContentCheck::Run() {
  RETURN_IF_ERROR(Plan());
  RETURN_IF_ERROR(Hash());
  ReportFiles(report_, output_);
  return std::move(report_);
}

Result<void> ContentCheck::Plan() {
  std::error_code error;
  const fs::file_status status = fs::status(options_.path, error);
  if (!fs::exists(status)) {
    return Fail(
        ErrorCode::kNotFound,
        StrCat("\"", EscapeForTerminal(options_.path), "\" is not there"));
  }
  is_folder_ = fs::is_directory(status);
  torrent_ = options_.torrent;
  const bool single = torrent_.has_value() && torrent_->metainfo.single_file;
  if (torrent_.has_value() && single != !is_folder_) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("the torrent is of a ", single ? "file" : "folder",
                       ", \"", EscapeForTerminal(options_.path), "\" is a ",
                       is_folder_ ? "folder" : "file"));
  }
  base_folder_ = is_folder_ ? options_.path
                            : fs::path(options_.path).parent_path().string();
  if (base_folder_.empty()) base_folder_ = ".";

  pieces_only_ = options_.pieces_only && torrent_.has_value();
  auto sums = pieces_only_ ? std::vector<verify::PublishedSum>{}
                           : verify::FindPublishedSums(base_folder_);
  if (!sums) {
    // A list that cannot be read proves nothing and hides nothing: the rest
    // is still checked.
    output_.Warning("SUMS_UNREADABLE", sums.error().message, sums.error().hint);
  } else {
    for (verify::PublishedSum& sum : *sums) {
      sums_[sum.name].push_back(std::move(sum));
    }
  }

  if (!pieces_only_) {
    for (const verify::PublishedSum& sum : options_.sums) {
      sums_[sum.name].push_back(sum);
    }
  }

  std::vector<ListedFile> listed;
  std::vector<std::string> skipped;
  if (is_folder_) {
    ASSIGN_OR_RETURN(listed, ListFiles(options_.path, skipped));
  } else {
    listed.push_back({fs::path(options_.path).filename().string(),
                      options_.path, fs::file_size(options_.path, error)});
  }
  for (const std::string& name : skipped) {
    output_.Warning("NOT_A_FILE",
                    StrCat("\"", EscapeForTerminal(name),
                           "\" is no regular file and was not read"));
  }
  if (is_folder_ && listed.empty() && !torrent_.has_value()) {
    return Fail(
        ErrorCode::kNotFound,
        StrCat("\"", EscapeForTerminal(options_.path), "\": no files in it"));
  }

  request_.num_threads = options_.num_threads;
  extra_request_.num_threads = options_.num_threads;
  std::set<std::string> planned;
  const auto add_file = [&](verify::HashRequest& request,
                            const std::string& relative,
                            const std::string& path, uint64_t size_bytes) {
    verify::HashFile file;
    file.path = path;
    file.size_bytes = size_bytes;
    // Of a partial copy the digests prove what its pieces cannot.
    if ((pieces_only_ || options_.pieces_proven) &&
        !(torrent_.has_value() && torrent_->partial.has_value())) {
      file.sums = {};
    }
    if (const auto sums_here = sums_.find(relative); sums_here != sums_.end()) {
      for (const verify::PublishedSum& sum : sums_here->second) {
        file.sums.Add(sum.algorithm);
      }
    }
    request.files.push_back(std::move(file));
    FileVerdict verdict;
    verdict.report.name = relative;
    verdict.report.size_bytes = size_bytes;
    report_.files.push_back(std::move(verdict));
    planned.insert(relative);
    return report_.files.size() - 1;
  };

  if (torrent_.has_value()) {
    const p2p::Metainfo& metainfo = torrent_->metainfo;
    if (output_.verbose()) {
      output_.Say("      checking against: " + torrent_->source);
    }
    if (!metainfo.piece_digests.empty() && !options_.pieces_proven) {
      request_.piece_length = metainfo.piece_length;
      request_.piece_digests = metainfo.piece_digests;
    }
    report_.num_pieces = metainfo.piece_digests.size();
    for (const p2p::MetainfoFile& file : metainfo.files) {
      if (file.is_pad) {
        verify::HashFile pad;
        pad.size_bytes = file.size_bytes;
        pad.sums = {};
        request_.files.push_back(std::move(pad));
        verdict_of_.emplace_back();
        continue;
      }
      const std::string path =
          single ? options_.path : options_.path + "/" + file.path;
      const std::string relative = single ? listed.front().relative : file.path;
      verdict_of_.emplace_back(
          add_file(request_, relative, path, file.size_bytes));
      request_.files.back().want_merkle = file.pieces_root.has_value();
      report_.files.back().published_bytes = file.size_bytes;
    }
  }
  for (const ListedFile& file : listed) {
    if (planned.contains(file.relative)) continue;
    const size_t index =
        add_file(extra_request_, file.relative, file.path, file.size_bytes);
    extra_verdict_of_.push_back(index);
    if (!torrent_.has_value()) continue;
    report_.files[index].report.outcome = FileOutcome::kExtra;
    ++report_.num_extra;
  }
  // What a list names and is not here: missing.
  if (is_folder_) {
    for (const auto& [name, sums_of_name] : sums_) {
      if (!planned.insert(name).second) continue;
      const std::string& list = sums_of_name.front().list;
      FileVerdict verdict;
      verdict.report.name = name;
      verdict.report.outcome = FileOutcome::kMissing;
      verdict.report.detail = StrCat("listed in ", list, ", not here");
      report_.files.push_back(std::move(verdict));
    }
  }
  return {};
}

Result<void> ContentCheck::Hash() {
  const std::string stage =
      request_.piece_digests.empty() ? "checksums" : "pieces";
  output_.StageBegin(stage);
  StageProgress progress(output_, stage);
  auto outcome = verify::HashFiles(request_, context_.cancel, &progress);
  if (!outcome) {
    output_.StageEnd(stage, false, "");
    return verify::Unexpected(std::move(outcome).error());
  }
  auto extra = verify::HashFiles(extra_request_, context_.cancel, &progress);
  if (!extra) {
    output_.StageEnd(stage, false, "");
    return verify::Unexpected(std::move(extra).error());
  }
  report_.bytes_read = outcome->bytes_read + extra->bytes_read;
  for (size_t i = 0; i < outcome->files.size(); ++i) {
    if (verdict_of_[i].has_value()) {
      JudgeFile(*verdict_of_[i], outcome->files[i]);
    }
  }
  if (torrent_.has_value() && torrent_->partial.has_value()) {
    for (size_t i = 0; i < verdict_of_.size(); ++i) {
      if (!verdict_of_[i].has_value() || torrent_->partial->files[i]) continue;
      verify::FileReport& report = report_.files[*verdict_of_[i]].report;
      if (report.outcome != FileOutcome::kMissing) continue;
      report.outcome = FileOutcome::kLeftOut;
      report.detail = "left out on purpose";
    }
  }
  JudgePieces(*outcome);
  if (torrent_.has_value()) {
    // A merkle root proves a file by itself.
    for (size_t i = 0; i < outcome->files.size(); ++i) {
      const auto& root = torrent_->metainfo.files[i].pieces_root;
      if (!root.has_value() || !verdict_of_[i].has_value()) continue;
      FileVerdict& verdict = report_.files[*verdict_of_[i]];
      if (outcome->files[i].merkle_root == root) {
        if (verdict.report.outcome == FileOutcome::kOk)
          verdict.report.level = TrustLevel::kPiecesV2;
      } else if (verdict.report.outcome == FileOutcome::kOk) {
        verdict.report.outcome = FileOutcome::kMismatch;
        verdict.report.detail = "its v2 pieces root differs from the torrent's";
      }
    }
  }
  for (size_t i = 0; i < extra->files.size(); ++i) {
    JudgeFile(extra_verdict_of_[i], extra->files[i]);
  }
  for (FileVerdict& file : report_.files) {
    // All of it: that it is missing says more.
    if (file.report.outcome == FileOutcome::kMissing ||
        file.report.outcome == FileOutcome::kLeftOut) {
      file.damage.clear();
    }
  }
  NameTensors();
  SetMismatchError();
  std::string text;
  if (!request_.piece_digests.empty()) {
    text =
        fmt::format("{} of {} pieces right, {} read",
                    report_.num_pieces - report_.bad_pieces, report_.num_pieces,
                    verify::FormatSize(report_.bytes_read));
  } else {
    text = fmt::format("{} files, {} read", report_.files.size(),
                       verify::FormatSize(report_.bytes_read));
  }
  if (!request_.piece_digests.empty()) {
    output_.Event(
        "check",
        {{"id", "piece.hash"},
         {"level", "pieces"},
         {"status", report_.bad_pieces == 0 ? "pass" : "fail"},
         {"subject", options_.path},
         {"detail", fmt::format("{} of {} pieces differ", report_.bad_pieces,
                                report_.num_pieces)},
         {"evidence", {{"pieces", bad_pieces_}}}});
  }
  output_.StageEnd(stage, !report_.error.has_value(), text);
  return {};
}

// Presence, size, and the sums that were published for the file.
void ContentCheck::JudgeFile(size_t index, const verify::FileDigests& digests) {
  FileVerdict& verdict = report_.files[index];
  const std::string name = EscapeForTerminal(verdict.report.name);
  switch (digests.state) {
    case verify::FileState::kMissing:
      verdict.report.outcome = FileOutcome::kMissing;
      verdict.report.detail = "not here";
      return;
    case verify::FileState::kUnreadable:
      verdict.report.outcome = FileOutcome::kUnreadable;
      verdict.report.detail = digests.error;
      return;
    case verify::FileState::kChanged:
      verdict.report.outcome = FileOutcome::kMismatch;
      verdict.report.detail = digests.error;
      return;
    case verify::FileState::kWrongSize:
      verdict.report.detail = StrCat(digests.actual_size_bytes, " bytes, ",
                                     verdict.report.size_bytes, " published");
      verdict.report.outcome = FileOutcome::kWrongSize;
      break;
    case verify::FileState::kOk:
      break;
  }
  verdict.report.size_bytes = digests.actual_size_bytes;
  if (const auto* sha256 = digests.Sum(verify::SumAlgorithm::kSha256)) {
    verdict.sha256 = verify::HexEncode(*sha256);
  }
  CheckSums(verdict, digests);
}

void ContentCheck::CheckSums(FileVerdict& verdict,
                             const verify::FileDigests& digests) {
  const auto sums_here = sums_.find(verdict.report.name);
  if (sums_here == sums_.end()) return;
  for (const verify::PublishedSum& sum : sums_here->second) {
    const std::vector<std::byte>* actual = digests.Sum(sum.algorithm);
    if (actual == nullptr) continue;
    const bool weak = sum.algorithm == verify::SumAlgorithm::kMd5 ||
                      sum.algorithm == verify::SumAlgorithm::kSha1;
    const TrustLevel level = weak ? TrustLevel::kMd5Only : TrustLevel::kSha256;
    const std::string_view kind = verify::SumAlgorithmName(sum.algorithm);
    verdict.expected = StrCat(kind, ":", verify::HexEncode(sum.digest));
    if (*actual == sum.digest) {
      if (verdict.report.outcome == FileOutcome::kOk ||
          verdict.report.outcome == FileOutcome::kExtra) {
        verdict.report.level = std::max(verdict.report.level, level);
        verdict.report.detail = StrCat(kind, " as in ", sum.list);
      }
      continue;
    }
    verdict.report.outcome = FileOutcome::kMismatch;
    verdict.report.level = TrustLevel::kUnverified;
    verdict.report.detail =
        StrCat(kind, " ", verify::HexEncode(*actual), ", ", sum.list, " says ",
               verify::HexEncode(sum.digest));
    return;
  }
}

// Bad pieces as ranges of files; a file whose pieces are all right is proven
// by them.
void ContentCheck::JudgePieces(const verify::HashOutcome& outcome) {
  if (!torrent_.has_value()) return;
  const p2p::Metainfo& metainfo = torrent_->metainfo;
  if (metainfo.piece_digests.empty()) return;
  std::map<size_t, std::vector<DamagedRange>> cut;  // by file
  for (const uint32_t piece : outcome.bad_pieces) {
    const auto ranges = p2p::PieceRanges(metainfo, piece);
    // Without its other files a piece cannot be hashed.
    const bool is_cut = std::any_of(ranges.begin(), ranges.end(),
                                    [&](const p2p::FileRange& range) {
                                      return IsLeftOut(range.file_index);
                                    });
    if (!is_cut) bad_pieces_.push_back(piece);
    for (const p2p::FileRange& range : ranges) {
      if (range.file_index >= verdict_of_.size() ||
          !verdict_of_[range.file_index].has_value()) {
        continue;
      }
      const DamagedRange damage{
          piece, range.offset, range.offset + range.size_bytes, {}};
      if (is_cut) {
        cut[range.file_index].push_back(damage);
        continue;
      }
      report_.files[*verdict_of_[range.file_index]].damage.push_back(damage);
    }
  }
  report_.bad_pieces = bad_pieces_.size();
  for (const auto& [file, ranges] : cut) JudgeCutFile(file, ranges);
  // First who is out of the question, then who is left to blame.
  for (const std::optional<size_t>& index : verdict_of_) {
    if (index.has_value()) DropDamage(report_.files[*index]);
  }
  for (const std::optional<size_t>& index : verdict_of_) {
    if (index.has_value()) BlameDamage(report_.files[*index]);
  }
}

bool ContentCheck::IsLeftOut(size_t file) const {
  return file < verdict_of_.size() && verdict_of_[file].has_value() &&
         report_.files[*verdict_of_[file]].report.outcome ==
             FileOutcome::kLeftOut;
}

// A file that shares pieces with files that were left out: proven by its
// digest of the time when those pieces were whole.
void ContentCheck::JudgeCutFile(size_t file,
                                const std::vector<DamagedRange>& cut) {
  FileVerdict& verdict = report_.files[*verdict_of_[file]];
  if (verdict.report.outcome == FileOutcome::kLeftOut ||
      options_.cut_pieces_proven) {
    return;
  }
  const auto& known = torrent_->partial->sha256;
  const auto digest = known.find(torrent_->metainfo.files[file].path);
  if (digest == known.end() || verdict.sha256.empty()) {
    ++report_.num_unproven;
    verdict.unproven = true;
    verdict.report.detail =
        "it shares pieces with files that were left out, and those prove "
        "nothing";
    return;
  }
  if (digest->second == verdict.sha256) return;
  // Its whole pieces, if one is bad, say better where.
  if (verdict.damage.empty()) verdict.damage = cut;
}

// A piece that crosses files may be bad because of its neighbour; a file with
// a right sum of its own is not blamed.
void ContentCheck::DropDamage(FileVerdict& verdict) {
  verify::FileReport& report = verdict.report;
  if (verdict.damage.empty()) {
    if (report.outcome == FileOutcome::kOk && !verdict.unproven) {
      report.level = std::max(report.level, TrustLevel::kPiecesV1);
    }
  } else if (report.outcome == FileOutcome::kOk &&
             report.level != TrustLevel::kUnverified) {
    verdict.damage.clear();
  }
}

void ContentCheck::BlameDamage(FileVerdict& verdict) {
  verify::FileReport& report = verdict.report;
  if (verdict.damage.empty()) return;
  report.level = TrustLevel::kUnverified;
  if (report.outcome != FileOutcome::kOk) return;
  report.outcome = FileOutcome::kMismatch;
  const size_t count = verdict.damage.size();
  report.detail = fmt::format("{} piece{} differ{}", count,
                              count == 1 ? "" : "s", count == 1 ? "s" : "");
  std::string others;
  for (const FileVerdict& other : report_.files) {
    if (&other == &verdict || other.damage.empty()) continue;
    if (other.damage.front().piece == verdict.damage.front().piece ||
        other.damage.back().piece == verdict.damage.front().piece) {
      others += (others.empty() ? "" : ", ") + other.report.name;
    }
  }
  if (count == 1 && !others.empty()) {
    verdict.maybe_neighbour = true;
    report.detail += StrCat("; it is shared with ", others,
                            ", and the wrong byte may be there");
  }
}

// Which tensors the damaged ranges of weight files hit. The table of a
// damaged file can mostly still be read; where not, no tensor is named.
void ContentCheck::NameTensors() {
  const bool damaged =
      std::any_of(report_.files.begin(), report_.files.end(),
                  [](const FileVerdict& file) { return !file.damage.empty(); });
  if (!damaged) return;
  const auto tables = verify::Checkpoint::OpenTables(options_.path);
  if (!tables) return;
  for (size_t i = 0; i < tables->files().size(); ++i) {
    const std::string relative =
        fs::path(tables->files()[i]).lexically_relative(base_folder_).string();
    for (FileVerdict& file : report_.files) {
      if (file.report.name != relative) continue;
      for (DamagedRange& range : file.damage) {
        for (const verify::TensorInfo* tensor :
             tables->TensorsIn(static_cast<uint32_t>(i), range.begin,
                               range.end - range.begin)) {
          range.tensors.push_back(tensor->name);
        }
      }
    }
  }
}

}  // namespace

Result<ContentReport> CheckContent(const ContentOptions& options,
                                   Context& context) {
  return ContentCheck(options, context).Run();
}

}  // namespace cli
