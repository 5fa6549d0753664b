// SPDX-License-Identifier: Apache-2.0
// Says what was found of each file: events for programs, lines for people.
#pragma once

#include <string>
#include <vector>

#include "cli/flows/content_check.h"
#include "cli/output.h"

namespace cli {

// Reports every file and sets `report.level` to the weakest of the listed.
void ReportFiles(ContentReport& report, Output& output);

// "; tensor a, b, and 3 more", escaped; empty for none.
std::string TensorList(const std::vector<std::string>& tensors);

}  // namespace cli
