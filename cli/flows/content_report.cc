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
constexpr size_t kMaxDetailBytes = 1024;

void SayDamage(const FileVerdict& file, std::string_view name, Output& output) {
  output.Say(
      fmt::format("FAIL  {}  {}", name,
                  EscapeForTerminal(file.report.detail, kMaxDetailBytes)));
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

void SayFile(const FileVerdict& file, Output& output) {
  const std::string name = EscapeForTerminal(file.report.name, 200);
  const std::string detail =
      file.report.detail.empty()
          ? ""
          : "; " + EscapeForTerminal(file.report.detail, kMaxDetailBytes);
  switch (file.report.outcome) {
    case FileOutcome::kOk:
      // What nothing vouches for can at least be compared by hand.
      output.Say(
          fmt::format("ok    {}  {}{}{}", name,
                      verify::TrustLevelText(file.report.level), detail,
                      file.report.level == verify::TrustLevel::kUnverified &&
                              !file.sha256.empty()
                          ? "; sha256 " + file.sha256
                          : ""));
      break;
    case FileOutcome::kExtra:
      output.Say(fmt::format("extra {}  {}", name,
                             file.report.detail.empty()
                                 ? "no source names it: unsigned"
                                 : detail.substr(2)));
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

}  // namespace

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

Fields FieldsOf(const FileVerdict& file) {
  Fields pieces = Fields::array();
  Fields ranges = Fields::array();
  for (const DamagedRange& range : file.damage) {
    pieces.push_back(range.piece);
    ranges.push_back({{"piece", range.piece},
                      {"begin", range.begin},
                      {"end", range.end},
                      {"tensors", range.tensors}});
  }
  Fields digests = Fields::object();
  for (const verify::ComputedDigest& digest : file.digests) {
    digests[std::string(verify::SumAlgorithmName(digest.algorithm))] =
        verify::HexEncode(digest.bytes);
  }
  return {{"path", file.report.name},
          {"bytes", file.report.size_bytes},
          {"sha256", file.sha256},
          {"cached", file.cached},
          {"status", StatusOf(file.report.outcome)},
          {"expected", file.expected},
          {"level", verify::TrustLevelName(file.report.level)},
          {"detail", file.report.detail},
          {"source", file.source},
          {"signer_key", file.signer_key},
          {"signer_name", file.signer_name},
          {"digests", digests},
          {"bad_pieces", pieces},
          {"damage", ranges}};
}

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

void ReportFiles(const ContentReport& report, bool brief, Output& output) {
  for (const FileVerdict& file : report.files) {
    output.Event("file", FieldsOf(file));
    if (brief && file.report.outcome == FileOutcome::kOk) continue;
    SayFile(file, output);
  }
}

}  // namespace cli
