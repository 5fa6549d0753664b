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

// How long the next guess should be, from what became of those before: longer
// while all is right, else as far as it went. A step with a guess that took
// longer than its tokens would have taken one by one was not worth it (in a
// mixture each token of a batch brings its own experts): then, with kAuto,
// there is a pause, which doubles from one such guess to the next. So what
// depends on the clock is when tokens come, and never which. One thread.
class DraftLength {
 public:
  explicit DraftLength(LookupMode mode) : mode_(mode) {}

  // Call once for each step. 0: no guess this time.
  size_t Next();
  // What became of a step: of `proposed` tokens that were guessed, 0 if none
  // were, `accepted` were right.
  void Report(size_t proposed, size_t accepted, double seconds);

 private:
  bool WasWorthIt(size_t proposed, size_t accepted, double seconds) const;

  LookupMode mode_;
  size_t length_ = 4;
  double plain_seconds_ = 0;  // of a step without a guess, lately; 0: unknown
  size_t pause_ = 0;          // steps; 0: the last guess was worth it
  size_t steps_off_ = 0;      // of the pause that are still to come
};

}  // namespace inference
