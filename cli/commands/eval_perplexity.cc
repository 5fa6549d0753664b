// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/eval_perplexity.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <vector>

#include "cli/commands/kv_flag.h"
#include "cli/flows/model_flow.h"
#include "inference/eval/perplexity.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::Result;

// A text for a measurement, not a corpus.
constexpr uint64_t kMaxTextBytes = uint64_t{256} << 20;

}  // namespace

void PerplexityTask::AddTo(CLI::App& eval) {
  CLI::App* task = eval.add_subcommand(
      "perplexity", "how well it foretells a text, as llama.cpp counts it");
  task->fallthrough();
  task->add_option("model", model_, "GGUF file or model folder")->required();
  task->add_option("--file", file_, "the text, UTF-8")->required();
  task->add_option("--ctx", context_tokens_, "tokens of a chunk (512)");
  task->add_option("--chunks", chunks_, "chunks to measure at most (all)");
  AddKvFlag(*task, kv_);
  task->add_option("--threads", num_threads_, "processors to use (all)");
  task->add_flag("--exact", exact_, "compute with float activations");
  app_ = task;
}

bool PerplexityTask::chosen() const {
  return app_ != nullptr && app_->parsed();
}

Result<CommandResult> PerplexityTask::Run(Context& context) const {
  ASSIGN_OR_RETURN(const std::string text,
                   verify::ReadSmallTextFile(file_, kMaxTextBytes));
  inference::ModelOptions model_options;
  model_options.num_threads = num_threads_;
  model_options.kv = kv_;
  if (exact_) model_options.activations = inference::Activations::kExact;
  context.output.StageBegin("eval");
  const auto measure = [&]() -> Result<inference::PerplexityReport> {
    ASSIGN_OR_RETURN(const auto model,
                     LoadModel(model_, model_options, "eval", context));
    const std::vector<inference::TokenId> tokens =
        model->tokenizer().EncodePrompt(text);
    inference::PerplexityOptions options;
    options.context_tokens = context_tokens_;
    options.max_chunks = chunks_;
    StageProgress progress(context.output, "eval");
    return inference::MeasurePerplexity(
        *model, tokens, options, context.cancel,
        [&](uint64_t done, uint64_t total, double perplexity) {
          progress.OnProgress(fmt::format("perplexity {:.4f}", perplexity),
                              text.size() * done / total, text.size());
        });
  };
  const auto report = measure();
  if (!report) {
    context.output.StageEnd("eval", false, "");
    return verify::Unexpected(report.error());
  }
  context.output.StageEnd("eval", true, "");
  context.output.Print(fmt::format(
      "perplexity {:.4f} +/- {:.4f}  ({} tokens foretold in {} chunks of {})",
      report->perplexity, report->standard_error, report->num_scored,
      report->num_chunks, context_tokens_));
  CommandResult result;
  result.summary["perplexity"] = report->perplexity;
  result.summary["standard_error"] = report->standard_error;
  result.summary["mean_nll"] = report->mean_nll;
  result.summary["chunks"] = report->num_chunks;
  result.summary["tokens"] = report->num_scored;
  result.summary["context"] = context_tokens_;
  return result;
}

}  // namespace cli
