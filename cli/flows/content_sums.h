// SPDX-License-Identifier: Apache-2.0
// What the evidence says of the files that were hashed, and what it says
// nothing of. Internal to content_check.
#pragma once

#include <string_view>

#include "cli/flows/content_plan.h"

namespace cli {

// The file gains that level by that source, if it had less.
void RaiseLevel(verify::TrustLevel level, std::string_view source,
                FileVerdict& verdict);

// Presence, size, and all statements about one file.
void JudgeFile(const verify::FileDigests& digests, const ContentPlan& plan,
               FileVerdict& verdict);

// Once all files are judged: those that no source names, and those that a
// signed source should name. Sets the level of the whole and `report.error`
// for the latter.
void JudgeCoverage(ContentPlan& plan, Output& output);

}  // namespace cli
