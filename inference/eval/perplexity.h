// SPDX-License-Identifier: Apache-2.0
// How well a model foretells a text, measured as llama.cpp measures it, so that
// the figures can be held against each other: the text is cut into chunks of
// the context, each begins with the token that begins a text, and what stands
// in its second half is foretold from all before it. Protocol:
// docs/formats/perplexity.md. Tested by
// tests/inference/eval/perplexity_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "inference/model/model.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace inference {

struct PerplexityOptions {
  uint64_t context_tokens = 512;
  uint64_t max_chunks = 0;  // 0: all
};

struct PerplexityReport {
  double perplexity = 0;      // exp of the mean of -ln p
  double standard_error = 0;  // of the perplexity
  double mean_nll = 0;
  uint64_t num_chunks = 0;
  uint64_t num_scored = 0;  // tokens foretold
};

// `tokens`: as Tokenizer::EncodePrompt gives them for the whole text; at least
// two chunks of them, what is left after the last whole one is not used.
// `on_chunk`(done, total, so far) after each chunk. Errors: kInvalidArgument (a
// context below 8 or beyond a million, too short a text), kCorrupt (E-LOGITS:
// no finite probability), those of Session.
using ChunkCallback =
    std::function<void(uint64_t done, uint64_t total, double perplexity)>;
verify::Result<PerplexityReport> MeasurePerplexity(
    const Model& model, std::span<const TokenId> tokens,
    const PerplexityOptions& options, const verify::CancelToken& cancel,
    const ChunkCallback& on_chunk);

}  // namespace inference
