// SPDX-License-Identifier: Apache-2.0
// The forward pass of the families that are run, written from their formulas in
// double, without cache, batches or kernels: what the engine is compared with.
// Sources: mistral-inference transformer.py; huggingface/transformers
// modeling_qwen3_moe.py and modeling_olmoe.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/text/tokenizer.h"
#include "tests/support/tiny_model.h"

namespace tests {

// Logits of every position: [tokens][vocab_size]. Time grows with the square
// of the number of tokens.
std::vector<std::vector<double>> DoubleForward(
    const TinyModel& model, const std::vector<inference::TokenId>& ids);

// How far the engine may be from it, by RelativeError. Keys and values are
// rounded to halves, 2^-12 each, all else is float: the worst of the models of
// these tests is at a third of this.
inline constexpr double kForwardBound = 2e-3;
// Activations rounded to bytes or bf16, up to 2^-8 of the largest of 32.
inline constexpr double kRoundedForwardBound = 5e-2;

// |logits - expected| / |expected|, both as vectors.
double RelativeError(std::span<const float> logits,
                     const std::vector<double>& expected);

// `count` ids below `vocab_size`.
std::vector<inference::TokenId> RandomIds(size_t count, uint64_t vocab_size,
                                          uint64_t seed);

}  // namespace tests
