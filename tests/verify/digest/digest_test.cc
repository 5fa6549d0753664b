// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/digest.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/text.h"

namespace verify {
namespace {

using Vectors = std::vector<std::pair<std::string, std::string_view>>;

// RFC 1321, appendix A.5.
TEST(DigestTest, Md5MatchesRfc1321) {
  const Vectors vectors = {
      {"", "d41d8cd98f00b204e9800998ecf8427e"},
      {"a", "0cc175b9c0f1b6a831c399e269772661"},
      {"abc", "900150983cd24fb0d6963f7d28e17f72"},
      {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
      {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
       "d174ab98d277d9f5a5611c2c9f419d9f"},
      {"12345678901234567890123456789012345678901234567890123456789012345678"
       "901234567890",
       "57edf4a22be3c955ac49da2e2107b67a"},
  };
  for (const auto& [text, hex] : vectors) {
    EXPECT_EQ(HexEncode(Md5(AsBytes(text))), hex) << text;
  }
}

// FIPS 180-2, appendices A and B.
TEST(DigestTest, Sha1AndSha256MatchFips180) {
  const std::string two_blocks =
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  const std::string million(1'000'000, 'a');
  EXPECT_EQ(HexEncode(Sha1(AsBytes("abc"))),
            "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(HexEncode(Sha1(AsBytes(two_blocks))),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(HexEncode(Sha1(AsBytes(million))),
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(HexEncode(Sha256(AsBytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HexEncode(Sha256(AsBytes(two_blocks))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(HexEncode(Sha256(AsBytes(million))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(DigestTest, PartsGiveTheDigestOfTheWhole) {
  const std::string text =
      "12345678901234567890123456789012345678901234567890"
      "123456789012345678901234567890";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Md5Hasher hasher;
    hasher.Update(AsBytes(std::string_view(text).substr(0, cut)));
    hasher.Update(AsBytes(std::string_view(text).substr(cut)));
    EXPECT_EQ(HexEncode(hasher.Finish()), "57edf4a22be3c955ac49da2e2107b67a");
  }
}

TEST(DigestTest, StartsAnewAfterFinishAndReset) {
  Sha256Hasher hasher;
  hasher.Update(AsBytes("something else"));
  const auto first = hasher.Finish();
  hasher.Update(AsBytes("abc"));
  EXPECT_EQ(hasher.Finish(), Sha256(AsBytes("abc")));
  hasher.Update(AsBytes("forgotten"));
  hasher.Reset();
  hasher.Update(AsBytes("something else"));
  EXPECT_EQ(hasher.Finish(), first);
}

}  // namespace
}  // namespace verify
