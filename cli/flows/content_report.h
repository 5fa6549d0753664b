// SPDX-License-Identifier: Apache-2.0
// Says what was found of each file: events for programs, lines for people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/flows/content_check.h"
#include "cli/output.h"

namespace cli {

// The word of the event schema for an outcome.
std::string_view StatusOf(verify::FileOutcome outcome);

// What the event of a file says, and a report.
Fields FieldsOf(const FileVerdict& file);

// Reports every file; `brief`: no line for people on one that is right.
void ReportFiles(const ContentReport& report, bool brief, Output& output);

// "; tensor a, b, and 3 more", escaped; empty for none.
std::string TensorList(const std::vector<std::string>& tensors);

}  // namespace cli
