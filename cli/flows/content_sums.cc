// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/content_sums.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "verify/base/text.h"
#include "verify/manifest/oms_statement.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Evidence;
using verify::FileOutcome;
using verify::StrCat;
using verify::TrustLevel;

void TakeVerdict(verify::EvidenceVerdict found, FileVerdict& verdict) {
  verify::FileReport& report = verdict.report;
  switch (found.agreement) {
    case verify::Agreement::kNothingStated:
      return;
    case verify::Agreement::kNotCompared:
      report.detail = std::move(found.detail);
      return;
    case verify::Agreement::kDiffers:
      report.outcome = FileOutcome::kMismatch;
      break;
    case verify::Agreement::kWrongSize:
      report.outcome = FileOutcome::kWrongSize;
      break;
    case verify::Agreement::kAgrees:
      if (report.outcome != FileOutcome::kOk) break;
      report.level = found.level;
      verdict.signer_key = std::move(found.signer_key);
      verdict.signer_name = std::move(found.signer_name);
      break;
  }
  verdict.source = std::move(found.source);
  verdict.expected = std::move(found.expected);
  report.detail = std::move(found.detail);
}

class Coverage {
 public:
  Coverage(ContentPlan& plan, Output& output)
      : plan_(plan),
        output_(output),
        own_(plan.options.source_files.begin(),
             plan.options.source_files.end()) {
    for (const Evidence& evidence : plan.options.evidence) {
      any_ = any_ || !evidence.sums.empty();
      bounded_ = bounded_ || evidence.exhaustive;
    }
    if (plan.torrent() != nullptr) any_ = bounded_ = true;
  }

  void Judge() {
    for (const size_t index : plan_.extra_verdict_of) {
      JudgeExtra(plan_.report.files[index]);
    }
    for (const Evidence& evidence : plan_.options.evidence) {
      if (evidence.exhaustive || !evidence.ignored.empty()) {
        JudgeSigned(evidence);
      }
    }
    SetLevel();
  }

 private:
  // A file that no source names, where there is one.
  void JudgeExtra(FileVerdict& verdict) {
    const bool named =
        !plan_.pieces_only && !plan_.statements.Of(verdict.report.name).empty();
    if (!any_ || named || verdict.report.outcome != FileOutcome::kOk) return;
    verdict.report.outcome = FileOutcome::kExtra;
    ++plan_.report.num_extra;
    if (own_.contains(verdict.report.name)) {
      verdict.report.detail = "a source itself";
      --plan_.report.num_extra;
    }
  }

  void JudgeSigned(const Evidence& evidence);
  void SetLevel();

  ContentPlan& plan_;
  Output& output_;
  std::set<std::string> own_;
  bool any_ = false;      // a source says something of some file
  bool bounded_ = false;  // a source says which files there are
};

// Files that a signature leaves out, on purpose or not.
void Coverage::JudgeSigned(const Evidence& evidence) {
  const std::string source = EscapeForTerminal(evidence.source, 200);
  std::string first;
  std::string_view id;
  size_t count = 0;
  for (FileVerdict& verdict : plan_.report.files) {
    const std::string& name = verdict.report.name;
    const FileOutcome outcome = verdict.report.outcome;
    if (outcome == FileOutcome::kMissing || outcome == FileOutcome::kLeftOut) {
      continue;
    }
    const auto statements = plan_.statements.Of(name);
    const bool named = std::any_of(statements.begin(), statements.end(),
                                   [&](const verify::Statement& statement) {
                                     return statement.evidence == &evidence;
                                   });
    if (named || own_.contains(name) || verify::IsOutsideOmsScope(name))
      continue;
    const bool left_out = LeavesOut(evidence, name);
    if (left_out ? !verify::IsReadByModels(name) : !evidence.exhaustive) {
      continue;
    }
    verdict.report.detail =
        left_out ? StrCat("UNSIGNED: ", source, " leaves it out by name")
                 : StrCat("UNSIGNED: not in ", source);
    if (count++ == 0) {
      first = name;
      id = left_out ? "E-UNSIGNED-USED" : "E-UNSIGNED-EXTRA";
    }
  }
  if (count == 0) return;
  std::string message = StrCat(
      "\"", EscapeForTerminal(first), "\" is here and ", source,
      id == "E-UNSIGNED-USED" ? " leaves it out by name" : " does not name it");
  if (count > 1) message += StrCat(" (and ", count - 1, " more)");
  const std::string_view hint =
      "nothing vouches for it; move it away, or ask who signed";
  if (evidence.level != TrustLevel::kTrustedKey) {
    output_.Warning("UNSIGNED_FILE", message, hint);
    return;
  }
  if (plan_.report.error.has_value()) return;
  verify::Error error;
  error.code = ErrorCode::kUntrusted;
  error.id = id;
  error.message = std::move(message);
  error.hint = hint;
  plan_.report.error = std::move(error);
}

void Coverage::SetLevel() {
  verify::VerifyReport listed;
  bool all_covered = true;
  for (const FileVerdict& file : plan_.report.files) {
    if (file.report.outcome != FileOutcome::kExtra) {
      listed.files.push_back(file.report);
    } else if (!bounded_ && !own_.contains(file.report.name) &&
               verify::IsReadByModels(file.report.name)) {
      all_covered = false;
    }
    if (file.report.outcome == FileOutcome::kMissing ||
        file.report.outcome == FileOutcome::kLeftOut) {
      ++plan_.report.num_missing;
    }
  }
  plan_.report.level = all_covered ? listed.level() : TrustLevel::kUnverified;
}

}  // namespace

void RaiseLevel(TrustLevel level, std::string_view source,
                FileVerdict& verdict) {
  if (verdict.report.level >= level) return;
  verdict.report.level = level;
  verdict.source = source;
  verdict.signer_key.clear();
  verdict.signer_name.clear();
}

void JudgeFile(const verify::FileDigests& digests, const ContentPlan& plan,
               FileVerdict& verdict) {
  verify::FileReport& report = verdict.report;
  switch (digests.state) {
    case verify::FileState::kMissing:
      report.outcome = FileOutcome::kMissing;
      report.detail = "not here";
      return;
    case verify::FileState::kUnreadable:
      report.outcome = FileOutcome::kUnreadable;
      report.detail = digests.error;
      return;
    case verify::FileState::kChanged:
      report.outcome = FileOutcome::kMismatch;
      report.detail = digests.error;
      return;
    case verify::FileState::kWrongSize:
      report.detail =
          verdict.published_bytes.has_value()
              ? StrCat(digests.actual_size_bytes, " bytes, ", report.size_bytes,
                       " published")
              : StrCat("it was ", report.size_bytes, " bytes and then ",
                       digests.actual_size_bytes, ": it changes");
      report.outcome = FileOutcome::kWrongSize;
      break;
    case verify::FileState::kOk:
      break;
  }
  report.size_bytes = digests.actual_size_bytes;
  verdict.cached = digests.known;
  for (const auto& [algorithm, digest] : digests.sums) {
    verdict.digests.push_back({algorithm, digest});
    if (algorithm == verify::SumAlgorithm::kSha256) {
      verdict.sha256 = verify::HexEncode(digest);
    }
  }
  if (plan.pieces_only || digests.state != verify::FileState::kOk) return;
  TakeVerdict(verify::CompareFile(plan.statements.Of(report.name),
                                  report.size_bytes, verdict.digests),
              verdict);
}

void JudgeCoverage(ContentPlan& plan, Output& output) {
  Coverage(plan, output).Judge();
}

}  // namespace cli
