// SPDX-License-Identifier: Apache-2.0
// How fast a model runs here: prompts and generation, with the work and the
// bytes that a token costs. Tested by tests/inference/eval/speed_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "inference/generate/engine.h"
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

// Text that repeats itself, by guesses and without.
struct LookupReport {
  std::vector<double> plain_rates;   // tokens per second, one by one
  std::vector<double> lookup_rates;  // with guesses
  LookupCounts counts;               // of one run
};

// Tokens of a fixed text that says the same thing over and over, after it has
// said it once: what the model would choose is not looked at, and a guess is
// right where it is the text. Each way in turn, `repeats` times. Errors:
// kInvalidArgument (no repeat, no token), those of Session.
verify::Result<LookupReport> MeasureLookup(const Model& model,
                                           uint64_t generated_tokens,
                                           uint64_t repeats,
                                           const verify::CancelToken& cancel);

// Tokens per second of all sequences together, for each repeat, when as many
// go on side by side, each with tokens of its own. Errors: kInvalidArgument
// (none of something), those of Session.
verify::Result<std::vector<double>> MeasureParallel(
    const Model& model, uint64_t num_sequences, uint64_t tokens_of_each,
    uint64_t repeats, const verify::CancelToken& cancel);

// Seconds for a token, medians of tokens one by one: of each layer, and last
// those of the output matrix with the norm before it. The embedding is with the
// first layer. Errors: kInvalidArgument (no token), those of Session.
verify::Result<std::vector<double>> MeasureLayers(
    const Model& model, uint64_t generated_tokens,
    const verify::CancelToken& cancel);

}  // namespace inference
