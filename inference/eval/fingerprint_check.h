// SPDX-License-Identifier: Apache-2.0
// Is the model that runs here the one that a fingerprint was made of?
// Tested by tests/inference/eval/fingerprint_test.cc and, through the command
// line, by tests/scripts/fingerprint.py.
#pragma once

#include <vector>

#include "inference/eval/fingerprint.h"
#include "inference/eval/fingerprint_compare.h"
#include "inference/model/model.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace inference {

struct FingerprintReport {
  // In the order of a forward pass; none: the model is the published one,
  // within the tolerance of its element types. The first says, where it can
  // be found out, what it looks like: another expert's output, the other
  // order of q and k.
  std::vector<Departure> departures;
  FingerprintCloseness closeness;
  Fingerprint measured;

  bool ok() const { return departures.empty(); }
};

// Measures the model as MeasureFingerprint does and compares. A model of
// another shape is not run. Errors: kCancelled, kLimit (no memory).
verify::Result<FingerprintReport> CheckFingerprint(
    const Model& model, const Fingerprint& published,
    const verify::CancelToken& cancel,
    verify::ProgressSink* progress = nullptr);

}  // namespace inference
