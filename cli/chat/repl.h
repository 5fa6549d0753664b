// SPDX-License-Identifier: Apache-2.0
// A conversation with a model: turns, commands, streamed answers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/context.h"
#include "inference/generate/engine.h"
#include "inference/generate/expert_trace.h"
#include "inference/model/model.h"
#include "inference/text/chat_template.h"
#include "verify/base/result.h"

namespace cli {

struct ChatOptions {
  std::string system;
  inference::GenerateOptions generate;
  uint64_t context_tokens = 0;  // 0: the model's, at most 4096
  bool raw = false;             // no template: plain completion
  bool stats = false;
  bool experts = false;      // shows which experts each answer went through
  std::string session_path;  // taken up if it is there, and saved; empty: none
};

// Holds the turns and the session, which has already seen most of them. The
// model must outlive it.
class Conversation {
 public:
  // With the instruct template of the model's vocabulary, unless options.raw;
  // goes on with the conversation of options.session_path, which is said to
  // `output`. Errors: kUnsupported E-TEMPLATE (no template is known for it),
  // those of SessionFile::Load but that there is no file.
  static verify::Result<Conversation> Create(const inference::Model& model,
                                             const ChatOptions& options,
                                             Output& output);

  // Answers `text`, streaming to `output` (text mode: stdout; JSON: token
  // events; with options.experts what they show). An interrupted or cut answer
  // stays in the conversation.
  verify::Result<inference::GenerateOutcome> Ask(
      const std::string& text, const verify::CancelToken& cancel,
      Output& output);

  void Clear();

  // Which experts the last answer and its prompt went through, if
  // options.experts: an event, or a table.
  void ShowExperts(Output& output) const;

  // To options.session_path, if there is one. Errors: SessionFile::Save.
  verify::Result<void> Save() const;

  // Tokens of the last prompt that the session held already.
  uint64_t reused_tokens() const { return reused_tokens_; }

 private:
  Conversation(const inference::Model& model, inference::Session session,
               const ChatOptions& options, inference::InstructVersion version)
      : model_(&model),
        session_(std::move(session)),
        options_(options),
        version_(version) {}

  verify::Result<std::vector<inference::TokenId>> PromptIds(
      const std::string& text);
  void SetTurns(std::vector<inference::ChatTurn> turns);
  void HandOn(inference::TokenId id, const std::string& text, float logprob,
              Output& output) const;

  const inference::Model* model_;
  inference::Session session_;
  ChatOptions options_;
  inference::InstructVersion version_;  // unused with options_.raw
  std::vector<inference::ChatTurn> turns_;
  uint64_t reused_tokens_ = 0;
  std::unique_ptr<inference::ExpertTrace> trace_;  // null: not asked for
};

// "12 + 40 tokens, 9.8 tokens/s, 6 of 8 guessed tokens right".
std::string StatsText(const inference::Model& model,
                      const inference::GenerateOutcome& outcome);

// Reads messages until /exit or the end of input. Errors of one answer are
// said and the dialogue goes on.
verify::Result<CommandResult> RunRepl(const inference::Model& model,
                                      const ChatOptions& options,
                                      Context& context);

}  // namespace cli
