// SPDX-License-Identifier: Apache-2.0
// Logits to the next token. Same options, same logits, same tokens before:
// same token. Tested by tests/inference/generate/sampler_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "inference/generate/rng.h"
#include "inference/text/tokenizer.h"
#include "verify/base/result.h"

namespace inference {

// What is done with the logits, in this order:
//
// 1. repeat_penalty. First, because it corrects what the model says, and holds
//    for the likeliest token (temperature 0) as for a drawn one. Each of the
//    last repeat_last_n tokens is held back once, however often it stands
//    there: a positive logit is divided, a negative one multiplied, so that
//    either becomes less likely (dividing a negative one would favour it).
// 2. temperature. Before the cuts by probability, which then speak of the
//    distribution that is drawn from: a flatter one keeps more tokens. With 0
//    the largest logit is taken, the lower id among equals, and what follows
//    does not matter.
// 3. top_k. It looks at the order alone, which temperature does not change; as
//    the first of the cuts it makes the others cheap.
// 4. top_p: the fewest tokens that have that share of what top_k has left.
// 5. min_p: those that are at least so likely as that share of the likeliest.
//    It looks at ratios, which top_p does not change: what both keep is kept.
//
// The likeliest token always stays. The draw goes from the likeliest down.
// No more of the vocabulary is sorted than the cuts and the draw look at.
struct SamplerOptions {
  float temperature = 0;        // [0, 100]
  uint32_t top_k = 0;           // 0: all
  float top_p = 1;              // (0, 1]
  float min_p = 0;              // [0, 1]
  float repeat_penalty = 1;     // [0.01, 100]; below 1 repetition is favoured
  uint32_t repeat_last_n = 64;  // at most kMaxRepeatWindow; 0: no penalty
  uint64_t seed = 0;
};
inline constexpr uint32_t kMaxRepeatWindow = 1'000'000;

// kInvalidArgument, E-SAMPLING: a value that is not a number or outside of its
// range, by the name of its flag.
verify::Result<void> CheckSamplerOptions(const SamplerOptions& options);

// Movable; one thread. Time grows with the vocabulary, and with the window.
class Sampler {
 public:
  // Requires options that were checked.
  explicit Sampler(const SamplerOptions& options);

  // The token that follows `before`, the sequence so far, of which the end is
  // looked at. Takes one random number, or none if the temperature is 0 or
  // top_k 1. Requires at least one finite logit; ids outside of `logits` are
  // passed over.
  TokenId Sample(std::span<const float> logits,
                 std::span<const TokenId> before = {});

 private:
  struct Candidate {
    TokenId id;
    float logit;
    double weight;  // of exp, 1 for the likeliest
  };

  std::span<const float> Penalise(std::span<const float> logits,
                                  std::span<const TokenId> before);
  void Weigh(std::span<const float> logits);
  TokenId Draw();
  void Rank(size_t count);

  SamplerOptions options_;
  Rng rng_;
  std::vector<float> penalised_;
  std::vector<Candidate> candidates_;
  size_t ranked_ = 0;  // of candidates_, from the front, that are in order
};

// ln softmax(logits)[id], in double.
float LogProbability(std::span<const float> logits, TokenId id);

}  // namespace inference
