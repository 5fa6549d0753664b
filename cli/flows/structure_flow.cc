// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/structure_flow.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/flows/content_report.h"
#include "cli/flows/side_files_flow.h"
#include "cli/flows/tensor_stats.h"
#include "inference/text/load_tokenizer.h"
#include "verify/base/text.h"
#include "verify/base/thread_pool.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/weight_files.h"
#include "verify/container/crc32.h"
#include "verify/structure/model_config.h"
#include "verify/structure/structure_check.h"
#include "verify/structure/vocabulary_check.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Result;
using verify::StrCat;

constexpr size_t kMaxPrintedFindings = 10;

void EmitCheck(Output& output, std::string_view id, std::string_view level,
               std::string_view status, std::string_view subject,
               std::string_view detail, Fields evidence = Fields::object()) {
  output.Event("check", {{"id", id},
                         {"level", level},
                         {"status", status},
                         {"subject", subject},
                         {"detail", detail},
                         {"evidence", std::move(evidence)}});
}

std::string_view StatusOf(verify::Severity severity) {
  switch (severity) {
    case verify::Severity::kNote:
      return "pass";
    case verify::Severity::kWarning:
      return "warn";
    case verify::Severity::kError:
      return "fail";
  }
  return "fail";
}

StructureOutcome FailedAt(Output& output, std::string_view id,
                          const std::string& path, verify::Error error) {
  Fields evidence{{"id", error.id}};
  if (error.offset.has_value()) evidence["offset"] = *error.offset;
  EmitCheck(output, id, "structure", "fail", path, error.message,
            std::move(evidence));
  output.StageEnd("structure", false, error.ToString());
  StructureOutcome outcome;
  outcome.checked = true;
  outcome.error = std::move(error);
  return outcome;
}

// The tokenizers beside the weights, or in the GGUF metadata. That there is
// none is no fault of the weights.
Result<void> CheckTokenizers(const verify::Checkpoint& checkpoint,
                             const verify::ModelConfig& config,
                             Output& output) {
  const std::string& folder = checkpoint.folder();
  const auto loaded = inference::LoadVocabularyFor(checkpoint, config);
  if (!loaded && loaded.error().code != ErrorCode::kNotFound) {
    return verify::Unexpected(loaded.error());
  }
  const verify::TokenizerModel* const pieces =
      loaded ? loaded->sentencepiece() : nullptr;
  std::vector<verify::VocabularyFile> others;
  if (checkpoint.gguf() == nullptr) {
    ASSIGN_OR_RETURN(others, verify::CheckVocabularyFiles(
                                 folder, config.vocab_size, pieces));
  }
  for (const verify::VocabularyFile& other : others) {
    EmitCheck(output, "structure.tokenizer", "structure",
              other.is_read ? "pass" : "skip", other.path, other.detail);
  }
  if (!loaded) {
    const verify::Error& error = loaded.error();
    EmitCheck(output, "structure.tokenizer", "structure", "skip", folder,
              error.message);
    output.Warning("NO_TOKENIZER", error.message, "chat will need it");
    return {};
  }
  // A vocabulary of another kind stands among the others, unless it is in the
  // weights file.
  if (pieces != nullptr) {
    EmitCheck(output, "structure.tokenizer", "structure", "pass", folder,
              StrCat(pieces->pieces.size(), " pieces"));
  } else if (checkpoint.gguf() != nullptr) {
    const auto& tokens = std::get<verify::TokenVocabulary>(loaded->content);
    EmitCheck(
        output, "structure.tokenizer", "structure", "pass", folder,
        StrCat(tokens.tokens.size(), " tokens, ", tokens.merges.size(),
               " merges, split by ", verify::SplitPatternName(tokens.pattern)));
  }
  return {};
}

