// SPDX-License-Identifier: Apache-2.0
// Logits to the next token. Same options, same logits: same token.
// Tested by tests/inference/generate/sampler_test.cc.
#pragma once

#include <cstdint>
#include <span>

#include "inference/generate/rng.h"
#include "inference/text/tokenizer.h"

namespace inference {

struct SamplerOptions {
  float temperature = 0;  // 0: greedy, the lowest id among equals
  float top_p = 1;        // (0, 1]
  uint32_t top_k = 0;     // 0: all
  uint64_t seed = 0;
};

class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);

  // Requires at least one finite logit.
  TokenId Sample(std::span<const float> logits);

 private:
  SamplerOptions options_;
  Rng rng_;
};

// ln softmax(logits)[id], in double.
float LogProbability(std::span<const float> logits, TokenId id);

}  // namespace inference
