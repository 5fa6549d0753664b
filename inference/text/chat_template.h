// SPDX-License-Identifier: Apache-2.0
// Turns of a conversation to prompt ids: Mistral's instruct template v1, on
// tokens (docs/formats/chat_template.md). No template from a file is ever
// rendered. Tested by tests/inference/text/chat_template_test.cc.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "inference/text/tokenizer.h"
#include "verify/base/result.h"

namespace inference {

enum class Role { kSystem, kUser, kAssistant };

struct ChatTurn {
  Role role = Role::kUser;
  std::string text;
};

// Ids of the whole conversation, BOS first, ready for the assistant to go on.
// A system turn may stand first; user and assistant alternate and the last
// turn is the user's (else kInvalidArgument). Turns of the same role in a row
// are joined with an empty line.
verify::Result<std::vector<TokenId>> ChatPromptV1(
    const Tokenizer& tokenizer, std::span<const ChatTurn> turns);

}  // namespace inference
