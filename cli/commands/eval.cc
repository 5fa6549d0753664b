// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <numeric>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/commands/eval_perplexity.h"
#include "cli/commands/kv_flag.h"
#include "cli/flows/model_flow.h"
#include "inference/generate/sampler.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using inference::TokenId;
using verify::ErrorCode;
using verify::Fail;
using verify::Result;

Result<std::vector<TokenId>> ParseIds(std::string_view text) {
  std::vector<TokenId> ids;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view word = verify::TrimAscii(text.substr(0, comma));
    TokenId id = 0;
    const auto [rest, error] =
        std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc{} || rest != word.data() + word.size() || id < 0) {
      return Fail(ErrorCode::kInvalidArgument,
                  verify::StrCat("--ids: \"", verify::EscapeForTerminal(word),
                                 "\" is no token id"))
          .Id("E-USAGE")
          .Hint("write ids as 1,2,3");
    }
    ids.push_back(id);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return ids;
}

class EvalCommand final : public Command {
 public:
  std::string_view name() const override { return "eval"; }
  std::string_view summary() const override {
    return "measure a model: logits of a prompt, perplexity of a text";
  }
  std::string_view example() const override {
    return "lodestone eval logits model.gguf --prompt 'Once upon a time' "
           "--json";
  }

  void AddFlags(CLI::App& app) override {
    app.require_subcommand(1);
    CLI::App* logits = app.add_subcommand(
        "logits", "all logits after the last token of a prompt");
    logits->fallthrough();
    logits->add_option("model", model_, "GGUF file or model folder")
        ->required();
    auto* prompt = logits->add_option(
        "--prompt", prompt_, "text; the token that begins a text is put first");
    logits->add_option("--ids", ids_, "token ids as 1,2,3, taken as they are")
        ->excludes(prompt);
    AddKvFlag(*logits, kv_);
    logits->add_option("--threads", num_threads_, "processors to use (all)");
    prompt_option_ = prompt;
    perplexity_.AddTo(app);
  }

  Result<CommandResult> Run(Context& context) override {
    if (perplexity_.chosen()) return perplexity_.Run(context);
    if (ids_.empty() && prompt_option_->count() == 0) {
      return Fail(ErrorCode::kInvalidArgument, "no prompt")
          .Id("E-USAGE")
          .Hint("give --prompt TEXT or --ids 1,2,3");
    }
    ASSIGN_OR_RETURN(std::vector<TokenId> ids, ParseIds(ids_));
    context.output.StageBegin("eval");
    inference::ModelOptions options;
    options.num_threads = num_threads_;
    options.kv = kv_;
    // The figure is compared with those of other forms and machines.
    options.activations = inference::Activations::kExact;
    auto model = LoadModel(model_, options, "eval", context);
    if (!model) {
      context.output.StageEnd("eval", false, "");
      return verify::Unexpected(std::move(model).error());
    }
    const inference::Tokenizer& tokenizer = (*model)->tokenizer();
    if (ids.empty()) {
      ids = tokenizer.EncodePrompt(prompt_);
      if (ids.empty()) {
        return Fail(ErrorCode::kInvalidArgument,
                    "the prompt is empty, and this vocabulary puts no token "
                    "before a text")
            .Id("E-USAGE")
            .Hint("give --prompt TEXT or --ids 1,2,3");
      }
    }
    ASSIGN_OR_RETURN(inference::Session session,
                     inference::Session::Create(**model, ids.size()));
    RETURN_IF_ERROR(session.Append(ids));
    context.output.StageEnd("eval", true, "");
    const auto logits = session.logits();

    CommandResult result;
    result.summary["ids"] = ids;
    result.summary["logits"] = std::vector<float>(logits.begin(), logits.end());
    PrintTop(context.output, tokenizer, logits, ids.size());
    return result;
  }

 private:
  static void PrintTop(Output& output, const inference::Tokenizer& tokenizer,
                       std::span<const float> logits, size_t num_tokens) {
    constexpr size_t kShown = 10;
    std::vector<TokenId> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    const size_t shown = std::min(kShown, order.size());
    std::partial_sort(order.begin(),
                      order.begin() + static_cast<std::ptrdiff_t>(shown),
                      order.end(), [&](TokenId a, TokenId b) {
                        const float la = logits[static_cast<size_t>(a)];
                        const float lb = logits[static_cast<size_t>(b)];
                        return la != lb ? la > lb : a < b;
                      });
    output.Say(fmt::format(
        "{} tokens in; the likeliest next (--json gives all logits):",
        num_tokens));
    for (size_t i = 0; i < shown; ++i) {
      const TokenId id = order[i];
      output.Print(
          fmt::format("{:>6}  {:>9.4f}  {:>8.4f}  \"{}\"", id,
                      logits[static_cast<size_t>(id)],
                      inference::LogProbability(logits, id),
                      verify::EscapeForTerminal(tokenizer.PieceBytes(id))));
    }
  }

  PerplexityTask perplexity_;
  std::string model_;
  std::string prompt_;
  std::string ids_;
  size_t num_threads_ = 0;
  inference::KvType kv_ = inference::KvType::kF16;
  CLI::Option* prompt_option_ = nullptr;
};

}  // namespace

std::unique_ptr<Command> MakeEvalCommand() {
  return std::make_unique<EvalCommand>();
}

}  // namespace cli
