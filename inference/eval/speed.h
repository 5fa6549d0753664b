// SPDX-License-Identifier: Apache-2.0
// How fast a model runs here: prompts and generation, with the work and the
// bytes that a token costs. Tested by tests/inference/eval/speed_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "inference/model/model.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace inference {

struct SpeedOptions {
  uint64_t prompt_tokens = 512;  // 0: no prompt is measured
  uint64_t generated_tokens = 64;
  uint64_t repeats = 3;
};

// Rates of each repeat, in the order of time.
struct SpeedReport {
  std::vector<double> prompt_rates;    // tokens per second
  std::vector<double> generate_rates;  // the same
};

double Median(std::vector<double> values);

// Prompts of fixed pseudo-random tokens on an empty sequence, then tokens one
// by one, each the fixed next one: what is chosen is not looked at. A first,
// short run that is not counted brings weights and threads in. Errors:
// kInvalidArgument (no repeat, no token at all), those of Session.
// `on_repeat` is called after each, with what is measured so far.
using RepeatCallback = std::function<void(const SpeedReport& so_far)>;
verify::Result<SpeedReport> MeasureSpeed(const Model& model,
                                         const SpeedOptions& options,
                                         const verify::CancelToken& cancel,
                                         const RepeatCallback& on_repeat);

}  // namespace inference
