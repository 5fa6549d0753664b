// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/verify_flow.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "cli/flows/archive_flow.h"
#include "cli/flows/catalog_flow.h"
#include "cli/flows/evidence.h"
#include "cli/flows/fingerprint_flow.h"
#include "cli/flows/manifest_check.h"
#include "cli/flows/model_flow.h"
#include "cli/flows/signatures.h"
#include "cli/flows/structure_flow.h"
#include "verify/base/text.h"
#include "verify/manifest/report.h"

namespace cli {
namespace {

using verify::EscapeForTerminal;
using verify::Result;
using verify::StrCat;
using verify::TrustLevel;

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
  const bool is_archive = IsArchiveFile(options.path);
  if (is_archive) {
    ASSIGN_OR_RETURN(std::optional<verify::Error> error,
                     CheckArchive(options.path, options.archive, context));
    const bool is_whole = !error.has_value();
    if (!report.error.has_value()) report.error = std::move(error);
    if (!is_whole) return {};
    if (!WeightsWithin(options.path).has_value()) {
      WarnNotJudged(options.path, context.output);
      return {};
    }
  }
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
  // More comes out than there is memory for.
  if (is_archive && structure.error.has_value() &&
      structure.error->id == "E-COMPRESSED") {
    WarnNotJudged(options.path, context.output);
    return {};
  }
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
    auto smoke = SmokeTestModel(options.path,
                                {.num_threads = options.num_threads}, context);
    if (!smoke) report.error = std::move(smoke).error();
  }
  return {};
}

// Runs the model and compares it with the published one, unless something is
// wrong already.
void CheckDeep(const VerifyOptions& options, Context& context,
               VerifyReport& report) {
  if (!options.fingerprint.has_value() || report.error.has_value()) return;
  if (!report.structure_checked) {
    report.error = verify::Fail(verify::ErrorCode::kNotFound,
                                "--deep: there is no whole model here to run")
                       .Id("E-NO-MODEL")
                       .error();
    return;
  }
  auto deep = CheckModelFingerprint(options.path, *options.fingerprint,
                                    options.num_threads, context);
  report.fingerprint_checked = deep.has_value();
  if (!deep) report.error = std::move(deep).error();
}

// The gates that were asked for. A signature that is missing is an error of
// its own; the others are findings.
class Gates {
 public:
  Gates(const VerifyOptions& options, VerifyReport& report, Output& output)
      : options_(options), report_(report), output_(output) {}

  void Check() {
    const ContentReport& content = report_.content;
    const std::string level(verify::TrustLevelText(content.level));
    switch (options_.require) {
      case Requirement::kNone:
        break;
      case Requirement::kSha256:
        Gate("require.sha256", content.level >= TrustLevel::kSha256,
             "--require sha256: the level is \"" + level + "\"");
        break;
      case Requirement::kV2:
        Gate("require.v2", content.all_roots_right,
             "--require v2: no v2 root of a torrent proves every file");
        break;
      case Requirement::kSigned:
        NeedSignature(level);
        break;
    }
    if (options_.strict) {
      Gate("strict", report_.num_side_findings + report_.num_warnings == 0,
           StrCat("--strict: ", report_.num_side_findings,
                  " things here can be run by other programs, ",
                  report_.num_warnings, " warnings of structure and numbers"));
    }
    if (options_.fail_on_extra) {
      Gate("fail-on-extra", content.num_extra == 0,
           StrCat("--fail-on-extra: ", content.num_extra,
                  " files that no source names"));
    }
    if (options_.fail_on_missing) {
      Gate("fail-on-missing", content.num_missing == 0,
           StrCat("--fail-on-missing: ", content.num_missing,
                  " files are not here"));
    }
  }

 private:
  void Gate(std::string_view id, bool ok, std::string text) {
    output_.Event("check", {{"id", StrCat("gate.", id)},
                            {"level", "gate"},
                            {"status", ok ? "pass" : "fail"},
                            {"subject", options_.path},
                            {"detail", ok ? "" : text},
                            {"evidence", Fields::object()}});
    if (ok) return;
    output_.Say("FAIL  " + text);
    report_.findings.push_back(std::move(text));
  }

  void NeedSignature(const std::string& level) {
    const bool is_signed = report_.content.level == TrustLevel::kTrustedKey;
    Gate("require.signed", is_signed,
         "--require signed: the level is \"" + level + "\"");
    if (is_signed || report_.error.has_value()) return;
    verify::Error error;
    error.code = verify::ErrorCode::kUntrusted;
    error.id = "E-UNSIGNED";
    error.message = StrCat("no key that you trust signed all of \"",
                           EscapeForTerminal(options_.path),
                           "\": the level is \"", level, "\"");
    error.hint =
        "get the signature and the key of the publisher; `lodestone keys "
        "trust` makes a key count";
    report_.error = std::move(error);
  }

