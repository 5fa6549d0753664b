// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using Texts = std::vector<std::string>;

// All that is shown of parts, joined by "|" where Next gave something, with
// "." for what Finish gave.
std::string Shown(const Texts& stops, const Texts& parts) {
  StopMatcher matcher(stops);
  std::string shown;
  for (const std::string& part : parts) {
    const std::string text = matcher.Next(part);
    if (!text.empty()) shown += text + "|";
  }
  return shown + "." + matcher.Finish();
}

TEST(StopMatcherTest, WithoutStopsTextGoesThroughAtOnce) {
  EXPECT_EQ(Shown({}, {"ab", "", "c"}), "ab|c|.");
}

TEST(StopMatcherTest, StopsBeforeTheStop) {
  EXPECT_EQ(Shown({"END"}, {"one END two"}), "one |.");
  // Over several tokens, from the middle of one.
  EXPECT_EQ(Shown({"END"}, {"one E", "N", "D two"}), "one |.");
  // Nothing is shown once it has stopped.
  EXPECT_EQ(Shown({"END"}, {"END", "more"}), ".");
}

TEST(StopMatcherTest, WhatMayBecomeAStopIsHeldUntilItCannot) {
  EXPECT_EQ(Shown({"END"}, {"one E", "N", "T"}), "one |ENT|.");
  EXPECT_EQ(Shown({"END"}, {"one EN"}), "one |.EN");
  // A partial match that fails may be the beginning of another.
  EXPECT_EQ(Shown({"aab"}, {"a", "a", "a", "b"}), "a|.");
  EXPECT_EQ(Shown({"abab!"}, {"abab", "ab!", "x"}), "ab|.");
}

TEST(StopMatcherTest, TheFirstThatIsCompleteEndsTheText) {
  EXPECT_EQ(Shown({"abcd", "bc"}, {"xabcd"}), "xa|.");
  // Both complete at once: the longer one takes more away.
  EXPECT_EQ(Shown({"bc", "abc"}, {"xabc"}), "x|.");
  EXPECT_EQ(Shown({"abc", "bc"}, {"xabc"}), "x|.");
}

TEST(StopMatcherTest, CharactersStayWhole) {
  // "é" is C3 A9, "è" C3 A8: they share a byte, and no part of one is shown.
  EXPECT_EQ(Shown({"é"}, {"caf", "è", "é"}), "caf|è|.");
}

TEST(StopsTest, BadOnesAreRefused) {
  using verify::ErrorCode;
  EXPECT_TRUE(CheckStops({}));
  EXPECT_TRUE(CheckStops(Texts{"\n", std::string(kMaxStopBytes, 'x')}));
  tests::ExpectError(CheckStops(Texts{"a", ""}), ErrorCode::kInvalidArgument,
                     "empty", "E-STOP");
  tests::ExpectError(CheckStops(Texts{std::string(kMaxStopBytes + 1, 'x')}),
                     ErrorCode::kInvalidArgument, "4097", "E-STOP");
  tests::ExpectError(CheckStops(Texts{"\xff"}), ErrorCode::kInvalidArgument,
                     "UTF-8", "E-STOP");
  tests::ExpectError(CheckStops(Texts(kMaxStops + 1, "a")),
                     ErrorCode::kInvalidArgument, "65", "E-STOP");
}

// The definition: the first place where the text so far ends with a stop.
struct Expected {
  std::string shown;
  bool stopped = false;
};
Expected ByDefinition(const Texts& stops, std::string_view text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (text.substr(0, end).ends_with(stop)) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) return {std::string(text.substr(0, end - longest)), true};
  }
  return {std::string(text), false};
}

// Two letters make every kind of overlap likely. At every step what has been
// shown is a beginning of the answer, and all of it that cannot be taken back.
TEST(StopMatcherTest, AgreesWithItsDefinitionForEveryCut) {
  tests::TestRandom random(11);
  const auto word = [&](size_t size) {
    std::string text;
    for (size_t i = 0; i < size; ++i) text += random.NextU32() % 2 ? 'a' : 'b';
    return text;
  };
  size_t stopped = 0;
  for (int round = 0; round < 4000; ++round) {
    Texts stops;
    for (size_t i = random.NextU32() % 3 + 1; i > 0; --i) {
      stops.push_back(word(random.NextU32() % 7 + 1));
    }
    const std::string text = word(random.NextU32() % 30);
    const Expected expected = ByDefinition(stops, text);
    stopped += expected.stopped ? 1 : 0;
    StopMatcher matcher(stops);
    std::string shown;
    size_t at = 0;
    while (at < text.size()) {
      const size_t size =
          std::min<size_t>(random.NextU32() % 5, text.size() - at);
      shown += matcher.Next(std::string_view(text).substr(at, size));
      at += size;
      if (matcher.stopped()) continue;
      // Held back is no more than the longest beginning of a stop.
      const std::string_view so_far = std::string_view(text).substr(0, at);
      ASSERT_TRUE(so_far.starts_with(shown));
      const std::string_view held = so_far.substr(shown.size());
      ASSERT_TRUE(held.empty() || std::any_of(stops.begin(), stops.end(),
                                              [&](const std::string& stop) {
                                                return held.size() <
                                                           stop.size() &&
                                                       stop.starts_with(held);
                                              }))
          << held;
    }
    shown += matcher.Finish();
    ASSERT_EQ(shown, expected.shown) << text;
    ASSERT_EQ(matcher.stopped(), expected.stopped) << text;
  }
  // Both ends are there.
  EXPECT_GT(stopped, 1000u);
  EXPECT_LT(stopped, 3900u);
}

}  // namespace
}  // namespace inference
