// SPDX-License-Identifier: Apache-2.0
// A conversation with a model: turns, commands, streamed answers.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "inference/generate/engine.h"
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
};

// Holds the turns and what of them the session has already seen. The model
// must outlive it.
class Conversation {
 public:
  // With the instruct template of the model's vocabulary, unless options.raw;
  // kUnsupported, E-TEMPLATE: none is known for it.
  static verify::Result<Conversation> Create(const inference::Model& model,
                                             const ChatOptions& options);

  // Answers `text`, streaming to `output` (text mode: stdout; JSON: token
  // events). An interrupted or cut answer stays in the conversation.
  verify::Result<inference::GenerateOutcome> Ask(
      const std::string& text, const verify::CancelToken& cancel,
      Output& output);

  void Clear();

 private:
  Conversation(const inference::Model& model, inference::Session session,
               const ChatOptions& options, inference::InstructVersion version)
      : model_(&model),
        session_(std::move(session)),
        options_(options),
        version_(version) {}

  verify::Result<std::vector<inference::TokenId>> PromptIds(
      const std::string& text);

  const inference::Model* model_;
  inference::Session session_;
  ChatOptions options_;
  inference::InstructVersion version_;  // unused with options_.raw
  std::vector<inference::ChatTurn> turns_;
  std::vector<inference::TokenId> seen_;  // what the session holds
};

// Reads messages until /exit or the end of input. Errors of one answer are
// said and the dialogue goes on.
verify::Result<CommandResult> RunRepl(const inference::Model& model,
                                      const ChatOptions& options,
                                      Context& context);

}  // namespace cli
