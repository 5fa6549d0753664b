// SPDX-License-Identifier: Apache-2.0
// Ends a streamed text before a stop string, however tokens cut it.
// Tested by tests/inference/generate/stop_matcher_test.cc.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/result.h"

namespace inference {

inline constexpr size_t kMaxStops = 64;
inline constexpr size_t kMaxStopBytes = 4096;

// kInvalidArgument, E-STOP: an empty stop, one that is too long or no UTF-8
// (which no text holds), or too many of them.
verify::Result<void> CheckStops(std::span<const std::string> stops);

// The text ends where the first stop is complete, and what is shown ends where
// that stop begins; of several that are complete at once, where the longest
// does. What could yet become a stop is held back until it is one or cannot
// be. All of this depends on the text alone, not on where it was cut. Time is
// linear in text times stops (Knuth, Morris, Pratt). Movable; one thread.
class StopMatcher {
 public:
  // Requires stops that were checked; none is fine.
  explicit StopMatcher(std::span<const std::string> stops);

  // Goes on with the text; what of it, and of what was held back, can be
  // shown. Complete UTF-8 if `text` is. Nothing once stopped.
  std::string Next(std::string_view text);
  // The text has ended: what is held back, unless stopped.
  std::string Finish();

  bool stopped() const { return stopped_; }

 private:
  struct Pattern {
    std::string text;
    // By length of what has matched: the longest proper suffix of it that is a
    // prefix of the text.
    std::vector<size_t> fallback;
    size_t matched = 0;

    void Step(char byte);
  };

  std::vector<Pattern> patterns_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace inference
