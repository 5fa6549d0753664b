// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/convert.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <optional>
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

Fields FallbackFields(
    const std::vector<inference::FallbackForecast>& fallbacks) {
  Fields all = Fields::array();
  for (const inference::FallbackForecast& fallback : fallbacks) {
    all.push_back({{"wanted", verify::DTypeName(fallback.wanted)},
                   {"written", verify::DTypeName(fallback.written)},
                   {"row_elements", fallback.row_elements},
                   {"first_tensor", fallback.first_tensor},
                   {"tensors", fallback.num_tensors}});
  }
  return all;
}

Fields ImportanceFields(
    const std::optional<inference::ImportanceForecast>& importance) {
  if (!importance.has_value()) return nullptr;
  return {{"dataset", importance->dataset},
          {"sha256", importance->sha256},
          {"tensors", importance->num_tensors}};
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
  event["fallbacks"] = FallbackFields(forecast.fallbacks);
  event["importance"] = ImportanceFields(forecast.importance);
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
  if (forecast.importance.has_value()) {
    output.Say(fmt::format(
        "importance weighs the errors of {} tensors; from {} (sha256 "
        "{:.12}...)",
        forecast.importance->num_tensors,
        verify::EscapeForTerminal(forecast.importance->dataset),
        forecast.importance->sha256));
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
    app.add_option("--imatrix", imatrix_,
                   "weigh errors of packed types by how much each column "
                   "matters: auto runs a text through the model first; or a "
                   "file that --save-imatrix or llama-imatrix wrote");
    app.add_option("--calibration", options_.importance.calibration,
                   "the text for --imatrix auto, UTF-8, like what the model "
                   "will be used for (one of the program's own)");
    app.add_option("--save-imatrix", options_.importance.save_to,
                   "keep what --imatrix used in this file");
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
    result.summary["fallbacks"] = FallbackFields(outcome->fallbacks);
    result.summary["importance"] = ImportanceFields(outcome->importance);
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
    RETURN_IF_ERROR(ReadImportanceFlags());
    if (split_size_.empty()) return {};
    ASSIGN_OR_RETURN(options_.split_bytes,
                     ParseSize(split_size_, "--split-size"));
    if (options_.split_bytes > 0) return {};
    return verify::Fail(verify::ErrorCode::kInvalidArgument,
                        "--split-size 0: no file is so small")
        .Id("E-USAGE");
  }

  verify::Result<void> ReadImportanceFlags() {
    using From = inference::ImportanceChoice::From;
    inference::ImportanceChoice& choice = options_.importance;
    if (imatrix_ == "auto") {
      choice.from = From::kCalibration;
    } else if (!imatrix_.empty()) {
      choice.from = From::kFile;
      choice.file = imatrix_;
    }
    const bool has_text = !choice.calibration.empty();
    if (has_text && choice.from != From::kCalibration) {
      return verify::Fail(verify::ErrorCode::kInvalidArgument,
                          "--calibration goes with --imatrix auto alone")
          .Id("E-USAGE");
    }
    if (!choice.save_to.empty() && choice.from == From::kNone) {
      return verify::Fail(verify::ErrorCode::kInvalidArgument,
                          "--save-imatrix without --imatrix: nothing to save")
          .Id("E-USAGE");
    }
    return {};
  }

  inference::ConvertOptions options_;
  std::string imatrix_;
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
