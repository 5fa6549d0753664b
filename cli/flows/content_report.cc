// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/content_report.h"

#include <fmt/core.h>

#include "verify/base/text.h"
#include "verify/manifest/report.h"

namespace cli {
namespace {

using verify::EscapeForTerminal;
using verify::FileOutcome;

constexpr size_t kMaxPrintedRanges = 8;

// The word of the event schema for an outcome.
std::string_view StatusOf(FileOutcome outcome) {
  switch (outcome) {
    case FileOutcome::kOk:
      return "ok";
    case FileOutcome::kMissing:
      return "missing";
    case FileOutcome::kExtra:
      return "extra";
    case FileOutcome::kLeftOut:
      return "left_out";
    case FileOutcome::kMismatch:
    case FileOutcome::kWrongSize:
    case FileOutcome::kUnreadable:
      return "mismatch";
  }
  return "mismatch";
}

void EmitFile(const FileVerdict& file, Output& output) {
  Fields pieces = Fields::array();
  Fields ranges = Fields::array();
  for (const DamagedRange& range : file.damage) {
    pieces.push_back(range.piece);
    ranges.push_back({{"piece", range.piece},
                      {"begin", range.begin},
                      {"end", range.end},
                      {"tensors", range.tensors}});
  }
  output.Event("file", {{"path", file.report.name},
                        {"bytes", file.report.size_bytes},
                        {"sha256", file.sha256},
                        {"status", StatusOf(file.report.outcome)},
                        {"expected", file.expected},
                        {"level", verify::TrustLevelName(file.report.level)},
                        {"detail", file.report.detail},
                        {"bad_pieces", pieces},
                        {"damage", ranges}});
}

void SayDamage(const FileVerdict& file, std::string_view name, Output& output) {
  output.Say(fmt::format("FAIL  {}  {}", name, file.report.detail));
  for (size_t i = 0; i < file.damage.size(); ++i) {
    if (i == kMaxPrintedRanges) {
      output.Say(fmt::format("        ... and {} more pieces",
                             file.damage.size() - i));
      return;
    }
    const DamagedRange& range = file.damage[i];
    output.Say(fmt::format("        piece {}: bytes {} to {}{}", range.piece,
                           range.begin, range.end - 1,
                           TensorList(range.tensors)));
  }
}

}  // namespace

std::string TensorList(const std::vector<std::string>& tensors) {
  constexpr size_t kMaxNamed = 4;
  std::string text;
  for (size_t i = 0; i < tensors.size() && i < kMaxNamed; ++i) {
    text += (i == 0 ? "; tensor " : ", ") + EscapeForTerminal(tensors[i], 120);
  }
  if (tensors.size() > kMaxNamed) {
    text += fmt::format(", and {} more", tensors.size() - kMaxNamed);
  }
  return text;
}

void ReportFiles(ContentReport& report, Output& output) {
  verify::VerifyReport listed;
  for (const FileVerdict& file : report.files) {
    if (file.report.outcome != FileOutcome::kExtra) {
      listed.files.push_back(file.report);
    }
    EmitFile(file, output);
    const std::string name = EscapeForTerminal(file.report.name, 200);
    switch (file.report.outcome) {
      case FileOutcome::kOk:
        output.Say(fmt::format(
            "ok    {}  {}{}", name, verify::TrustLevelText(file.report.level),
            file.report.detail.empty()
                ? ""
                : "; " + EscapeForTerminal(file.report.detail)));
        break;
      case FileOutcome::kExtra:
        output.Say(fmt::format("extra {}  not in the torrent", name));
        break;
      case FileOutcome::kLeftOut:
        output.Say(fmt::format("--    {}  left out on purpose", name));
        break;
      case FileOutcome::kMismatch:
      case FileOutcome::kMissing:
      case FileOutcome::kWrongSize:
      case FileOutcome::kUnreadable:
        SayDamage(file, name, output);
        break;
    }
  }
  report.level = listed.level();
}

}  // namespace cli
