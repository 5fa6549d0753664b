// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/content_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "cli/flows/content_pieces.h"
#include "cli/flows/content_plan.h"
#include "cli/flows/content_report.h"
#include "cli/flows/content_sums.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/digest/hash_engine.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::FileOutcome;
using verify::Result;
using verify::StrCat;
using verify::TrustLevel;

constexpr std::string_view kLfsPointer = "a Git LFS pointer";
constexpr std::string_view kHtmlPage = "an HTML page";

bool IsWrong(FileOutcome outcome) {
  return outcome != FileOutcome::kOk && outcome != FileOutcome::kExtra &&
         outcome != FileOutcome::kLeftOut;
}

// A file that nothing proves, and that is surely not what its name says:
// looked at again, its first bytes only.
void LookAtContent(const ContentPlan& plan, FileVerdict& verdict) {
  verify::FileReport& report = verdict.report;
  if (report.outcome == FileOutcome::kMissing ||
      report.outcome == FileOutcome::kLeftOut ||
      report.outcome == FileOutcome::kUnreadable ||
      report.level > TrustLevel::kUnknownKey) {
    return;
  }
  const auto file =
      verify::ReadOnlyFile::Open(plan.base_folder + "/" + report.name);
  if (!file) return;
  const auto content = verify::SniffContent(*file);
  if (!content) return;
  const bool is_lie = content->description == kLfsPointer ||
                      (content->description == kHtmlPage &&
                       verify::IsReadByModels(report.name));
  if (!is_lie) return;
  verdict.content = content->description;
  const std::string text = StrCat("its content is ", verdict.content);
  if (IsWrong(report.outcome)) {
    report.detail += "; " + text;
    return;
  }
  report.outcome = FileOutcome::kMismatch;
  report.detail = text;
}

std::string_view HintFor(const FileVerdict& file) {
  if (file.content == kLfsPointer) {
    return "the weights themselves were not fetched: run `git lfs pull` in the "
           "clone, or fetch them another way";
  }
  if (file.content == kHtmlPage) {
    return "a server sent a page in place of the file: fetch it again, by the "
           "address of the file itself";
  }
  if (file.contradicted) {
    return "one of them is wrong, and nothing here says which: find out before "
           "you use or mend this copy";
  }
  return "do not use this copy; fetch it again";
}

// What stands where no evidence says what should.
verify::Error ContentError(const FileVerdict& file) {
  verify::Error error;
  error.code = ErrorCode::kCorrupt;
  error.id = file.content == kLfsPointer ? "E-LFS-POINTER" : "E-HTML";
  error.message = StrCat("\"", EscapeForTerminal(file.report.name),
                         "\": content is ", file.content);
  error.hint = HintFor(file);
  return error;
}

verify::Error MismatchError(const FileVerdict& file) {
  verify::Error error;
  if (file.report.outcome == FileOutcome::kUnreadable) {
    error.code = ErrorCode::kIo;
    error.id = "E-READ";
    error.message = file.report.detail;
    return error;
  }
  if (!file.content.empty() && file.source.empty()) return ContentError(file);
  if (file.missing_part) {
    error.code = ErrorCode::kCorrupt;
    error.id = "E-MISSING-PART";
    error.message = StrCat("\"", EscapeForTerminal(file.report.name),
                           "\": ", EscapeForTerminal(file.report.detail));
    error.hint = "the model is not whole: fetch that file, too";
    return error;
  }
  error.code = ErrorCode::kMismatch;
  error.id = file.contradicted ? "E-CONTRADICTION" : "E-MISMATCH";
  error.message = StrCat("\"", EscapeForTerminal(file.report.name), "\": ");
  if (file.damage.empty() || file.contradicted ||
      file.report.outcome == FileOutcome::kWrongSize) {
    error.message += EscapeForTerminal(file.report.detail);
  } else {
    const DamagedRange& first = file.damage.front();
    error.message +=
        fmt::format("piece {} differs, bytes {} to {}{}", first.piece,
                    first.begin, first.end - 1, TensorList(first.tensors));
    if (file.damage.size() > 1) {
      error.message +=
          fmt::format(" (and {} more pieces)", file.damage.size() - 1);
    }
    if (!file.content.empty()) {
      error.message += StrCat("; its content is ", file.content);
    }
  }
  error.hint = HintFor(file);
  return error;
}

// Of the files that are not what they should be the one that is surely wrong
// rather than its neighbour, then one with a known place of damage; the first
// of those.
void SetMismatchError(ContentReport& report) {
  const FileVerdict* worst = nullptr;
  const auto rank = [](const FileVerdict& file) {
    if (file.maybe_neighbour) return 0;
    return file.damage.empty() ? 1 : 2;
  };
  for (const FileVerdict& file : report.files) {
    if (!IsWrong(file.report.outcome)) continue;
    if (worst == nullptr || rank(file) > rank(*worst)) worst = &file;
  }
  if (worst != nullptr) report.error = MismatchError(*worst);
}

