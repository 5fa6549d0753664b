// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/lookup.h"

#include <gtest/gtest.h>

#include <vector>

namespace inference {
namespace {

using Ids = std::vector<TokenId>;

TEST(GuessTokensTest, GoesOnAsItWentOnBefore) {
  //                     1 2 3 was followed by 4 5 6
  EXPECT_EQ(GuessTokens(Ids{9, 1, 2, 3, 4, 5, 6, 1, 2, 3}, 3), (Ids{4, 5, 6}));
  EXPECT_EQ(GuessTokens(Ids{9, 1, 2, 3, 4, 5, 6, 1, 2, 3}, 1), (Ids{4}));
  EXPECT_TRUE(GuessTokens(Ids{9, 1, 2, 3, 4, 5, 6, 1, 2, 3}, 0).empty());
}

TEST(GuessTokensTest, TwoTokensThatAgreeAreTooFew) {
  EXPECT_TRUE(GuessTokens(Ids{8, 2, 3, 4, 5, 6, 1, 2, 3}, 3).empty());
  EXPECT_TRUE(GuessTokens(Ids{1, 2, 3}, 3).empty());
  EXPECT_TRUE(GuessTokens({}, 3).empty());
  // The first tokens of all can be what agrees.
  EXPECT_EQ(GuessTokens(Ids{1, 2, 3, 4, 1, 2, 3}, 1), (Ids{4}));
}

TEST(GuessTokensTest, TheLongestAgreementWinsThenTheLatest) {
  // 0 1 2 3 -> 7 agrees in four tokens, 1 2 3 -> 8 in three, though later.
  EXPECT_EQ(GuessTokens(Ids{0, 1, 2, 3, 7, 5, 1, 2, 3, 8, 0, 1, 2, 3}, 1),
            (Ids{7}));
  EXPECT_EQ(GuessTokens(Ids{4, 1, 2, 3, 7, 5, 1, 2, 3, 8, 6, 1, 2, 3}, 1),
            (Ids{8}));
}

TEST(GuessTokensTest, ALoopGoesOnAsALoop) {
  // The end agrees with itself two tokens earlier.
  EXPECT_EQ(GuessTokens(Ids{5, 1, 2, 1, 2, 1, 2}, 5), (Ids{1, 2, 1, 2, 1}));
  EXPECT_EQ(GuessTokens(Ids{7, 7, 7, 7}, 6), (Ids{7, 7, 7, 7, 7, 7}));
}

TEST(DraftLengthTest, GrowsWithSuccessToItsLimit) {
  DraftLength length(LookupMode::kAuto);
  size_t last = length.Next();
  EXPECT_GE(last, 1u);
  for (int i = 0; i < 8; ++i) {
    length.Report(last, last, 1);
    const size_t next = length.Next();
    EXPECT_GE(next, last);
    last = next;
  }
  EXPECT_EQ(last, kMaxDraftTokens);
  // A short guess that was right, as at the end of a text, makes it no shorter.
  length.Report(1, 1, 1);
  EXPECT_EQ(length.Next(), kMaxDraftTokens);
}

TEST(DraftLengthTest, IsCutToWhatWasRight) {
  DraftLength length(LookupMode::kAuto);
  length.Report(16, 9, 1);
  EXPECT_EQ(length.Next(), 10u);
  length.Report(8, 4, 1);
  EXPECT_EQ(length.Next(), 5u);
}

// Wrong guesses become rare: of 1000 steps of text that never goes on as
// before, one of 4 tokens, then one of a token after each of the pauses 1, 2,
// 4, ..., 64, and after each 64 steps of the 1000 - 4 - 127 - 7 that remain.
TEST(DraftLengthTest, PausesWhereGuessesFail) {
  DraftLength length(LookupMode::kAuto);
  size_t wasted = 0;
  for (int step = 0; step < 1000; ++step) {
    const size_t proposed = length.Next();
    wasted += proposed;
    length.Report(proposed, 0, proposed == 0 ? 1 : 1.5);
  }
  EXPECT_LE(wasted, 4u + 7u + 14u);
  EXPECT_GE(wasted, 10u);
}

// Against steps of one second: three tokens in 2.9 seconds are worth it, in
// 3.1 they are not.
TEST(DraftLengthTest, PausesWhereGuessesDoNotPay) {
  DraftLength length(LookupMode::kAuto);
  length.Report(0, 0, 1);
  length.Report(4, 2, 2.9);
  EXPECT_EQ(length.Next(), 3u);
  length.Report(4, 2, 3.1);
  EXPECT_EQ(length.Next(), 0u);
  EXPECT_EQ(length.Next(), 3u);
  length.Report(4, 2, 3.1);
  EXPECT_EQ(length.Next(), 0u);
  EXPECT_EQ(length.Next(), 0u);
  EXPECT_EQ(length.Next(), 3u);
  // One that pays ends it; the next that does not begins with one step again.
  length.Report(4, 2, 2.9);
  EXPECT_EQ(length.Next(), 3u);
  length.Report(4, 2, 3.1);
  EXPECT_EQ(length.Next(), 0u);
  EXPECT_EQ(length.Next(), 3u);
}

TEST(DraftLengthTest, OnGuessesAlwaysAndOffNever) {
  DraftLength on(LookupMode::kOn);
  DraftLength off(LookupMode::kOff);
  for (int step = 0; step < 20; ++step) {
    EXPECT_EQ(off.Next(), 0u);
    const size_t proposed = on.Next();
    ASSERT_GE(proposed, 1u);
    on.Report(proposed, 0, 1);
  }
}

}  // namespace
}  // namespace inference
