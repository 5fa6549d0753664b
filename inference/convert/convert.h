// SPDX-License-Identifier: Apache-2.0
// A checkpoint that verify can open to another form: GGUF that llama.cpp loads,
// a Hugging Face folder, or a folder as Mistral publishes it.
// Formats: docs/formats/gguf.md, safetensors.md, layouts.md.
// Tested by tests/inference/convert/convert_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inference/convert/convert_options.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace inference {

struct ConvertOutcome {
  std::string path;  // the file, the first of several, or the folder
  uint64_t bytes = 0;
  uint64_t resumed_bytes = 0;  // of them written by an earlier run
  uint64_t num_files = 0;
  uint64_t num_tensors = 0;
  std::vector<std::string> notes;  // such as a tensor kept in another type
  std::vector<FallbackForecast> fallbacks;
  std::optional<ImportanceForecast> importance;
};

// Reads the source once, computes on all processors in bounded memory and
// writes at places that are planned before; the bytes of the result do not
// depend on the number of threads, nor on where a run was cut off. Until it is
// whole the result is OUTPUT.partial (partial_result.h); verify's reader opens
// it again before it gets its name. Free space is checked first.
// What was written before a cancellation or an error of the disk stays for the
// next run; after any other error nothing is left.
// With options.importance the model is run first, or a matrix read; what weighs
// errors is part of the plan, so a run that was cut off goes on only with the
// same. Calibration maps the source: a file that is cut off meanwhile ends the
// program by a signal.
// Errors: kIo (E-EXISTS, E-DISK-FULL, ...), kBusy (E-LOCKED), kUnsupported
// (type, family), kCorrupt (structure, E-NOT-FINITE), kMismatch (E-CHANGED: the
// source changed meanwhile; E-IMATRIX: of another model), kCancelled, those of
// ReadImportance and Calibrate.
verify::Result<ConvertOutcome> Convert(const ConvertOptions& options,
                                       const verify::CancelToken& cancel,
                                       verify::ProgressSink* progress);

}  // namespace inference
