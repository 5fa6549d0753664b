// SPDX-License-Identifier: Apache-2.0
// Is this local copy right? One read of every file for all digests, then the
// structure of the model, its numbers and, if asked, a smoke test.
// Tested by tests/scripts and tests/cli/flows/verify_flow_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/flows/content_check.h"
#include "cli/state/torrent_store.h"
#include "p2p/metainfo.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace cli {

// Each level includes those before it.
enum class VerifyLevel { kPieces, kChecksums, kStructure, kNumeric, kSmoke };

struct VerifyOptions {
  std::string path;
  // Torrent to check against; nothing: found by the torrent store.
  std::optional<KnownTorrent> torrent;
  bool find_torrent = true;
  VerifyLevel level = VerifyLevel::kNumeric;
  bool fail_on_extra = false;
  bool strict = false;  // exit 10 for what is beside the weights, and warnings
  std::string tensor_stats;    // file for statistics of every tensor, or empty
  bool pieces_proven = false;  // as in ContentOptions
  size_t num_threads = 0;
  bool cut_pieces_proven = false;  // as ContentOptions has it
};

struct VerifyReport {
  ContentReport content;
  bool structure_checked = false;  // and found right
  size_t num_side_findings = 0;    // as StructureOutcome has it
  size_t num_warnings = 0;         // the same
  ExitCode code = ExitCode::kOk;
  // What `code` stands for, for callers that stop at it.
  std::optional<verify::Error> error;
};

// Reports every file, check and stage to `context.output` as it goes.
// Errors: kNotFound, kIo, kCancelled; what is wrong with the content is in the
// report.
verify::Result<VerifyReport> RunVerify(const VerifyOptions& options,
                                       Context& context);

}  // namespace cli
