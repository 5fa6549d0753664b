// SPDX-License-Identifier: Apache-2.0
// What the pieces and roots of a torrent say of the files that were hashed.
// Internal to content_check.
#pragma once

#include <cstdint>
#include <vector>

#include "cli/flows/content_plan.h"

namespace cli {

// Marks what was left out of a partial copy, turns bad pieces into ranges of
// files and raises the level of what they prove. Requires that presence and
// sums of the torrent's files were judged. Returns the pieces that are bad,
// ascending, without those that cannot be hashed because a file of them was
// left out.
std::vector<uint32_t> JudgePieces(const verify::HashOutcome& outcome,
                                  ContentPlan& plan);

// A file's v2 root proves it by itself. Sets `report.all_roots_right`.
void JudgeRoots(const verify::HashOutcome& outcome, ContentPlan& plan);

}  // namespace cli
