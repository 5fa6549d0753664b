// SPDX-License-Identifier: Apache-2.0
// Steps that several verbs share once a model is on disk: load it, smoke-test
// it. Every step reports to `context.output`.
#pragma once

#include <memory>
#include <string>

#include "cli/context.h"
#include "inference/eval/smoke_test.h"
#include "inference/model/model.h"
#include "verify/base/result.h"

namespace cli {

// Loads a model as (part of) the stage `stage`, whose progress is shown if it
// takes long. Errors: those of Model::Load.
verify::Result<std::unique_ptr<inference::Model>> LoadModel(
    const std::string& path, inference::ModelOptions options,
    const std::string& stage, Context& context);

struct SmokeOptions {
  size_t num_threads = 0;
  // Whoever wants the model rather than the test: one that the engine does not
  // run (kUnsupported) is a warning, SMOKE_NOT_RUN.
  bool skip_unsupported = false;
};

// Loads the model at `path` and runs the smoke test as the stage "smoke".
// Returns whether it was run. Errors: those of loading; kCorrupt with id
// E-SMOKE if the model is broken, naming the layer that first went wrong.
verify::Result<bool> SmokeTestModel(const std::string& path,
                                    const SmokeOptions& smoke,
                                    Context& context);

}  // namespace cli
