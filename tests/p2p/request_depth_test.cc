// SPDX-License-Identifier: Apache-2.0
#include "p2p/request_depth.h"

#include <gtest/gtest.h>

namespace tests {
namespace {

using p2p::RequestDepth;

TEST(RequestDepthTest, FewPeersAskAsMuchAsTheyLike) {
  EXPECT_EQ(RequestDepth(0, 0.1, 0), 2000);
  EXPECT_EQ(RequestDepth(1e6, 0.1, 1), 2000);
  EXPECT_EQ(RequestDepth(1e6, 0.1, 2), 2000);
}

// 12.5 MB/s to eight peers next door: 0.12 s of each one's share are 187,500
// bytes, 11 requests of 16,384.
TEST(RequestDepthTest, SeveralKeepMomentsWaiting) {
  EXPECT_EQ(RequestDepth(12.5e6 / 8, 0, 8), 11);
}

// Whoever is held back by its distance alone, with 100 requests in a round
// trip of 300 ms, gets more than 200.
TEST(RequestDepthTest, DistanceIsAllowedFor) {
  EXPECT_EQ(RequestDepth(100 * 16384 / 0.3, 0.3, 8), 240);
}

TEST(RequestDepthTest, ThereIsALeastAndAMost) {
  EXPECT_EQ(RequestDepth(0, 0.1, 3), 8);
  EXPECT_EQ(RequestDepth(1e12, 0.1, 3), 2000);
}

}  // namespace
}  // namespace tests
