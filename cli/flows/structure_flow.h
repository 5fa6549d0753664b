// SPDX-License-Identifier: Apache-2.0
// Opens the weights of a folder without executing anything and compares them
// with their configuration: the stages "structure" and "numeric".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/context.h"
#include "verify/base/result.h"
#include "verify/structure/structure_check.h"

namespace cli {

// Reports the findings from the one at `first` on as checks of `level`; an
// error that sums them up if one is fatal.
std::optional<verify::Error> ReportFindings(
    const verify::StructureReport& report, size_t first, std::string_view level,
    Context& context);

struct StructureOutcome {
  // False if the folder holds no weights that Lodestone reads.
  bool checked = false;
  // What is wrong, if something is: kCorrupt, kLimit, kUnsupported, kNotFound
  // (a configuration is missing).
  std::optional<verify::Error> error;
  // What lies beside the weights and a strict check does not let pass.
  size_t num_side_findings = 0;
  // What is legal but suspicious in structure and numbers.
  size_t num_warnings = 0;
};

struct StructureOptions {
  std::string path;      // a model folder or a weights file
  bool numeric = false;  // also read every tensor
  size_t num_threads = 0;
  // With numeric: where to write statistics of every tensor, as JSON
  // (docs/formats/tensor_stats.md); empty: nowhere.
  std::string tensor_stats;
};

// A folder that holds the same model in two forms (consolidated and sharded) is
// checked form by form.
// Errors: kCancelled, kIo.
verify::Result<StructureOutcome> CheckModelStructure(
    const StructureOptions& options, Context& context);

}  // namespace cli