  const VerifyOptions& options_;
  VerifyReport& report_;
  Output& output_;
};

// The options of the content check, with all sources that there are.
Result<ContentOptions> GatherSources(const VerifyOptions& options,
                                     Context& context) {
  ContentOptions content;
  content.path = options.path;
  content.torrent = options.torrent;
  content.pieces_proven = options.pieces_proven;
  content.num_threads = options.num_threads;
  content.hashing = options.hashing;
  content.cut_pieces_proven = options.cut_pieces_proven;
  content.brief = options.brief;
  if (!content.torrent.has_value() && options.find_torrent) {
    content.torrent = TorrentStore::Default().FindForPath(options.path);
  }
  // What was named is compared.
  content.pieces_only = options.level == VerifyLevel::kPieces &&
                        content.torrent.has_value() && options.evidence.empty();
  content.evidence = options.evidence;
  content.source_files = options.source_files;
  if (content.pieces_only) return content;
  ASSIGN_OR_RETURN(FoundEvidence found,
                   FindEvidence(options.path, context.output));
  std::move(found.evidence.begin(), found.evidence.end(),
            std::back_inserter(content.evidence));
  std::move(found.source_files.begin(), found.source_files.end(),
            std::back_inserter(content.source_files));
  return content;
}

}  // namespace

Result<VerifyReport> RunVerify(const VerifyOptions& options, Context& context) {
  ASSIGN_OR_RETURN(ContentOptions content, GatherSources(options, context));
  // What the catalogue says of this torrent is one more source.
  std::vector<std::string> ignored;
  const p2p::Catalog catalog = LoadCatalog(ignored);
  const p2p::CatalogEntry* entry =
      content.torrent.has_value() && !content.pieces_only
          ? catalog.FindByHash(content.torrent->metainfo.info_hashes)
          : nullptr;
  if (entry != nullptr) content.evidence.push_back(EvidenceOf(*entry));
  SignatureReport signatures;
  if (options.level >= VerifyLevel::kSignature) {
    ASSIGN_OR_RETURN(signatures,
                     CheckSignatures({.path = options.path,
                                      .signature_file = options.signature_file,
                                      .keys = options.keys},
                                     context));
    std::move(signatures.evidence.begin(), signatures.evidence.end(),
              std::back_inserter(content.evidence));
    content.source_files.insert(content.source_files.end(),
                                signatures.source_files.begin(),
                                signatures.source_files.end());
  }
  ManifestReport manifest;
  if (!options.manifest_file.empty()) {
    ASSIGN_OR_RETURN(manifest, CheckNamedManifest(options.manifest_file,
                                                  options.keys, context));
  } else if (!content.pieces_only) {
    const std::string kept =
        content.torrent.has_value()
            ? TorrentStore::Default().ManifestPath(content.torrent->metainfo)
            : std::string();
    ASSIGN_OR_RETURN(manifest,
                     CheckManifest(options.path, kept, options.keys, context));
  }
  if (manifest.evidence.has_value()) {
    content.evidence.push_back(*std::move(manifest.evidence));
  }
  VerifyReport report;
  ASSIGN_OR_RETURN(report.content, CheckContent(content, context));
  if (entry != nullptr) {
    RETURN_IF_ERROR(
        TryUnconfirmedSums(*entry, options.path, report.content, context));
  }
  // Wrong bytes are the thing to say; a signature that is no good comes next.
  // A link in place of a signed file explains what else is missing.
  report.error = report.content.error;
  if (signatures.error.has_value() &&
      (!report.error.has_value() || signatures.error->id == "E-SYMLINK")) {
    report.error = signatures.error;
  }
  if (!report.error.has_value()) report.error = manifest.error;
  if (options.level >= VerifyLevel::kStructure) {
    const bool partial =
        content.torrent.has_value() && content.torrent->partial.has_value();
    RETURN_IF_ERROR(CheckModel(options, partial, context, report));
  }
  CheckDeep(options, context, report);
  if (!report.error.has_value()) {
    report.error = ChangedSince(report.content.hashed);
  }
  report.torrent = std::move(content.torrent);
  Gates(options, report, context.output).Check();
  if (report.error.has_value()) {
    report.code = ExitCodeFor(*report.error);
  } else if (!report.findings.empty()) {
    report.code = ExitCode::kFindings;
  }
  // From now on an older one by this key is refused.
  if (report.code == ExitCode::kOk && manifest.seen.has_value()) {
    RETURN_IF_ERROR(SeenManifests::Default().Record(*manifest.seen));
  }
  return report;
}

}  // namespace cli
