// SPDX-License-Identifier: Apache-2.0
// The forward pass of the families that are run, written from their formulas in
// double, without cache, batches or kernels: what the engine is compared with.
// Sources: mistral-inference transformer.py; huggingface/transformers
// modeling_qwen3_moe.py and modeling_olmoe.py.
#pragma once

#include <vector>

#include "inference/text/tokenizer.h"
#include "tests/support/tiny_model.h"

namespace tests {

// Logits of every position: [tokens][vocab_size]. Time grows with the square
// of the number of tokens.
std::vector<std::vector<double>> DoubleForward(
    const TinyModel& model, const std::vector<inference::TokenId>& ids);

}  // namespace tests
