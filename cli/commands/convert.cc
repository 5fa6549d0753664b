// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/convert.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "cli/commands/commands.h"
#include "cli/shell_quote.h"
#include "verify/base/text.h"

namespace cli {
namespace {

class ConvertCommand final : public Command {
 public:
  std::string_view name() const override { return "convert"; }
  std::string_view summary() const override {
    return "write a model as GGUF, without Python and without running pickles";
  }
  std::string_view example() const override {
    return "lodestone convert models/mixtral-8x7b-32kseqlen mixtral.gguf --to "
           "q8_0";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("input", options_.input, "model folder or weights file")
        ->required();
    app.add_option("output", options_.output, "the GGUF file to write")
        ->required();
    app.add_option("--to", type_, "bf16 or q8_0 (bf16)")
        ->check(CLI::IsMember({"bf16", "q8_0"}));
    app.add_flag("--overwrite", options_.overwrite,
                 "replace the file if it is there");
    app.add_option("--threads", options_.num_threads,
                   "processors to use (all)");
  }

  verify::Result<CommandResult> Run(Context& context) override {
    options_.to = type_ == "q8_0" ? verify::DType::kQ8_0 : verify::DType::kBF16;
    context.output.StageBegin("convert");
    StageProgress progress(context.output, "convert");
    auto outcome = inference::Convert(options_, context.cancel, &progress);
    if (!outcome) {
      context.output.StageEnd("convert", false, "");
      return verify::Unexpected(std::move(outcome).error());
    }
    for (const std::string& note : outcome->notes) {
      context.output.Warning("CONVERT_NOTE", note);
    }
    context.output.StageEnd(
        "convert", true,
        fmt::format("{} tensors, {}, {}", outcome->num_tensors,
                    verify::FormatSize(outcome->bytes), type_));
    CommandResult result;
    result.path = outcome->path;
    result.summary["bytes"] = outcome->bytes;
    result.summary["tensors"] = outcome->num_tensors;
    result.summary["type"] = type_;
    result.next.push_back("lodestone chat " + ShellQuote(outcome->path));
    return result;
  }

 private:
  inference::ConvertOptions options_;
  std::string type_ = "bf16";
};

}  // namespace

std::unique_ptr<Command> MakeConvertCommand() {
  return std::make_unique<ConvertCommand>();
}

}  // namespace cli
