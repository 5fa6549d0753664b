// SPDX-License-Identifier: Apache-2.0
// Turns of a conversation to prompt ids: Mistral's instruct templates and
// ChatML, on tokens (docs/formats/chat_template.md). No template from a file is
// ever rendered. Tested by tests/inference/text/chat_template_test.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inference/text/tokenizer.h"
#include "verify/base/result.h"

namespace inference {

enum class Role { kSystem, kUser, kAssistant };

struct ChatTurn {
  Role role = Role::kUser;
  std::string text;
};

// Of the later versions 11 and 13 differ from 7 in tools alone, which are not
// part of these turns.
enum class InstructVersion { kV1, kV2, kV3, kV3Tekken, kV7, kChatMl };
std::string_view InstructVersionName(InstructVersion version);

// The version that the tokenizer's file states, else the one that its control
// pieces belong to: none of them v1, [INST] v3 (v2 differs in tools alone),
// [SYSTEM_PROMPT] v7, <|im_start|> ChatML (Qwen). Errors: kUnsupported,
// E-TEMPLATE (a version that is not known, or a vocabulary of another family).
verify::Result<InstructVersion> ChooseInstructVersion(
    const Tokenizer& tokenizer);

// Ids of the whole conversation, BOS first, ready for the assistant to go on.
// ChatML has a BOS only where the vocabulary puts one before every text.
// A system turn may stand first, with v7 and ChatML before any user turn; else
// user and assistant alternate and the last turn is the user's (else
// kInvalidArgument). Turns of the same role in a row are joined with an empty
// line. Control pieces written in a turn are text. kUnsupported, E-TEMPLATE:
// the vocabulary lacks a piece of the template.
verify::Result<std::vector<TokenId>> ChatPrompt(
    const Tokenizer& tokenizer, InstructVersion version,
    std::span<const ChatTurn> turns);

}  // namespace inference
