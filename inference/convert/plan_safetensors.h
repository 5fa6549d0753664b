// SPDX-License-Identifier: Apache-2.0
// A conversion to a folder of safetensors, in Hugging Face's layout or in
// Mistral's own. Layouts: docs/formats/layouts.md.
// Tested by tests/inference/convert/plan_safetensors_test.cc.
#pragma once

#include "inference/convert/convert_options.h"
#include "inference/convert/convert_plan.h"
#include "verify/base/result.h"

namespace inference {

// The plan without units. All tensors have the type options.to, norms too.
//   kHuggingFace: config.json; model.safetensors, or from one file more
//     model-NNNNN-of-NNNNN.safetensors of at most options.split_bytes
//     (kDefaultShardBytes) with model.safetensors.index.json; q and k
//     half-rotated.
//   kConsolidated: params.json; consolidated.safetensors, or with
//     options.split_bytes consolidated-NNNNN-of-NNNNN.safetensors.
// Files of the tokenizer stand beside them. A file passes the size only if it
// holds a single tensor.
// Errors: kUnsupported (E-DTYPE: a packed type; E-TOKENIZER), kLimit.
verify::Result<ConvertPlan> PlanSafetensors(const ConvertSource& source,
                                            const ConvertOptions& options);

}  // namespace inference
