// SPDX-License-Identifier: Apache-2.0
// The turns of a conversation as the note of a session file: JSON, section 3
// of docs/formats/session.md. Tested by tests/cli/chat/saved_turns_test.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inference/text/chat_template.h"
#include "verify/base/result.h"

namespace cli {

std::string WriteTurns(const std::vector<inference::ChatTurn>& turns);

// An empty note has no turns. Errors: kCorrupt or kLimit, E-SESSION (not the
// JSON that WriteTurns writes).
verify::Result<std::vector<inference::ChatTurn>> ReadTurns(
    std::string_view note);

}  // namespace cli
