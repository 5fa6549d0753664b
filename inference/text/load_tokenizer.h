// SPDX-License-Identifier: Apache-2.0
// Finds the vocabulary that belongs to a checkpoint.
// Tested by tests/inference/text/load_tokenizer_test.cc.
#pragma once

#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/tokenizer_model.h"
#include "verify/structure/model_config.h"

namespace inference {

// From the metadata of a GGUF file, else from tokenizer.model in the folder of
// the weights. Errors: those of the readers; kNotFound names the file that is
// missing.
verify::Result<verify::TokenizerModel> LoadTokenizerModel(
    const verify::Checkpoint& checkpoint);

// The same, and that it is not larger than the model's vocabulary (a smaller
// one is common: vocabularies are padded). Errors: kCorrupt, E-TOKENIZER.
verify::Result<verify::TokenizerModel> LoadTokenizerFor(
    const verify::Checkpoint& checkpoint, const verify::ModelConfig& config);

}  // namespace inference
