// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "verify/base/text.h"

namespace inference {

using verify::ErrorCode;
using verify::Fail;
using verify::StrCat;

verify::Result<void> CheckStops(std::span<const std::string> stops) {
  std::string problem;
  if (stops.size() > kMaxStops) {
    problem = StrCat(stops.size(), " stop strings, at most ", kMaxStops,
                     " are looked for");
  }
  for (const std::string& stop : stops) {
    if (!problem.empty()) break;
    if (stop.empty()) {
      problem = "an empty stop string would end every text";
    } else if (stop.size() > kMaxStopBytes) {
      problem = StrCat("a stop string of ", stop.size(), " bytes, at most ",
                       kMaxStopBytes, " are looked for");
    } else if (!verify::IsValidUtf8(stop)) {
      problem =
          StrCat("the stop string \"", verify::EscapeForTerminal(stop, 64),
                 "\" is not UTF-8, which every answer is");
    }
  }
  if (problem.empty()) return {};
  return Fail(ErrorCode::kInvalidArgument, std::move(problem)).Id("E-STOP");
}

StopMatcher::StopMatcher(std::span<const std::string> stops) {
  for (const std::string& stop : stops) {
    Pattern& pattern = patterns_.emplace_back();
    pattern.text = stop;
    pattern.fallback.assign(stop.size() + 1, 0);
    for (size_t i = 1; i < stop.size(); ++i) {
      size_t length = pattern.fallback[i];
      while (length > 0 && stop[i] != stop[length]) {
        length = pattern.fallback[length];
      }
      pattern.fallback[i + 1] = stop[i] == stop[length] ? length + 1 : 0;
    }
  }
}

void StopMatcher::Pattern::Step(char byte) {
  while (matched > 0 && text[matched] != byte) matched = fallback[matched];
  if (text[matched] == byte) ++matched;
}

std::string StopMatcher::Next(std::string_view text) {
  if (stopped_) return {};
  for (const char byte : text) {
    held_.push_back(byte);
    size_t longest = 0;
    for (Pattern& pattern : patterns_) {
      pattern.Step(byte);
      if (pattern.matched == pattern.text.size()) {
        stopped_ = true;
        longest = std::max(longest, pattern.matched);
      }
    }
    if (!stopped_) continue;
    held_.resize(held_.size() - longest);
    return std::exchange(held_, {});
  }
  size_t kept = 0;
  for (const Pattern& pattern : patterns_) {
    kept = std::max(kept, pattern.matched);
  }
  std::string shown = held_.substr(0, held_.size() - kept);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopMatcher::Finish() {
  return stopped_ ? std::string() : std::exchange(held_, {});
}

}  // namespace inference
