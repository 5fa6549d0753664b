// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/repl.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <utility>

#include "cli/chat/line_editor.h"
#include "cli/signals.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using inference::Role;
using inference::TokenId;
using verify::Result;

constexpr uint64_t kDefaultContext = 4096;

constexpr std::string_view kHelp =
    "/clear  forget the conversation    /help  this    /exit  leave (or "
    "Ctrl-D)\n"
    "\"\"\"     begins and ends a text of several lines; Ctrl-C stops an "
    "answer";

}  // namespace

Result<Conversation> Conversation::Create(const inference::Model& model,
                                          const ChatOptions& options) {
  ChatOptions filled = options;
  if (filled.context_tokens == 0) {
    filled.context_tokens =
        std::min(kDefaultContext, model.config().context_len);
  }
  ASSIGN_OR_RETURN(inference::Session session,
                   inference::Session::Create(model, filled.context_tokens));
  auto version = inference::InstructVersion::kV1;
  if (!filled.raw) {
    ASSIGN_OR_RETURN(version,
                     inference::ChooseInstructVersion(model.tokenizer()));
  }
  Conversation conversation(model, std::move(session), filled, version);
  conversation.Clear();
  return conversation;
}

void Conversation::Clear() {
  turns_.clear();
  if (!options_.system.empty()) {
    turns_.push_back({Role::kSystem, options_.system});
  }
}

Result<std::vector<TokenId>> Conversation::PromptIds(const std::string& text) {
  if (!options_.raw) {
    turns_.push_back({Role::kUser, text});
    return inference::ChatPrompt(model_->tokenizer(), version_, turns_);
  }
  return model_->tokenizer().EncodePrompt(text);
}

Result<inference::GenerateOutcome> Conversation::Ask(
    const std::string& text, const verify::CancelToken& cancel,
    Output& output) {
  ASSIGN_OR_RETURN(const std::vector<TokenId> ids, PromptIds(text));
  if (ids.size() >= options_.context_tokens) {
    if (!options_.raw) turns_.pop_back();
    return verify::Fail(verify::ErrorCode::kLimit,
                        verify::StrCat("the conversation has ", ids.size(),
                                       " tokens, the context holds ",
                                       options_.context_tokens))
        .Id("E-CONTEXT")
        .Hint("give a larger --ctx, or begin anew with /clear");
  }
  // What the session holds already need not run again; the last token must,
  // for its logits.
  size_t common = 0;
  while (common < seen_.size() && common + 1 < ids.size() &&
         seen_[common] == ids[common]) {
    ++common;
  }
  if (!session_.Rewind(common)) {
    common = 0;
    CHECK(session_.Rewind(0));
  }
  seen_.clear();
  auto outcome = inference::Generate(
      *model_, session_, std::span(ids).subspan(common), options_.generate,
      cancel, [&](TokenId id, const std::string& part, float logprob) {
        output.Event("token",
                     {{"text", part}, {"id", id}, {"logprob", logprob}});
        output.PrintPart(part);
      });
  if (!outcome) {
    CHECK(session_.Rewind(0));
    return outcome;
  }
  // The session holds the prompt and those answer tokens that were run; the
  // last one may only have been sampled.
  seen_ = ids;
  for (const TokenId id : outcome->ids) {
    if (seen_.size() >= session_.position()) break;
    seen_.push_back(id);
  }
  if (!options_.raw) turns_.push_back({Role::kAssistant, outcome->text});
  return outcome;
}

Result<CommandResult> RunRepl(const inference::Model& model,
                              const ChatOptions& options, Context& context) {
  ASSIGN_OR_RETURN(Conversation conversation,
                   Conversation::Create(model, options));
  context.output.Say(std::string(kHelp));
  LineEditor editor("> ");
  CommandResult result;
  uint64_t answers = 0;
  while (auto line = editor.ReadMessage()) {
    const std::string text(verify::TrimAscii(*line));
    if (text.empty()) continue;
    if (text == "/exit" || text == "/quit") break;
    if (text == "/help") {
      context.output.Say(std::string(kHelp));
      continue;
    }
    if (text == "/clear") {
      conversation.Clear();
      context.output.Say("forgotten");
      continue;
    }
    // Ctrl-C stops this answer, not the program.
    const ScopedInterrupt interrupt;
    auto outcome = conversation.Ask(text, interrupt.token(), context.output);
    context.output.PrintPart("\n");
    if (!outcome) {
      context.output.Error(outcome.error());
      continue;
    }
    ++answers;
    if (options.stats) {
      context.output.Say(
          fmt::format("{} + {} tokens, {:.1f} tokens/s", outcome->prompt_tokens,
                      outcome->ids.size(),
                      static_cast<double>(outcome->ids.size()) /
                          std::max(1e-9, outcome->generate_seconds)));
    }
    if (context.output.failed()) break;
  }
  result.summary["answers"] = answers;
  if (SignalExitCode().has_value()) result.code = *SignalExitCode();
  return result;
}

}  // namespace cli
