// SPDX-License-Identifier: Apache-2.0
// Expected values by hand: ratios are bytes over bytes, times are given.
#include "p2p/seed_policy.h"

#include <gtest/gtest.h>

namespace p2p {
namespace {

SeedFacts Facts(uint64_t uploaded, double seconds, double idle) {
  SeedFacts facts;
  facts.total_bytes = 1000;
  facts.uploaded_bytes = uploaded;
  facts.seed_seconds = seconds;
  facts.idle_seconds = idle;
  facts.since_other_complete_s = 5;
  return facts;
}

TEST(SeedPolicyTest, WithoutLimitsItNeverStops) {
  const SeedVerdict verdict = JudgeSeed({}, Facts(1'000'000, 1e9, 1e9));
  EXPECT_FALSE(verdict.stop);
  EXPECT_FALSE(verdict.held_as_last);
  EXPECT_EQ(verdict.reason, "");
}

TEST(SeedPolicyTest, EachLimitStopsAtItsValueAndNotBefore) {
  SeedPolicy ratio;
  ratio.max_ratio = 2;
  EXPECT_FALSE(JudgeSeed(ratio, Facts(1999, 0, 0)).stop);
  EXPECT_TRUE(JudgeSeed(ratio, Facts(2000, 0, 0)).stop);
  SeedPolicy time;
  time.max_seed_s = 60;
  EXPECT_FALSE(JudgeSeed(time, Facts(0, 59.9, 0)).stop);
  EXPECT_TRUE(JudgeSeed(time, Facts(0, 60, 0)).stop);
  SeedPolicy idle;
  idle.max_idle_s = 30;
  EXPECT_FALSE(JudgeSeed(idle, Facts(0, 100, 29)).stop);
  EXPECT_TRUE(JudgeSeed(idle, Facts(0, 100, 30)).stop);
  SeedPolicy bytes;
  bytes.max_uploaded_bytes = 500;
  EXPECT_FALSE(JudgeSeed(bytes, Facts(499, 0, 0)).stop);
  const SeedVerdict verdict = JudgeSeed(bytes, Facts(500, 0, 0));
  EXPECT_TRUE(verdict.stop);
  EXPECT_EQ(verdict.reason, "500 B uploaded; another complete peer is there");
}

TEST(SeedPolicyTest, AllWaitsForEveryLimit) {
  SeedPolicy policy;
  policy.max_ratio = 1;
  policy.max_seed_s = 60;
  EXPECT_TRUE(JudgeSeed(policy, Facts(1000, 0, 0)).stop);
  policy.rule = SeedPolicy::Rule::kAll;
  EXPECT_FALSE(JudgeSeed(policy, Facts(1000, 0, 0)).stop);
  EXPECT_FALSE(JudgeSeed(policy, Facts(0, 60, 0)).stop);
  EXPECT_TRUE(JudgeSeed(policy, Facts(1000, 60, 0)).stop);
}

TEST(SeedPolicyTest, LastCompletePeerGoesOnUnlessToldOtherwise) {
  SeedPolicy policy;
  policy.max_ratio = 1;
  SeedFacts facts = Facts(1000, 0, 0);
  facts.since_other_complete_s.reset();
  SeedVerdict verdict = JudgeSeed(policy, facts);
  EXPECT_FALSE(verdict.stop);
  EXPECT_TRUE(verdict.held_as_last);
  EXPECT_NE(verdict.reason.find("no other complete peer was ever seen"),
            std::string::npos);
  facts.since_other_complete_s = kOtherCompleteCounts_s + 1;
  EXPECT_TRUE(JudgeSeed(policy, facts).held_as_last);
  facts.since_other_complete_s = kOtherCompleteCounts_s;
  EXPECT_TRUE(JudgeSeed(policy, facts).stop);
  facts.since_other_complete_s.reset();
  policy.stop_even_if_last = true;
  EXPECT_TRUE(JudgeSeed(policy, facts).stop);
}

TEST(SeedPolicyTest, TextFormComesBackTheSame) {
  SeedPolicy policy;
  policy.max_ratio = 1.5;
  policy.max_seed_s = 3600;
  policy.max_idle_s = 0.1;
  policy.max_uploaded_bytes = 18'000'000'000'000'000'000u;
  policy.rule = SeedPolicy::Rule::kAll;
  policy.stop_even_if_last = true;
  EXPECT_EQ(FormatSeedPolicy(policy),
            "ratio=1.5;time=3600;idle=0.1;bytes=18000000000000000000;rule=all;"
            "last=stop");
  const auto back = ParseSeedPolicy(FormatSeedPolicy(policy));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, policy);
  EXPECT_EQ(*ParseSeedPolicy(""), SeedPolicy{});
  for (const char* bad : {"ratio", "ratio=", "ratio=-1", "ratio=nan", "x=1",
                          "rule=some", "last=go", "bytes=1.5", "time=1s"}) {
    EXPECT_FALSE(ParseSeedPolicy(bad)) << bad;
  }
}

TEST(SeedClockTest, CountsServingTimeOnlyAndGoesOnFromBefore) {
  SeedClock clock(100);
  clock.Advance(1000, true, 0);
  clock.Advance(1010, true, 0);
  EXPECT_DOUBLE_EQ(clock.seed_seconds(), 110);
  clock.Advance(1015, false, 0);  // paused from here on
  clock.Advance(1500, true, 0);
  EXPECT_DOUBLE_EQ(clock.seed_seconds(), 115);
  clock.Advance(1501, true, 0);
  EXPECT_DOUBLE_EQ(clock.seed_seconds(), 116);
}

TEST(SeedClockTest, F14JumpsOfTheClockAddLittle) {
  SeedClock clock;
  clock.Advance(0, true, 0);
  clock.Advance(1e9, true, 0);
  EXPECT_DOUBLE_EQ(clock.seed_seconds(), 60);
  clock.Advance(5, true, 0);  // back
  EXPECT_DOUBLE_EQ(clock.seed_seconds(), 60);
}

TEST(SeedClockTest, IdleEndsWithTheNextByte) {
  SeedClock clock;
  clock.Advance(0, true, 0);
  clock.Advance(20, true, 0);
  EXPECT_DOUBLE_EQ(clock.idle_seconds(), 20);
  clock.Advance(21, true, 1);
  EXPECT_DOUBLE_EQ(clock.idle_seconds(), 0);
  clock.Advance(24, true, 1);
  EXPECT_DOUBLE_EQ(clock.idle_seconds(), 3);
}

TEST(CompletePeerWatchTest, TrackerCountsUsToo) {
  CompletePeerWatch watch;
  EXPECT_FALSE(watch.Look({0, 0, -1}));
  EXPECT_FALSE(watch.Look({0, 0, 0}));
  EXPECT_FALSE(watch.Look({0, 0, 1}));
  EXPECT_TRUE(watch.Look({0, 0, 2}));
  EXPECT_TRUE(watch.Look({1, 0, -1}));
}

TEST(CompletePeerWatchTest, AKnownSeedCountsWhenItComes) {
  CompletePeerWatch watch;
  EXPECT_TRUE(watch.Look({0, 1, -1}));
  EXPECT_FALSE(watch.Look({0, 1, -1}));  // may have left since
  EXPECT_TRUE(watch.Look({0, 2, -1}));
}

}  // namespace
}  // namespace p2p
