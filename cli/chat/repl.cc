// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/repl.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "cli/chat/expert_table.h"
#include "cli/chat/line_editor.h"
#include "cli/chat/saved_turns.h"
#include "cli/signals.h"
#include "inference/model/session_file.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using inference::ChatTurn;
using inference::Role;
using inference::SessionFile;
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
                                          const ChatOptions& options,
                                          Output& output) {
  ChatOptions filled = options;
  if (filled.context_tokens == 0) {
    filled.context_tokens =
        std::min(kDefaultContext, model.config().context_len);
  }
  auto version = inference::InstructVersion::kV1;
  if (!filled.raw) {
    ASSIGN_OR_RETURN(version,
                     inference::ChooseInstructVersion(model.tokenizer()));
  }
  std::vector<ChatTurn> turns;
  std::optional<inference::Session> session;
  if (!filled.session_path.empty()) {
    auto loaded =
        SessionFile::Load(model, filled.session_path, filled.context_tokens);
    if (loaded) {
      ASSIGN_OR_RETURN(turns, ReadTurns(loaded->note));
      session = std::move(loaded->session);
      output.Say(fmt::format("going on after {} tokens of {}",
                             session->position(), filled.session_path));
    } else if (loaded.error().code != verify::ErrorCode::kNotFound) {
      return verify::Unexpected(std::move(loaded).error());
    }
  }
  if (!session.has_value()) {
    ASSIGN_OR_RETURN(session,
                     inference::Session::Create(model, filled.context_tokens));
  }
  Conversation conversation(model, std::move(*session), filled, version);
  conversation.SetTurns(std::move(turns));
  if (filled.experts && model.config().is_moe()) {
    conversation.trace_ =
        std::make_unique<inference::ExpertTrace>(model.config());
  } else if (filled.experts) {
    output.Warning("NO_EXPERTS", "a dense model has no experts to show");
  }
  return conversation;
}

void Conversation::Clear() { SetTurns({}); }

// An instruction that is given now takes the place of an earlier one.
void Conversation::SetTurns(std::vector<ChatTurn> turns) {
  turns_ = std::move(turns);
  if (options_.system.empty()) return;
  if (turns_.empty() || turns_[0].role != Role::kSystem) {
    turns_.insert(turns_.begin(), {Role::kSystem, {}});
  }
  turns_[0].text = options_.system;
}

Result<void> Conversation::Save() const {
  if (options_.session_path.empty()) return {};
  return SessionFile::Save(session_, options_.session_path, WriteTurns(turns_));
}

Result<std::vector<TokenId>> Conversation::PromptIds(const std::string& text) {
  if (!options_.raw) {
    turns_.push_back({Role::kUser, text});
    return inference::ChatPrompt(model_->tokenizer(), version_, turns_);
  }
  return model_->tokenizer().EncodePrompt(text);
}

void Conversation::HandOn(TokenId id, const std::string& text, float logprob,
                          Output& output) const {
  Fields fields = {{"text", text}, {"id", id}, {"logprob", logprob}};
  if (id == inference::kNoToken) fields["id"] = nullptr;
  if (trace_ != nullptr) fields["routes"] = trace_->last_routes();
  output.Event("token", fields);
  output.PrintPart(text);
}

void Conversation::ShowExperts(Output& output) const {
  if (trace_ == nullptr) return;
  const uint64_t top_k = model_->config().num_experts_per_token;
  output.Event("experts", ExpertFields(*trace_, top_k));
  for (const auto& line : ExpertTable(*trace_, top_k, LocaleIsUtf8())) {
    output.Say(line);
  }
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
  const auto seen = session_.tokens();
  size_t common = 0;
  while (common < seen.size() && common + 1 < ids.size() &&
         seen[common] == ids[common]) {
    ++common;
  }
  if (!session_.Rewind(common)) {
    common = 0;
    CHECK(session_.Rewind(0));
  }
  reused_tokens_ = common;
  if (trace_ != nullptr) trace_->Reset();
  ASSIGN_OR_RETURN(auto outcome,
                   inference::Generate(
                       *model_, session_, std::span(ids).subspan(common),
                       options_.generate, cancel,
                       [&](TokenId id, const std::string& part, float logprob) {
                         HandOn(id, part, logprob, output);
                       },
                       trace_.get()));
  if (!options_.raw) turns_.push_back({Role::kAssistant, outcome.text});
  return outcome;
}

std::string StatsText(const inference::Model& model,
                      const inference::GenerateOutcome& outcome) {
  std::string text = fmt::format("{} + {} tokens, {:.1f} tokens/s",
                                 outcome.prompt_tokens, outcome.ids.size(),
                                 static_cast<double>(outcome.ids.size()) /
                                     std::max(1e-9, outcome.generate_seconds));
  if (outcome.lookup.proposed > 0) {
    text += fmt::format(", {} of {} guessed tokens right",
                        outcome.lookup.accepted, outcome.lookup.proposed);
  }
  const uint64_t kept = outcome.prompt_tokens + outcome.ids.size();
  text += fmt::format(", {} of keys and values ({})",
                      verify::FormatSize(kept * model.kv_bytes_per_token()),
                      inference::KvTypeName(model.kv_type()));
  return text;
}

Result<CommandResult> RunRepl(const inference::Model& model,
                              const ChatOptions& options, Context& context) {
  ASSIGN_OR_RETURN(Conversation conversation,
                   Conversation::Create(model, options, context.output));
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
    conversation.ShowExperts(context.output);
    ++answers;
    if (options.stats) context.output.Say(StatsText(model, *outcome));
    if (context.output.failed()) break;
  }
  RETURN_IF_ERROR(conversation.Save());
  result.summary["answers"] = answers;
  if (SignalExitCode().has_value()) result.code = *SignalExitCode();
  return result;
}

}  // namespace cli
