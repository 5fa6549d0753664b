// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/sha256_lane.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/content.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::Content;
using Method = Sha256Lane::Method;

// What does not depend on the method, with each of them.
class Sha256LaneTest : public ::testing::TestWithParam<Method> {};

// FIPS 180-2, appendix B: "abc", two blocks, a million times "a".
TEST_P(Sha256LaneTest, MatchesTheStandard) {
  const std::string two_blocks =
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  const std::string million(1'000'000, 'a');
  Sha256Lane a(GetParam());
  Sha256Lane b(GetParam());
  a.Update(AsBytes("abc"));
  EXPECT_EQ(HexEncode(a.Finish()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  a.Update(AsBytes(two_blocks));
  EXPECT_EQ(HexEncode(a.Finish()),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  Sha256Lane::UpdateBoth(a, AsBytes(million), b, AsBytes(million));
  for (const Sha256Digest& digest : Sha256Lane::FinishBoth(a, b)) {
    EXPECT_EQ(
        HexEncode(digest),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

// Lengths around those where the padding takes another block.
TEST_P(Sha256LaneTest, IsOpenSslsForEveryLength) {
  const std::string text = Content(300, 1);
  for (size_t size = 0; size <= text.size(); ++size) {
    const ByteSpan bytes = AsBytes(text).first(size);
    Sha256Lane lane(GetParam());
    lane.Update(bytes.first(size / 3));
    lane.Update(bytes.subspan(size / 3));
    EXPECT_EQ(lane.Finish(), Sha256(bytes)) << size;
  }
}

TEST_P(Sha256LaneTest, TwoOfAnyLengthsAndPhasesStayApart) {
  const std::string first = Content(5000, 2);
  const std::string second = Content(5000, 3);
  const std::vector<size_t> sizes = {0, 1, 55, 56, 63, 64, 65, 128, 1000, 4999};
  Sha256Lane a(GetParam());
  Sha256Lane b(GetParam());
  for (const size_t a_size : sizes) {
    for (const size_t b_size : sizes) {
      // In two parts, so that one may stand within a block when the other does
      // not.
      const ByteSpan a_bytes = AsBytes(first).first(a_size);
      const ByteSpan b_bytes = AsBytes(second).first(b_size);
      Sha256Lane::UpdateBoth(a, a_bytes.first(a_size / 2), b,
                             b_bytes.first(b_size / 5));
      Sha256Lane::UpdateBoth(a, a_bytes.subspan(a_size / 2), b,
                             b_bytes.subspan(b_size / 5));
      const auto digests = Sha256Lane::FinishBoth(a, b);
      EXPECT_EQ(digests[0], Sha256(a_bytes)) << a_size << " " << b_size;
      EXPECT_EQ(digests[1], Sha256(b_bytes)) << a_size << " " << b_size;
    }
  }
}

TEST_P(Sha256LaneTest, ResetForgets) {
  Sha256Lane lane(GetParam());
  lane.Update(AsBytes("forgotten"));
  lane.Reset();
  lane.Update(AsBytes("abc"));
  EXPECT_EQ(lane.Finish(), Sha256(AsBytes("abc")));
}

INSTANTIATE_TEST_SUITE_P(Methods, Sha256LaneTest,
                         ::testing::Values(Method::kFastest, Method::kPlain),
                         [](const auto& method) {
                           return method.param == Method::kPlain ? "Plain"
                                                                 : "Fastest";
                         });

TEST(Sha256LaneMixTest, LanesOfDifferentMethodsGoTogether) {
  const std::string text = Content(1000, 4);
  Sha256Lane fast;
  Sha256Lane plain(Method::kPlain);
  Sha256Lane::UpdateBoth(fast, AsBytes(text), plain, AsBytes(text));
  const auto digests = Sha256Lane::FinishBoth(fast, plain);
  EXPECT_EQ(digests[0], Sha256(AsBytes(text)));
  EXPECT_EQ(digests[1], Sha256(AsBytes(text)));
}

}  // namespace
}  // namespace verify
