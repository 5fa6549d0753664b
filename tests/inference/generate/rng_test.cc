// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/rng.h"

#include <gtest/gtest.h>

namespace inference {
namespace {

// The first numbers of SplitMix64 from seed 1234567, as published with
// Vigna's splitmix64.c and used by Rosetta Code.
TEST(RngTest, MatchesThePublishedSequence) {
  Rng rng(1234567);
  EXPECT_EQ(rng.NextU64(), 6457827717110365317u);
  EXPECT_EQ(rng.NextU64(), 3203168211198807973u);
  EXPECT_EQ(rng.NextU64(), 9817491932198370423u);
  EXPECT_EQ(rng.NextU64(), 4593380528125082431u);
  EXPECT_EQ(rng.NextU64(), 16408922859458223821u);
}

TEST(RngTest, DoublesLieInTheUnitInterval) {
  Rng rng(0);
  double sum = 0;
  for (int i = 0; i < 10000; ++i) {
    const double value = rng.NextDouble();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  // Mean 1/2; four standard deviations of the mean are 0.0116.
  EXPECT_NEAR(sum / 10000, 0.5, 0.0116);
}

}  // namespace
}  // namespace inference
