// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/lookup.h"

#include <algorithm>

#include "verify/base/check.h"

namespace inference {
namespace {

// Longer agreements are not told apart.
constexpr size_t kMaxLookupMatch = 32;

// A wrong guess of one token costs up to one more token (in a mixture the
// second token brings its own experts): of 64 steps that is not felt.
constexpr size_t kLongestPause = 64;

// Of the latest step in the average time of one.
constexpr double kNewShare = 0.25;

// Tokens that agree before position `end` and at the end of the sequence.
size_t AgreementAt(std::span<const TokenId> sequence, size_t end) {
  const size_t most = std::min(end, kMaxLookupMatch);
  size_t length = 0;
  while (length < most &&
         sequence[end - 1 - length] == sequence[sequence.size() - 1 - length]) {
    ++length;
  }
  return length;
}

}  // namespace

std::vector<TokenId> GuessTokens(std::span<const TokenId> sequence,
                                 size_t max_tokens) {
  size_t best = kMinLookupMatch - 1;
  size_t follows = 0;  // position of what followed the best
  for (size_t end = sequence.size(); end-- > kMinLookupMatch;) {
    const size_t length = AgreementAt(sequence, end);
    if (length <= best) continue;
    best = length;
    follows = end;
    if (best == kMaxLookupMatch) break;
  }
  std::vector<TokenId> guess;
  if (follows == 0) return guess;
  guess.reserve(max_tokens);
  while (guess.size() < max_tokens) {
    const size_t at = follows + guess.size();
    guess.push_back(at < sequence.size() ? sequence[at]
                                         : guess[at - sequence.size()]);
  }
  return guess;
}

size_t DraftLength::Next() {
  if (mode_ == LookupMode::kOff) return 0;
  if (steps_off_ > 0) {
    --steps_off_;
    return 0;
  }
  return length_;
}

bool DraftLength::WasWorthIt(size_t proposed, size_t accepted,
                             double seconds) const {
  // Nothing to compare with: half of it right.
  if (plain_seconds_ == 0) return 2 * accepted >= proposed;
  return seconds <= static_cast<double>(accepted + 1) * plain_seconds_;
}

void DraftLength::Report(size_t proposed, size_t accepted, double seconds) {
  CHECK(accepted <= proposed);
  if (proposed == 0) {
    plain_seconds_ =
        plain_seconds_ == 0
            ? seconds
            : plain_seconds_ + kNewShare * (seconds - plain_seconds_);
    return;
  }
  // As far as it went this time, and one to find out whether it goes further.
  length_ =
      accepted == proposed ? std::max(length_, 2 * proposed) : accepted + 1;
  length_ = std::min(length_, kMaxDraftTokens);
  if (WasWorthIt(proposed, accepted, seconds)) {
    pause_ = 0;
    return;
  }
  pause_ = std::min(std::max<size_t>(1, 2 * pause_), kLongestPause);
  if (mode_ == LookupMode::kAuto) steps_off_ = pause_;
}

}  // namespace inference
