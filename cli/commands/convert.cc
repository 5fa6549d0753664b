// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/convert.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/commands/session_flags.h"
#include "cli/shell_quote.h"
#include "inference/convert/quant_policy.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using inference::ConvertForecast;
using inference::ResultForm;

// --to safetensors is --format hf in bf16.
constexpr char kSafetensors[] = "safetensors";

ResultForm FormOf(const std::string& name) {
  if (name == "hf") return ResultForm::kHuggingFace;
  if (name == "consolidated") return ResultForm::kConsolidated;
  return ResultForm::kGguf;
}

// What will be written, before it is.
void SayForecast(Output& output, const ConvertForecast& forecast) {
  Fields files = Fields::array();
  for (const ConvertForecast::File& file : forecast.files) {
    files.push_back(
        {{"path", file.path}, {"bytes", file.bytes}, {"selected", true}});
  }
  Fields event;
  event["name"] = forecast.path;
  event["info_hash_v1"] = nullptr;
  event["info_hash_v2"] = nullptr;
  event["magnet"] = nullptr;
  event["total_bytes"] = forecast.total_bytes;
  event["piece_length"] = nullptr;
  event["pieces"] = nullptr;
  event["files"] = files;
  event["free_bytes"] = forecast.free_bytes;
  event["resume_bytes"] = forecast.resume_bytes;
  event["needed_bytes"] = forecast.needed_bytes;
  output.Event("plan", event);
  output.Say(fmt::format(
      "{}: {} file{}, {}; {} free", verify::EscapeForTerminal(forecast.path),
      forecast.files.size(), forecast.files.size() == 1 ? "" : "s",
      verify::FormatSize(forecast.total_bytes),
      verify::FormatSize(forecast.free_bytes)));
  if (forecast.resume_bytes > 0) {
    output.Say(fmt::format("going on: {} are there already",
                           verify::FormatSize(forecast.resume_bytes)));
  }
  for (const std::string& note : forecast.notes) {
    output.Warning("CONVERT_NOTE", note);
  }
}

class ConvertCommand final : public Command {
 public:
  std::string_view name() const override { return "convert"; }
  std::string_view summary() const override {
    return "write a model as GGUF or safetensors, without Python and without "
           "running pickles";
  }
  std::string_view example() const override {
    return "lodestone convert models/mixtral-8x7b-32kseqlen mixtral.gguf --to "
           "q8_0";
  }

  void AddFlags(CLI::App& app) override {
    app.add_option("input", options_.input, "model folder or weights file")
        ->required();
    app.add_option("output", options_.output,
                   "the GGUF file to write, or the folder")
        ->required();
    std::vector<std::string> names = inference::WeightTypeNames();
    names.emplace_back(kSafetensors);
    app.add_option("--to", type_,
                   "type of the weights (bf16); q4_k_m and q5_k_m give the "
                   "tensors that matter most more bits; rows that are no whole "
                   "blocks become q8_0 or bf16; safetensors: --format hf")
        ->check(CLI::IsMember(names));
    app.add_option("--format", format_,
                   "gguf (default); hf: a folder as on Hugging Face; "
                   "consolidated: a folder as Mistral publishes it")
        ->check(CLI::IsMember({"gguf", "hf", "consolidated"}));
    app.add_option("--split-size", split_size_,
                   "no file of weights larger than this, such as 4GB (hf: 5GB; "
                   "else one file)");
    app.add_flag("--allow-nonfinite", allow_non_finite_,
                 "keep NaN and infinity where the type has them (f32, f16, "
                 "bf16) instead of refusing");
    app.add_flag("--overwrite", options_.overwrite,
                 "replace the file if it is there");
    app.add_option("--threads", options_.num_threads,
                   "processors to use (all)");
  }

  verify::Result<CommandResult> Run(Context& context) override {
    RETURN_IF_ERROR(ReadFlags());
    context.output.StageBegin("convert");
    StageProgress progress(context.output, "convert");
    options_.on_forecast = [&](const ConvertForecast& forecast) {
      SayForecast(context.output, forecast);
    };
    auto outcome = inference::Convert(options_, context.cancel, &progress);
    if (!outcome) {
      context.output.StageEnd("convert", false, "");
      return verify::Unexpected(std::move(outcome).error());
    }
    context.output.StageEnd(
        "convert", true,
        fmt::format("{} tensors, {}, {}", outcome->num_tensors,
                    verify::FormatSize(outcome->bytes), type_));
    CommandResult result;
    result.path = outcome->path;
    result.summary["bytes"] = outcome->bytes;
    result.summary["files"] = outcome->num_files;
    result.summary["tensors"] = outcome->num_tensors;
    result.summary["resumed_bytes"] = outcome->resumed_bytes;
    result.summary["type"] = type_;
    result.summary["format"] = format_;
    result.next.push_back("lodestone chat " + ShellQuote(outcome->path));
    return result;
  }

 private:
  verify::Result<void> ReadFlags() {
    if (type_ == kSafetensors) {
      if (format_ == "gguf") {
        return verify::Fail(verify::ErrorCode::kInvalidArgument,
                            "--to safetensors and --format gguf exclude each "
                            "other")
            .Id("E-USAGE");
      }
      type_ = "bf16";
      if (format_.empty()) format_ = "hf";
    }
    if (format_.empty()) format_ = "gguf";
    options_.form = FormOf(format_);
    const auto type = inference::ParseWeightType(type_);
    options_.to = type->dtype;  // one of the names: the parser has checked
    options_.mix = type->mix;
    if (allow_non_finite_) {
      options_.non_finite = inference::NonFinite::kKeep;
    }
    if (split_size_.empty()) return {};
    ASSIGN_OR_RETURN(options_.split_bytes,
                     ParseSize(split_size_, "--split-size"));
    if (options_.split_bytes > 0) return {};
    return verify::Fail(verify::ErrorCode::kInvalidArgument,
                        "--split-size 0: no file is so small")
        .Id("E-USAGE");
  }

  inference::ConvertOptions options_;
  std::string type_ = "bf16";
  std::string format_;
  std::string split_size_;
  bool allow_non_finite_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeConvertCommand() {
  return std::make_unique<ConvertCommand>();
}

}  // namespace cli
