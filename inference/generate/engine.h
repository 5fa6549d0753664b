// SPDX-License-Identifier: Apache-2.0
// The decode loop: prompt in, tokens out one by one.
// Tested by tests/inference/generate/engine_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "inference/generate/lookup.h"
#include "inference/generate/sampler.h"
#include "inference/model/model.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace inference {

struct GenerateOptions {
  SamplerOptions sampler;
  uint64_t max_tokens = 256;
  std::vector<std::string> stops;  // as CheckStops has them
  // Guessing changes no token and no bit of a logit, whatever the temperature:
  // each is sampled from its own logits with its own random number.
  LookupMode lookup = LookupMode::kAuto;
  bool ignore_eos = false;  // goes on after it: for measurements
};

// kStop: the model has ended the text, or a stop string has.
enum class FinishReason { kStop, kLength, kCancelled };

// What became of guesses.
struct LookupCounts {
  uint64_t passes = 0;    // over the weights, for all tokens but the first
  uint64_t proposed = 0;  // tokens that were guessed
  uint64_t accepted = 0;  // of those, what sampling gave as well
};

struct GenerateOutcome {
  std::vector<TokenId> ids;  // without the final EOS
  std::string text;          // without the stop string
  FinishReason finish = FinishReason::kStop;
  uint64_t prompt_tokens = 0;
  double prompt_seconds = 0;
  double generate_seconds = 0;
  LookupCounts lookup;
};

// `on_token`(id, new_text, log_probability) is called for each token but EOS;
// new_text is complete UTF-8 and may be empty, since a character may need
// further tokens and what may become a stop string is held back. What is still
// held back at the end comes with kNoToken and a log probability of 0. All
// new_texts together are outcome.text.
inline constexpr TokenId kNoToken = -1;
using TokenCallback =
    std::function<void(TokenId id, const std::string& text, float logprob)>;

// Appends prompt and answer to `session`; afterwards it holds them but for the
// token that ended the answer. Penalties and guesses look at all tokens of the
// session. kLength when max_tokens or the session's end is reached. With an
// observer nothing is guessed: it would see tokens that are thrown away.
// Errors: kInvalidArgument (options or stops out of range), kCorrupt E-LOGITS
// (logits that no token can be chosen from), those of Session::Append.
verify::Result<GenerateOutcome> Generate(const Model& model, Session& session,
                                         std::span<const TokenId> prompt,
                                         const GenerateOptions& options,
                                         const verify::CancelToken& cancel,
                                         const TokenCallback& on_token,
                                         ForwardObserver* observer = nullptr);

}  // namespace inference