// The checksums that the archive itself stores, compared on all processors.
// The name of the first member (in file order) that differs, or nothing.
std::optional<verify::StoredCrc> FindBadCrc(
    const verify::Checkpoint& checkpoint, verify::ThreadPool& pool,
    const verify::CancelToken& cancel) {
  const std::vector<verify::StoredCrc>& crcs = checkpoint.stored_crcs();
  std::atomic<size_t> first_bad{crcs.size()};
  pool.ParallelFor(crcs.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const verify::StoredCrc& crc = crcs[i];
      // Writers may leave the checksum out; 0 says so.
      if (crc.crc32 == 0 || cancel.cancelled()) continue;
      verify::TensorInfo range;
      range.file_index = crc.file_index;
      range.offset = crc.offset;
      range.size_bytes = crc.size_bytes;
      if (verify::Crc32(checkpoint.Bytes(range)) == crc.crc32) continue;
      size_t seen = first_bad.load();
      while (i < seen && !first_bad.compare_exchange_weak(seen, i)) {
      }
    }
  });
  if (first_bad.load() == crcs.size()) return std::nullopt;
  return crcs[first_bad.load()];
}

// The stage "numeric": reads every weight once for what its numbers say, and
// the archive's own checksums. Sets `outcome.error`.
Result<void> ScanWeights(const verify::Checkpoint& checkpoint,
                         const StructureOptions& options, Context& context,
                         verify::StructureReport& report,
                         StructureOutcome& outcome) {
  Output& output = context.output;
  const std::string& path = options.path;
  output.StageBegin("numeric");
  verify::ThreadPool pool(options.num_threads);
  StageProgress progress(output, "numeric");
  const size_t before = report.findings.size();
  auto scanned =
      verify::ScanNumbers(checkpoint, pool, context.cancel, &progress, report);
  if (!scanned) {
    output.StageEnd("numeric", false, "");
    return verify::Unexpected(std::move(scanned).error());
  }
  outcome.error = ReportFindings(report, before, "numeric", context);
  outcome.num_warnings = report.num_warnings();
  if (!options.tensor_stats.empty()) {
    auto written = WriteTensorStatistics(checkpoint, *scanned, report,
                                         options.tensor_stats);
    if (!written) {
      output.StageEnd("numeric", false, "");
      return written;
    }
    output.Say(StrCat("      statistics of ", scanned->size(), " tensors in ",
                      options.tensor_stats));
  }
  const auto bad_crc = FindBadCrc(checkpoint, pool, context.cancel);
  const auto& crcs = checkpoint.stored_crcs();
  const auto unsummed = std::count_if(
      crcs.begin(), crcs.end(),
      [](const auto& crc) { return crc.crc32 == 0 && crc.size_bytes > 0; });
  if (unsummed > 0) {
    output.Warning("NO_CRC",
                   fmt::format("{} of {} members of the archive have no "
                               "checksum: damage in them would not be seen",
                               unsummed, crcs.size()),
                   "compare the file with a published sum");
  }
  if (context.cancel.cancelled()) {
    output.StageEnd("numeric", false, "");
    return verify::Fail(ErrorCode::kCancelled, "interrupted");
  }
  if (bad_crc.has_value()) {
    std::vector<std::string> tensors;
    for (const verify::TensorInfo* tensor : checkpoint.TensorsIn(
             bad_crc->file_index, bad_crc->offset, bad_crc->size_bytes)) {
      tensors.push_back(tensor->name);
    }
    const std::string text = StrCat(
        "\"", EscapeForTerminal(checkpoint.whole_file(bad_crc->file_index)),
        "\": member \"", EscapeForTerminal(bad_crc->name),
        "\" differs from the checksum that its own archive holds",
        TensorList(tensors));
    EmitCheck(output, "numeric.crc", "numeric", "fail", path, text,
              {{"member", bad_crc->name}, {"offset", bad_crc->offset}});
    if (!outcome.error.has_value()) {
      verify::Error error;
      error.code = ErrorCode::kCorrupt;
      error.id = "E-CRC";
      error.message = text;
      error.offset = bad_crc->offset;
      error.hint = "this copy is damaged; fetch it again";
      outcome.error = std::move(error);
    }
  }
  if (!outcome.error.has_value()) {
    EmitCheck(output, "numeric.tensors", "numeric", "pass", path,
              "no NaN and no infinity");
  }
  output.StageEnd("numeric", !outcome.error.has_value(),
                  outcome.error.has_value() ? outcome.error->ToString()
                                            : "no NaN and no infinity");
  return {};
}

