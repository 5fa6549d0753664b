// SPDX-License-Identifier: Apache-2.0
// Runs a text through a model and gathers how much the columns of its weights
// matter. What is gathered and why: docs/decisions/0012.
// Tested by tests/inference/convert/calibration_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "inference/convert/importance.h"
#include "inference/model/model.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace inference {

// A text for statistics, not a corpus: a million tokens or so.
inline constexpr uint64_t kMaxCalibrationBytes = 8u << 20;
// Tokens that see each other; fewer if the model's context is shorter.
inline constexpr uint64_t kCalibrationChunk = 512;
// Below this a text says nothing of a model.
inline constexpr uint64_t kMinCalibrationTokens = 64;

struct CalibrationText {
  std::string_view text;
  std::string_view name;  // that the matrix bears
};

// Mean squares of what every matrix but the embedding and the routers is
// multiplied with, chunk by chunk, each of which begins like a text. In a
// mixture each token is shown to as many experts again as it is routed to
// (input_observer.h). The same bits for any number of threads; they differ in
// the last places between kinds of CPU.
// Errors: kInvalidArgument (E-USAGE: too short a text), kCorrupt (E-LOGITS: an
// activation that is not finite), those of Session.
verify::Result<ImportanceMatrix> Calibrate(const Model& model,
                                           const CalibrationText& text,
                                           const verify::CancelToken& cancel,
                                           verify::ProgressSink* progress);

}  // namespace inference
