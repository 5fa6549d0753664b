// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/model_flow.h"

#include <fmt/core.h>

#include "verify/base/text.h"

namespace cli {
namespace {

std::string LayerName(int64_t layer, uint64_t num_layers) {
  if (layer < 0) return "the token embedding";
  if (static_cast<uint64_t>(layer) >= num_layers) return "the final norm";
  return fmt::format("layer {}", layer);
}

// The rest of the stage "smoke", once the model is loaded.
verify::Result<void> TestLoaded(const inference::Model& model,
                                const std::string& path, Context& context) {
  Output& output = context.output;
  auto report = inference::RunSmokeTest(model, context.cancel);
  if (!report) {
    output.StageEnd("smoke", false, "the smoke test could not run");
    return verify::Unexpected(std::move(report).error());
  }
  std::string failed;
  for (const inference::SmokeCheck& check : report->checks) {
    output.Event("check", {{"id", check.id},
                           {"level", "smoke"},
                           {"status", check.ok ? "pass" : "fail"},
                           {"subject", path},
                           {"detail", check.detail},
                           {"evidence", Fields::object()}});
    // What comes after the first failure follows from it.
    if (!check.ok && failed.empty()) failed = check.detail;
  }
  if (!report->expert_counts.empty()) {
    output.Event("experts", {{"layers", report->expert_counts.size()},
                             {"experts", model.config().num_experts},
                             {"top_k", model.config().num_experts_per_token},
                             {"counts", report->expert_counts}});
  }
  if (!report->ok()) {
    output.StageEnd("smoke", false, failed);
    std::string message = "the model does not run as a model should: " + failed;
    if (report->first_bad_layer.has_value()) {
      message += "; first wrong at " +
                 LayerName(*report->first_bad_layer, model.config().num_layers);
    }
    return verify::Fail(verify::ErrorCode::kCorrupt, message)
        .Id("E-SMOKE")
        .Hint(
            "the bytes may be as published and the model still be broken; "
            "look for another release");
  }
  output.StageEnd(
      "smoke", true,
      fmt::format("{}; {:.0f} tokens/s; \"{}\"",
                  verify::Describe(model.config()), report->tokens_per_s,
                  verify::EscapeForTerminal(report->text, 60)));
  return {};
}

}  // namespace

verify::Result<std::unique_ptr<inference::Model>> LoadModel(
    const std::string& path, inference::ModelOptions options,
    const std::string& stage, Context& context) {
  StageProgress progress(context.output, stage);
  options.waiter = {&context.cancel, &progress};
  return inference::Model::Load(path, options);
}

verify::Result<bool> SmokeTestModel(const std::string& path,
                                    const SmokeOptions& smoke,
                                    Context& context) {
  Output& output = context.output;
  output.StageBegin("smoke");
  inference::ModelOptions options;
  options.num_threads = smoke.num_threads;
  auto model = LoadModel(path, options, "smoke", context);
  if (model) {
    RETURN_IF_ERROR(TestLoaded(**model, path, context));
    return true;
  }
  if (smoke.skip_unsupported &&
      model.error().code == verify::ErrorCode::kUnsupported) {
    output.StageEnd("smoke", false, "");
    output.Warning("SMOKE_NOT_RUN",
                   "the model was not tried: " + model.error().message,
                   model.error().hint);
    return false;
  }
  output.StageEnd("smoke", false, "the model does not load");
  return verify::Unexpected(std::move(model).error());
}

}  // namespace cli
