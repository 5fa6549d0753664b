// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/convert.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/shell_quote.h"
#include "inference/model/weights.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::DType;

constexpr DType kTypes[] = {
    DType::kF32,  DType::kF16,   DType::kBF16, DType::kQ8_0, DType::kQ6K,
    DType::kQ5K,  DType::kQ4K,   DType::kQ5_1, DType::kQ5_0, DType::kQ4_1,
    DType::kQ4_0, DType::kIQ4NL, DType::kMXFP4};

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
    std::vector<std::string> names;
    for (const DType type : kTypes) names.emplace_back(verify::DTypeName(type));
    app.add_option("--to", type_,
                   "type of the weights (bf16); rows that are no whole blocks "
                   "of it become q8_0 or bf16")
        ->check(CLI::IsMember(names));
    app.add_flag("--overwrite", options_.overwrite,
                 "replace the file if it is there");
    app.add_option("--threads", options_.num_threads,
                   "processors to use (all)");
  }

  verify::Result<CommandResult> Run(Context& context) override {
    for (const DType type : kTypes) {
      if (verify::DTypeName(type) == type_) options_.to = type;
    }
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
    if (inference::CanCompute(options_.to)) {
      result.next.push_back("lodestone chat " + ShellQuote(outcome->path));
    } else {
      context.output.Warning(
          "CONVERT_NOTE", fmt::format("{} is written for other software: this "
                                      "version does not compute with it",
                                      type_));
    }
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
