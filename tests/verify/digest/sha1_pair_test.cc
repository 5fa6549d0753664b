// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/sha1_pair.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/content.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::Content;

class Sha1PairTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Sha1Pair::Supported()) GTEST_SKIP() << "no SHA extensions here";
  }
};

// FIPS 180-2, appendix A.3: a million times "a".
TEST_F(Sha1PairTest, MatchesTheStandard) {
  const std::string million(1'000'000, 'a');
  Sha1Pair pair;
  pair.Update(AsBytes(million), AsBytes(million));
  for (const Sha1Digest& digest : pair.Finish()) {
    EXPECT_EQ(HexEncode(digest), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  }
}

TEST_F(Sha1PairTest, OfNothing) {
  Sha1Pair pair;
  const auto digests = pair.Finish();
  EXPECT_EQ(digests[0], Sha1({}));
  EXPECT_EQ(digests[1], Sha1({}));
}

TEST_F(Sha1PairTest, KeepsTheLanesApartAndStartsAnew) {
  Sha1Pair pair;
  for (const size_t size :
       {size_t{64}, size_t{128}, size_t{4096}, size_t{64 * 1001}}) {
    const std::string first = Content(size, 1);
    const std::string second = Content(size, 2);
    // In two parts, and with bytes before that are forgotten.
    pair.Update(AsBytes(second), AsBytes(first));
    pair.Reset();
    const size_t part = size / 128 * 64;
    pair.Update(AsBytes(first).first(part), AsBytes(second).first(part));
    pair.Update(AsBytes(first).subspan(part), AsBytes(second).subspan(part));
    const auto digests = pair.Finish();
    EXPECT_EQ(digests[0], Sha1(AsBytes(first))) << size;
    EXPECT_EQ(digests[1], Sha1(AsBytes(second))) << size;
  }
}

}  // namespace
}  // namespace verify
