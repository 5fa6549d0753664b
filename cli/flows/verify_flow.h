// SPDX-License-Identifier: Apache-2.0
// Is this local copy right? One read of every file for all digests, then the
// structure of the model, its numbers and, if asked, a smoke test.
// Tested by tests/scripts: verify_*.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/flows/content_check.h"
#include "cli/state/torrent_store.h"
#include "inference/eval/fingerprint.h"
#include "p2p/metainfo.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/container/archive.h"
#include "verify/manifest/evidence.h"

namespace cli {

// Each level includes those before it.
enum class VerifyLevel {
  kPieces,
  kChecksums,
  kSignature,
  kStructure,
  kNumeric,
  kSmoke
};

// What a copy has to reach for exit code 0; a gate that was asked for.
enum class Requirement { kNone, kSha256, kV2, kSigned };

struct VerifyOptions {
  std::string path;
  // Torrent to check against; nothing: found by the torrent store.
  std::optional<KnownTorrent> torrent;
  bool find_torrent = true;
  // What the user named, besides what lies in and beside the folder.
  std::vector<verify::Evidence> evidence;
  std::vector<std::string> source_files;
  // A signature that lies elsewhere, and keys to accept besides those kept.
  std::string signature_file;
  std::string manifest_file;  // the same of a manifest
  std::vector<std::string> keys;
  VerifyLevel level = VerifyLevel::kNumeric;
  Requirement require = Requirement::kNone;
  bool strict = false;  // findings beside the weights are findings
  // Run the model and compare with this; the level is at least kStructure.
  std::optional<inference::Fingerprint> fingerprint;
  bool fail_on_extra = false;
  bool fail_on_missing = false;  // also what was left out on purpose
  std::string tensor_stats;      // file for statistics, or empty
  bool pieces_proven = false;    // as in ContentOptions
  bool brief = false;            // as in ContentOptions
  size_t num_threads = 0;
  HashingOptions hashing;
  // If it is an archive.
  verify::ArchiveOptions archive;
  bool cut_pieces_proven = false;  // as ContentOptions has it
};

struct VerifyReport {
  ContentReport content;
  std::optional<KnownTorrent> torrent;  // what it was checked against
  bool structure_checked = false;       // and found right
  bool fingerprint_checked = false;     // the same
  size_t num_side_findings = 0;         // as StructureOutcome has it
  size_t num_warnings = 0;              // the same
  // Gates that were asked for and failed, in words.
  std::vector<std::string> findings;
  ExitCode code = ExitCode::kOk;
  // What `code` stands for, for callers that stop at it; none for findings.
  std::optional<verify::Error> error;
};

// Reports every file, check and stage to `context.output` as it goes.
// Errors: kNotFound, kIo, kCancelled; what is wrong with the content is in the
// report.
verify::Result<VerifyReport> RunVerify(const VerifyOptions& options,
                                       Context& context);

}  // namespace cli
