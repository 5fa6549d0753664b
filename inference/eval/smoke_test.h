// SPDX-License-Identifier: Apache-2.0
// Does the model run? A short fixed workload that finds what hashes cannot:
// weights that are right bytes of a broken model.
// Tested by tests/inference/eval/smoke_test_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inference/model/model.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace inference {

struct SmokeCheck {
  // "smoke.finite", "smoke.logits", "smoke.text", "smoke.experts", all four in
  // every report.
  std::string id;
  bool ok = false;
  std::string detail;
};

struct SmokeReport {
  std::vector<SmokeCheck> checks;
  std::string text;  // what the fixed prompt gave
  // The first layer whose output held NaN or infinity or exploded; -1 the
  // embedding, num_layers the final norm; nothing if all were fine.
  std::optional<int64_t> first_bad_layer;
  // [layer][expert]: tokens routed there; empty for dense models, as is the
  // list of a layer without experts.
  std::vector<std::vector<uint64_t>> expert_counts;
  double tokens_per_s = 0;

  bool ok() const;
};

// Runs fixed prompts (plain completion) and checks: every layer finite and
// below 1e6, all logits finite and not all equal, text that is not empty,
// invisible or one token repeated (a model fails only if it gives such text
// for each of three prompts: base models loop easily), every expert of every
// layer chosen at least once or, run by itself, finite and not all zero. What
// a text is worth is not judged. Some 300 tokens of prompts and at most 72
// generated. Errors: kCancelled; those of Session.
verify::Result<SmokeReport> RunSmokeTest(const Model& model,
                                         const verify::CancelToken& cancel);

}  // namespace inference
