// SPDX-License-Identifier: Apache-2.0
// What `chat --experts` shows of an answer: an event, or a table for people.
// Tested by tests/cli/chat/expert_table_test.cc.
#pragma once

#include <string>
#include <vector>

#include "cli/output.h"
#include "inference/generate/expert_trace.h"

namespace cli {

// The fields of the `experts` event.
Fields ExpertFields(const inference::ExpertTrace& trace, uint64_t top_k);

// A line for each layer under a heading: a bar for each expert, as high as its
// share is of the largest, then figures. `unicode`: bars; else digits 0 to 8.
std::vector<std::string> ExpertTable(const inference::ExpertTrace& trace,
                                     uint64_t top_k, bool unicode);

// Whether the user's locale says that the terminal shows UTF-8.
bool LocaleIsUtf8();

}  // namespace cli