// Which tensors the damaged ranges of weight files hit. The table of a
// damaged file can mostly still be read; where not, no tensor is named.
void NameTensors(ContentPlan& plan) {
  std::vector<FileVerdict>& files = plan.report.files;
  if (std::none_of(files.begin(), files.end(), [](const FileVerdict& file) {
        return !file.damage.empty();
      })) {
    return;
  }
  const auto tables = verify::Checkpoint::OpenTables(plan.options.path);
  if (!tables) return;
  for (size_t i = 0; i < tables->files().size(); ++i) {
    const std::string relative = fs::path(tables->files()[i])
                                     .lexically_relative(plan.base_folder)
                                     .string();
    for (FileVerdict& file : files) {
      if (file.report.name != relative) continue;
      for (DamagedRange& range : file.damage) {
        for (const verify::TensorInfo* tensor :
             tables->TensorsIn({i, range.begin, range.end - range.begin})) {
          range.tensors.push_back(tensor->name);
        }
      }
    }
  }
}

void Judge(const verify::HashOutcome& outcome, const verify::HashOutcome& extra,
           ContentPlan& plan, Output& output) {
  ContentReport& report = plan.report;
  report.bytes_read = outcome.bytes_read + extra.bytes_read;
  for (size_t i = 0; i < outcome.files.size(); ++i) {
    if (FileVerdict* verdict = plan.verdict(i)) {
      JudgeFile(outcome.files[i], plan, *verdict);
    }
  }
  const std::vector<uint32_t> bad_pieces = JudgePieces(outcome, plan);
  JudgeRoots(outcome, plan);
  for (size_t i = 0; i < extra.files.size(); ++i) {
    JudgeFile(extra.files[i], plan, report.files[plan.extra_verdict_of[i]]);
  }
  for (FileVerdict& file : report.files) {
    // All of it: that it is missing says more.
    if (file.report.outcome == FileOutcome::kMissing ||
        file.report.outcome == FileOutcome::kLeftOut) {
      file.damage.clear();
    }
    if (!plan.pieces_only) LookAtContent(plan, file);
  }
  JudgeCoverage(plan, output);
  NameTensors(plan);
  SetMismatchError(report);
  if (plan.request.piece_digests.empty()) return;
  output.Event("check",
               {{"id", "piece.hash"},
                {"level", "pieces"},
                {"status", report.bad_pieces == 0 ? "pass" : "fail"},
                {"subject", plan.options.path},
                {"detail", fmt::format("{} of {} pieces differ",
                                       report.bad_pieces, report.num_pieces)},
                {"evidence", {{"pieces", bad_pieces}}}});
}

// One of the two requests, with what is remembered of its files.
Result<verify::HashOutcome> HashPart(verify::HashRequest& request,
                                     ContentPlan& plan, Context& context,
                                     StageProgress& progress) {
  ASSIGN_OR_RETURN(
      CachedHashOutcome outcome,
      HashForCheck(request, plan.options.hashing, context, progress));
  plan.report.bytes_not_read += outcome.bytes_not_read;
  plan.report.hashed.insert(plan.report.hashed.end(), outcome.files.begin(),
                            outcome.files.end());
  return std::move(outcome.hashed);
}

Result<void> HashAndJudge(ContentPlan& plan, Context& context) {
  const bool has_pieces = !plan.request.piece_digests.empty();
  const std::string stage = has_pieces ? "pieces" : "checksums";
  context.output.StageBegin(stage);
  StageProgress progress(context.output, stage);
  Result<verify::HashOutcome> extra = verify::HashOutcome{};
  auto outcome = HashPart(plan.request, plan, context, progress);
  if (outcome) extra = HashPart(plan.extra_request, plan, context, progress);
  if (!outcome || !extra) {
    context.output.StageEnd(stage, false, "");
    return verify::Unexpected(std::move(outcome ? extra : outcome).error());
  }
  Judge(*outcome, *extra, plan, context.output);
  const ContentReport& report = plan.report;
  const std::string read = ReadText(report.bytes_read, report.bytes_not_read);
  context.output.StageEnd(
      stage, !report.error.has_value(),
      has_pieces ? fmt::format("{} of {} pieces right, {}",
                               report.num_pieces - report.bad_pieces,
                               report.num_pieces, read)
                 : fmt::format("{} files, {}", report.files.size(), read));
  return {};
}

}  // namespace

Result<ContentReport> CheckContent(const ContentOptions& options,
                                   Context& context) {
  ASSIGN_OR_RETURN(ContentPlan plan, PlanContent(options, context.output));
  RETURN_IF_ERROR(HashAndJudge(plan, context));
  for (const verify::Evidence& evidence : options.evidence) {
    std::set<std::string_view> names;
    for (const verify::PublishedSum& sum : evidence.sums) {
      names.insert(sum.name);
    }
    plan.report.sources.push_back({evidence.source, evidence.level,
                                   evidence.signer_key, evidence.signer_name,
                                   names.size(), evidence.exhaustive});
  }
  ReportFiles(plan.report, options.brief, context.output);
  return std::move(plan.report);
}

}  // namespace cli
