// SPDX-License-Identifier: Apache-2.0
// The instruct templates as texts for programs that render them: what a GGUF
// file says in "tokenizer.chat_template". Lodestone never renders one; it knows
// its own again and builds prompts by itself (chat_template.h).
// Tested by tests/inference/text/template_text_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "inference/text/chat_template.h"
#include "inference/text/tokenizer.h"

namespace inference {

// Jinja for turns of system, user and assistant, in the order that ChatPrompt
// takes. A control piece is followed by its text without a space: tokenizers of
// SentencePiece put their own there.
std::string TemplateText(InstructVersion version);

// "v3" if it is what TemplateText gives for a version of that release, to the
// letter; nothing for templates of others.
std::optional<std::string_view> ReleaseOfTemplate(std::string_view text);

// The template that is known to belong to a vocabulary, since its file states
// its version or it has the control piece [INST]. Nothing for others: many
// vocabularies without control pieces are of models that know no turns.
std::optional<InstructVersion> KnownInstructVersion(const Tokenizer& tokenizer);

}  // namespace inference
