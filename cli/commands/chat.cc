// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <iostream>
#include <iterator>

#include "cli/chat/repl.h"
#include "cli/commands/commands.h"
#include "cli/commands/kv_flag.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::Result;

std::string_view FinishText(inference::FinishReason reason) {
  switch (reason) {
    case inference::FinishReason::kStop:
      return "stop";
    case inference::FinishReason::kLength:
      return "length";
    case inference::FinishReason::kCancelled:
      return "cancelled";
  }
  return "stop";
}

class ChatCommand final : public Command {
 public:
  std::string_view name() const override { return "chat"; }
  std::vector<std::string> aliases() const override { return {"run"}; }
  std::string_view summary() const override {
    return "talk to a model: a dialogue, or one answer with -p";
  }
  std::string_view example() const override {
    return "lodestone chat models/demo -p 'What is an ocean?'";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("model", model_, "model folder, weights file or GGUF file")
        ->required();
    prompt_option_ = app.add_option(
        "-p,--prompt", prompt_,
        "answer this and end; without it standard input is the prompt if it "
        "is no terminal");
    app.add_option("--system", options_.system, "instruction that goes first");
    app.add_option("--temp", options_.generate.sampler.temperature,
                   "0: always the likeliest token (0)")
        ->check(CLI::Range(0.0, 100.0));
    app.add_option("--top-p", options_.generate.sampler.top_p,
                   "sample from the likeliest tokens of this mass (1)")
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("--top-k", options_.generate.sampler.top_k,
                   "sample from that many tokens (0: all)");
    app.add_option("--seed", options_.generate.sampler.seed,
                   "of the random numbers (0)");
    app.add_option("--max-tokens", options_.generate.max_tokens,
                   "longest answer (256)");
    app.add_option("--ctx", options_.context_tokens,
                   "tokens that a conversation may have (4096 at most)");
    app.add_flag("--raw", options_.raw,
                 "no instruct template: go on with the text as it is");
    app.add_flag("--stats", options_.stats, "say how fast it was");
    app.add_flag("--exact", exact_,
                 "compute with float activations: slower, the same on every "
                 "kind of processor but for the last places");
    AddKvFlag(app, kv_);
    app.add_option("--threads", num_threads_, "processors to use (all)");
  }

  Result<CommandResult> Run(Context& context) override {
    if (options_.generate.sampler.top_p <= 0) {
      return verify::Fail(verify::ErrorCode::kInvalidArgument,
                          "--top-p: 0 leaves no token to choose")
          .Id("E-USAGE");
    }
    inference::ModelOptions model_options;
    model_options.num_threads = num_threads_;
    model_options.kv = kv_;
    if (exact_) model_options.activations = inference::Activations::kExact;
    context.output.StageBegin("load");
    auto model = inference::Model::Load(model_, model_options);
    if (!model) {
      context.output.StageEnd("load", false, "");
      return verify::Unexpected(std::move(model).error());
    }
    const bool one_shot = prompt_option_->count() > 0 ||
                          ::isatty(STDIN_FILENO) != 1 || context.output.json();
    context.output.StageEnd(
        "load", true, one_shot ? "" : verify::Describe((*model)->config()));
    if (!one_shot) return RunRepl(**model, options_, context);
    if (prompt_option_->count() == 0) {
      prompt_.assign(std::istreambuf_iterator<char>(std::cin), {});
    }
    return OneShot(**model, context);
  }

 private:
  Result<CommandResult> OneShot(const inference::Model& model,
                                Context& context) {
    if (verify::TrimAscii(prompt_).empty()) {
      return verify::Fail(verify::ErrorCode::kInvalidArgument,
                          "the prompt is empty")
          .Id("E-USAGE")
          .Hint("give -p TEXT, or text on standard input");
    }
    ASSIGN_OR_RETURN(Conversation conversation,
                     Conversation::Create(model, options_));
    ASSIGN_OR_RETURN(const inference::GenerateOutcome outcome,
                     conversation.Ask(prompt_, context.cancel, context.output));
    context.output.PrintPart("\n");
    const double rate = static_cast<double>(outcome.ids.size()) /
                        std::max(1e-9, outcome.generate_seconds);
    if (options_.stats) {
      const uint64_t kept = outcome.prompt_tokens + outcome.ids.size();
      context.output.Say(fmt::format(
          "{} + {} tokens, {:.1f} tokens/s, {} of keys and values ({})",
          outcome.prompt_tokens, outcome.ids.size(), rate,
          verify::FormatSize(kept * model.kv_bytes_per_token()),
          inference::KvTypeName(model.kv_type())));
    }
    CommandResult result;
    result.summary["text"] = outcome.text;
    result.summary["ids"] = outcome.ids;
    result.summary["finish_reason"] = FinishText(outcome.finish);
    result.summary["prompt_tokens"] = outcome.prompt_tokens;
    result.summary["completion_tokens"] = outcome.ids.size();
    result.summary["tg_tokens_per_s"] = rate;
    if (outcome.finish == inference::FinishReason::kCancelled) {
      result.code = ExitCode::kInterrupted;
    }
    return result;
  }

  std::string model_;
  std::string prompt_;
  ChatOptions options_;
  size_t num_threads_ = 0;
  bool exact_ = false;
  inference::KvType kv_ = inference::KvType::kF16;
  CLI::Option* prompt_option_ = nullptr;
};

}  // namespace

std::unique_ptr<Command> MakeChatCommand() {
  return std::make_unique<ChatCommand>();
}

}  // namespace cli
