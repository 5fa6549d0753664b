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
  std::string id;  // "smoke.finite", "smoke.text", "smoke.experts"
  bool ok = false;
  std::string detail;
};

struct SmokeReport {
  std::vector<SmokeCheck> checks;
  std::string text;  // what the fixed prompt gave
  // The first layer whose output held NaN or infinity or exploded; -1 the
  // embedding, num_layers the final norm; nothing if all were fine.
  std::optional<int64_t> first_bad_layer;
  // [layer][expert]: tokens routed there; empty for dense models.
  std::vector<std::vector<uint64_t>> expert_counts;
  double tokens_per_s = 0;

  bool ok() const;
};

// Runs fixed prompts (plain completion) and checks: every layer and all logits
// finite, logits not all equal, text not one token repeated, every expert of
// every layer chosen at least once or finite when it is run by itself.
// Errors: kCancelled; those of Session.
verify::Result<SmokeReport> RunSmokeTest(const Model& model,
                                         const verify::CancelToken& cancel);

}  // namespace inference
