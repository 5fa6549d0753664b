// SPDX-License-Identifier: Apache-2.0
// A conversion to GGUF: one file, or several of at most a given size.
// Format: docs/formats/gguf.md; several files: docs/formats/layouts.md.
// Tested by tests/inference/convert/convert_test.cc and split_test.cc.
#pragma once

#include "inference/convert/convert_options.h"
#include "inference/convert/convert_plan.h"
#include "verify/base/result.h"

namespace inference {

// The plan without units. With options.split_bytes the files are
// STEM-NNNNN-of-NNNNN.gguf where the output is STEM.gguf; metadata of the model
// stands in the first. A file passes that size only if it holds a single
// tensor. Errors: kCorrupt, kUnsupported (tokenizer, type), kLimit.
verify::Result<ConvertPlan> PlanGguf(const ConvertSource& source,
                                     const ConvertOptions& options);

}  // namespace inference