// The rest of the stage, once it was tried to open the weights.
Result<StructureOutcome> CheckOpened(Result<verify::Checkpoint> checkpoint,
                                     const StructureOptions& options,
                                     Context& context) {
  const std::string& path = options.path;
  Output& output = context.output;
  if (!checkpoint) {
    verify::Error error = std::move(checkpoint).error();
    if (error.code == ErrorCode::kNotFound &&
        error.id != verify::kShardMissing) {
      EmitCheck(output, "structure.open", "structure", "skip", path,
                error.message);
      output.StageEnd("structure", true,
                      "no weights here that Lodestone reads: not checked");
      return StructureOutcome{};
    }
    if (error.code == ErrorCode::kIo) {
      output.StageEnd("structure", false, "");
      return verify::Unexpected(std::move(error));
    }
    return FailedAt(output, "structure.open", path, std::move(error));
  }
  auto config = verify::LoadModelConfig(*checkpoint);
  if (!config) {
    verify::Error error = std::move(config).error();
    std::error_code ignored;
    if (error.code == ErrorCode::kNotFound &&
        !fs::is_directory(path, ignored)) {
      // One weights file by itself: its own rules are all there is to check.
      EmitCheck(
          output, "structure.open", "structure", "pass", path,
          StrCat(checkpoint->tensors().size(), " tensors; ", error.message));
      output.StageEnd("structure", true,
                      fmt::format("{} tensors, well formed; {}, so shapes "
                                  "were not compared",
                                  checkpoint->tensors().size(), error.message));
      StructureOutcome outcome;
      verify::StructureReport report;
      if (options.numeric) {
        RETURN_IF_ERROR(
            ScanWeights(*checkpoint, options, context, report, outcome));
      }
      return outcome;
    }
    return FailedAt(output, "structure.config", path, std::move(error));
  }
  verify::StructureReport report = verify::CheckStructure(*checkpoint, *config);
  StructureOutcome outcome;
  outcome.checked = true;
  outcome.error = ReportFindings(report, 0, "structure", context);
  if (!outcome.error.has_value() && config->runnable()) {
    auto tokenizers = CheckTokenizers(*checkpoint, *config, output);
    if (!tokenizers) {
      outcome.error = std::move(tokenizers).error();
      EmitCheck(output, "structure.tokenizer", "structure", "fail",
                checkpoint->folder(), outcome.error->message);
    }
  }
  if (outcome.error.has_value()) {
    output.StageEnd("structure", false, outcome.error->ToString());
    return outcome;
  }
  EmitCheck(output, "structure.tensors", "structure", "pass", path,
            StrCat(report.num_tensors, " tensors as the configuration says"));
  output.StageEnd(
      "structure", true,
      fmt::format("{}: {} tensors, {:.1f} M parameters",
                  verify::Describe(*config), report.num_tensors,
                  static_cast<double>(report.num_parameters) / 1e6));
  if (!config->runnable()) {
    const std::string text =
        StrCat(verify::FamilyName(config->family),
               " is known by shape; Lodestone does not run it",
               config->not_run.empty() ? "" : ": ",
               EscapeForTerminal(config->not_run));
    EmitCheck(output, "structure.runnable", "structure", "skip", path, text);
    output.Say("      " + text);
  }
  outcome.num_warnings = report.num_warnings();
  if (!options.numeric) return outcome;

  RETURN_IF_ERROR(ScanWeights(*checkpoint, options, context, report, outcome));
  return outcome;
}

// The same weights in several forms: each is checked by itself.
Result<StructureOutcome> CheckForms(const std::vector<std::string>& forms,
                                    const StructureOptions& options,
                                    Context& context) {
  context.output.Warning(
      "WEIGHTS_TWICE",
      StrCat("\"", EscapeForTerminal(options.path), "\" holds weights in ",
             forms.size(), " forms, which are checked one by one"),
      "name the file to use instead of the folder; the other can be deleted");
  StructureOutcome all;
  for (const std::string& form : forms) {
    StructureOptions one = options;
    one.path = form;
    if (!options.tensor_stats.empty() && form != forms.front()) {
      one.tensor_stats =
          StrCat(options.tensor_stats, ".", fs::path(form).filename().string());
    }
    if (form != forms.front()) context.output.StageBegin("structure");
    ASSIGN_OR_RETURN(const StructureOutcome outcome,
                     CheckOpened(verify::Checkpoint::Open(form), one, context));
    all.checked |= outcome.checked;
    all.num_warnings += outcome.num_warnings;
    if (!all.error.has_value()) all.error = outcome.error;
  }
  ++all.num_warnings;
  return all;
}

