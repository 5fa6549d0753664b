// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/verify_flow.h"

#include <utility>

#include "cli/flows/catalog_flow.h"
#include "cli/flows/model_flow.h"
#include "cli/flows/structure_flow.h"

namespace cli {
namespace {

using verify::Result;

// Whether a file here is another one than the published, not a damaged copy.
bool IsReplaced(const ContentReport& content) {
  for (const FileVerdict& file : content.files) {
    if (!file.damage.empty() &&
        file.published_bytes == file.report.size_bytes) {
      return false;
    }
  }
  return true;
}

// Fills in what structure, numbers and smoke test say.
Result<void> CheckModel(const VerifyOptions& options, bool partial,
                        Context& context, VerifyReport& report) {
  // Numbers of a copy that differs from what was published say nothing.
  const bool content_ok = !report.content.error.has_value();
  const bool numeric = options.level >= VerifyLevel::kNumeric && content_ok;
  ASSIGN_OR_RETURN(const StructureOutcome structure,
                   CheckModelStructure({.path = options.path,
                                        .numeric = numeric,
                                        .num_threads = options.num_threads,
                                        .tensor_stats = options.tensor_stats},
                                       context));
  report.structure_checked = structure.checked && !structure.error.has_value();
  report.num_side_findings = structure.num_side_findings;
  report.num_warnings = structure.num_warnings;
  // Part of a model need not hold all that it takes to read it.
  if (structure.error.has_value() && partial &&
      structure.error->code == verify::ErrorCode::kNotFound) {
    return {};
  }
  if (structure.error.has_value()) {
    // Wrong bytes explain a broken structure, and are the thing to say. But a
    // program in place of weights is worse than wrong bytes, unless the file
    // is so alike the published one that damage explains it.
    const bool unsafe = structure.error->id.starts_with("E-PICKLE");
    if (content_ok || (unsafe && IsReplaced(report.content))) {
      report.error = structure.error;
    }
    return {};
  }
  if (options.level >= VerifyLevel::kSmoke && report.structure_checked &&
      content_ok) {
    auto smoke = SmokeTestModel(options.path, options.num_threads, context);
    if (!smoke) report.error = std::move(smoke).error();
  }
  return {};
}

}  // namespace

Result<VerifyReport> RunVerify(const VerifyOptions& options, Context& context) {
  ContentOptions content;
  content.path = options.path;
  content.torrent = options.torrent;
  content.pieces_proven = options.pieces_proven;
  content.num_threads = options.num_threads;
  content.pieces_only = options.level == VerifyLevel::kPieces;
  content.cut_pieces_proven = options.cut_pieces_proven;
  if (!content.torrent.has_value() && options.find_torrent) {
    content.torrent = TorrentStore::Default().FindForPath(options.path);
  }
  // What the catalogue says of this torrent is one more list.
  std::vector<std::string> ignored;
  const p2p::Catalog catalog = LoadCatalog(ignored);
  const p2p::CatalogEntry* entry =
      content.torrent.has_value() && !content.pieces_only
          ? catalog.FindByHash(content.torrent->metainfo.info_hashes)
          : nullptr;
  if (entry != nullptr) content.sums = SumsOf(*entry);
  VerifyReport report;
  ASSIGN_OR_RETURN(report.content, CheckContent(content, context));
  if (entry != nullptr) {
    RETURN_IF_ERROR(
        TryUnconfirmedSums(*entry, options.path, report.content, context));
  }
  report.error = report.content.error;
  if (options.level >= VerifyLevel::kStructure) {
    const bool partial =
        content.torrent.has_value() && content.torrent->partial.has_value();
    RETURN_IF_ERROR(CheckModel(options, partial, context, report));
  }
  if (report.error.has_value()) {
    report.code = ExitCodeFor(*report.error);
  } else if ((options.fail_on_extra && report.content.num_extra > 0) ||
             (options.strict &&
              report.num_side_findings + report.num_warnings > 0)) {
    report.code = ExitCode::kFindings;
  }
  return report;
}

}  // namespace cli
