// SPDX-License-Identifier: Apache-2.0
// The forward pass of Mistral and Mixtral written from its formulas in double,
// without cache, batches or kernels: what the engine is compared with.
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