// The weights of a folder that holds them in several forms, else none.
std::vector<std::string> FormsOf(const std::string& path,
                                 const Result<verify::Checkpoint>& opened) {
  std::error_code ignored;
  if (opened || opened.error().code != ErrorCode::kInvalidArgument ||
      !fs::is_directory(path, ignored)) {
    return {};
  }
  const auto sets = verify::ListWeightSets(path);
  std::vector<std::string> forms;
  if (!sets || sets->size() < 2) return forms;
  for (const verify::WeightSet& set : *sets) forms.push_back(set.files.front());
  return forms;
}

}  // namespace

std::optional<verify::Error> ReportFindings(
    const verify::StructureReport& report, size_t first, std::string_view level,
    Context& context) {
  size_t printed = 0;
  size_t num_fatal = 0;
  std::string first_text;
  for (size_t i = first; i < report.findings.size(); ++i) {
    const verify::StructureFinding& finding = report.findings[i];
    const std::string_view kind = verify::FindingKindName(finding.kind);
    EmitCheck(context.output, fmt::format("{}.tensor", level), level,
              StatusOf(finding.severity), finding.tensor,
              fmt::format("{}: {}", kind, finding.detail));
    const std::string text = fmt::format(
        "{}{}{}{}",
        finding.tensor.empty()
            ? ""
            : fmt::format("tensor \"{}\": ", EscapeForTerminal(finding.tensor)),
        kind, finding.detail.empty() ? "" : ": ", finding.detail);
    if (finding.fatal() && num_fatal++ == 0) first_text = text;
    if (printed < kMaxPrintedFindings) {
      context.output.Say("      " + text);
      ++printed;
    }
  }
  const size_t total = report.findings.size() - first;
  if (total > printed) {
    context.output.Say(fmt::format("      ... and {} more", total - printed));
  }
  if (num_fatal == 0) return std::nullopt;
  verify::Error error;
  error.code = ErrorCode::kCorrupt;
  error.id = level == "numeric" ? "E-NUMBERS" : "E-STRUCTURE";
  error.message = first_text;
  if (num_fatal > 1) {
    error.message += fmt::format(" (and {} more)", num_fatal - 1);
  }
  error.hint =
      "these weights do not belong to this configuration, or are "
      "damaged; do not use them";
  return error;
}

Result<StructureOutcome> CheckModelStructure(const StructureOptions& options,
                                             Context& context) {
  const std::string& path = options.path;
  context.output.StageBegin("structure");
  StageProgress progress(context.output, "structure");
  auto checkpoint = verify::Checkpoint::Open(
      path, verify::CompressedFiles::kInMemory, {&context.cancel, &progress});
  if (!checkpoint && checkpoint.error().code == ErrorCode::kCancelled) {
    context.output.StageEnd("structure", false, "");
    return verify::Unexpected(std::move(checkpoint).error());
  }
  const auto side_findings =
      ReportSideFiles(path, checkpoint ? checkpoint->gguf() : nullptr, context);
  const auto forms = FormsOf(path, checkpoint);
  const bool weights_fail = !checkpoint &&
                            checkpoint.error().code != ErrorCode::kNotFound &&
                            forms.empty();
  if (!side_findings && !weights_fail) {
    if (side_findings.error().code == ErrorCode::kIo) {
      context.output.StageEnd("structure", false, "");
      return verify::Unexpected(side_findings.error());
    }
    return FailedAt(context.output, "structure.side_files", path,
                    side_findings.error());
  }
  ASSIGN_OR_RETURN(StructureOutcome outcome,
                   forms.empty()
                       ? CheckOpened(std::move(checkpoint), options, context)
                       : CheckForms(forms, options, context));
  if (side_findings) outcome.num_side_findings = *side_findings;
  return outcome;
}

}  // namespace cli
