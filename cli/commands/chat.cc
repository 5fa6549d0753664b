// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <iterator>

#include "cli/chat/repl.h"
#include "cli/commands/commands.h"
#include "cli/commands/kv_flag.h"
#include "cli/flows/model_flow.h"
#include "inference/generate/stop_matcher.h"
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
    AddSamplerFlags(app);
    app.add_option("--max-tokens", options_.generate.max_tokens,
                   "longest answer (256)");
    app.add_option("--stop", options_.generate.stops,
                   "end an answer before this text; may be given again")
        ->allow_extra_args(false);
    app.add_option("--lookup", lookup_,
                   "guess tokens from text that repeats itself and check them "
                   "together: the same answer, sooner (auto)")
        ->check(CLI::IsMember({"auto", "on", "off"}));
    app.add_option("--session", options_.session_path,
                   "go on with the conversation in this file if it is there, "
                   "and save it there at the end");
    app.add_option("--ctx", options_.context_tokens,
                   "tokens that a conversation may have (4096 at most)");
    app.add_flag("--raw", options_.raw,
                 "no instruct template: go on with the text as it is");
    app.add_flag("--stats", options_.stats, "say how fast it was");
    app.add_flag("--experts", options_.experts,
                 "show which experts of each layer an answer went through");
    app.add_flag("--exact", exact_,
                 "compute with float activations: slower, the same on every "
                 "kind of processor but for the last places");
    AddKvFlag(app, kv_);
    app.add_option("--threads", num_threads_, "processors to use (all)");
  }

  Result<CommandResult> Run(Context& context) override {
    // Before the model is loaded, which may take long.
    RETURN_IF_ERROR(inference::CheckSamplerOptions(options_.generate.sampler));
    RETURN_IF_ERROR(inference::CheckStops(options_.generate.stops));
    options_.generate.lookup = lookup_ == "on" ? inference::LookupMode::kOn
                               : lookup_ == "off"
                                   ? inference::LookupMode::kOff
                                   : inference::LookupMode::kAuto;
    inference::ModelOptions model_options;
    model_options.num_threads = num_threads_;
    model_options.kv = kv_;
    if (exact_) model_options.activations = inference::Activations::kExact;
    context.output.StageBegin("load");
    auto model = LoadModel(model_, model_options, "load", context);
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
  void AddSamplerFlags(CLI::App& app) {
    inference::SamplerOptions& sampler = options_.generate.sampler;
    app.add_option("--temp", sampler.temperature,
                   "0: always the likeliest token (0)");
    app.add_option("--top-k", sampler.top_k,
                   "sample from that many tokens (0: all)");
    app.add_option("--top-p", sampler.top_p,
                   "sample from the likeliest tokens of this mass (1)");
    app.add_option("--min-p", sampler.min_p,
                   "sample from tokens at least so likely as this share of the "
                   "likeliest (0: all)");
    app.add_option("--repeat-penalty", sampler.repeat_penalty,
                   "above 1: makes tokens that came lately less likely (1)");
    app.add_option("--repeat-last-n", sampler.repeat_last_n,
                   "tokens before that the penalty looks at (64)");
    app.add_option("--seed", sampler.seed, "of the random numbers (0)");
  }

  Result<CommandResult> OneShot(const inference::Model& model,
                                Context& context) {
    if (verify::TrimAscii(prompt_).empty()) {
      return verify::Fail(verify::ErrorCode::kInvalidArgument,
                          "the prompt is empty")
          .Id("E-USAGE")
          .Hint("give -p TEXT, or text on standard input");
    }
    ASSIGN_OR_RETURN(Conversation conversation,
                     Conversation::Create(model, options_, context.output));
    ASSIGN_OR_RETURN(const inference::GenerateOutcome outcome,
                     conversation.Ask(prompt_, context.cancel, context.output));
    context.output.PrintPart("\n");
    conversation.ShowExperts(context.output);
    if (options_.stats) context.output.Say(StatsText(model, outcome));
    // Before the answer counts as given.
    RETURN_IF_ERROR(conversation.Save());
    CommandResult result;
    result.summary["text"] = outcome.text;
    result.summary["ids"] = outcome.ids;
    result.summary["finish_reason"] = FinishText(outcome.finish);
    result.summary["prompt_tokens"] = outcome.prompt_tokens;
    result.summary["reused_tokens"] = conversation.reused_tokens();
    result.summary["completion_tokens"] = outcome.ids.size();
    result.summary["tg_tokens_per_s"] =
        static_cast<double>(outcome.ids.size()) /
        std::max(1e-9, outcome.generate_seconds);
    result.summary["passes"] = outcome.lookup.passes;
    result.summary["proposed_tokens"] = outcome.lookup.proposed;
    result.summary["accepted_tokens"] = outcome.lookup.accepted;
    if (outcome.finish == inference::FinishReason::kCancelled) {
      result.code = ExitCode::kInterrupted;
    }
    return result;
  }

  std::string model_;
  std::string prompt_;
  ChatOptions options_;
  std::string lookup_ = "auto";
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
