// SPDX-License-Identifier: Apache-2.0
// Guesses the next tokens from the sequence itself: text that repeats itself
// (code, quotations, tables, a document that is to be rewritten) goes on as it
// went on before. A guess costs nothing but the batch that checks it.
// Method: prompt lookup decoding (Saxena 2023), speculative checking as in
// arXiv:2211.17192. Tested by tests/inference/generate/lookup_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/text/tokenizer.h"

namespace inference {

enum class LookupMode {
  kOff,
  kAuto,  // pauses where guesses have failed
  kOn,    // guesses whenever something matches
};

// Tokens that must agree before what followed them is guessed again: of two
// that agree the next is wrong more often than not.
inline constexpr size_t kMinLookupMatch = 3;
// Tokens of a guess at most: a batch of 16 and one still costs less than three
// tokens of a dense model one by one.
inline constexpr size_t kMaxDraftTokens = 16;

// What followed the longest earlier occurrence of the end of `sequence`, the
// latest of equally long ones: at most `max_tokens`, and none if fewer than
// kMinLookupMatch tokens agree. Where the occurrence is so late that what
// followed it is the end itself, the guess goes round: a loop goes on as a
// loop. Time is that of one look at each token.
std::vector<TokenId> GuessTokens(std::span<const TokenId> sequence,
                                 size_t max_tokens);

// How long the next guess should be, from what became of those before. One
// thread.
class DraftLength {
 public:
  explicit DraftLength(LookupMode mode) : mode_(mode) {}

  // Call once for each step. 0: no guess this time.
  size_t Next();
  // What became of a guess of `proposed` > 0 tokens.
  void Report(size_t proposed, size_t accepted);

 private:
  LookupMode mode_;
  size_t length_ = 4;
  size_t pause_ = 0;      // steps without a guess after the next failure
  size_t steps_off_ = 0;  // of the present pause that are still to come
};

}  // namespace inference
