// SPDX-License-Identifier: Apache-2.0
// Writes reports of a check to files: a page (*.html) or a document (*.json).
// A former report is replaced; nothing else ever is.
// Tested by tests/scripts/verify_report.py.
#pragma once

#include <string>
#include <vector>

#include "cli/output.h"
#include "verify/base/result.h"

namespace cli {

// Before the work begins: the kinds are known, and nothing is in the way.
// Errors: kInvalidArgument (E-USAGE: neither .html nor .json), kIo (E-EXISTS:
// something else than a report is there), kNotFound (no such folder).
verify::Result<void> CheckReportPaths(const std::vector<std::string>& paths);

// `document` as ReportDocument made it. Errors: as above, kIo.
verify::Result<void> WriteReports(const Fields& document,
                                  const std::vector<std::string>& paths);

}  // namespace cli
