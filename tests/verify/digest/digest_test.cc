// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/digest.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <tuple>
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

// FIPS 180-2, appendices C and D; RFC 7693, appendix A; the others as above.
TEST(DigestTest, SumsOfAbcMatchTheirStandards) {
  const std::vector<std::tuple<SumAlgorithm, std::string_view, std::string>>
      expected = {
          {SumAlgorithm::kMd5, "md5", "900150983cd24fb0d6963f7d28e17f72"},
          {SumAlgorithm::kSha1, "sha1",
           "a9993e364706816aba3e25717850c26c9cd0d89d"},
          {SumAlgorithm::kSha256, "sha256",
           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
          {SumAlgorithm::kSha384, "sha384",
           "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
           "8086072ba1e7cc2358baeca134c825a7"},
          {SumAlgorithm::kSha512, "sha512",
           "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
           "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
          {SumAlgorithm::kBlake2b, "blake2b",
           "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
           "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"},
      };
  SumSet all;
  std::vector<SumAlgorithm> in_order;
  for (const auto& [algorithm, name, hex] : expected) {
    EXPECT_EQ(SumAlgorithmName(algorithm), name);
    EXPECT_EQ(SumBytes(algorithm), hex.size() / 2);
    SumHasher hasher(algorithm);
    hasher.Update(AsBytes("a"));
    hasher.Update(AsBytes("bc"));
    EXPECT_EQ(HexEncode(hasher.Finish()), hex);
    hasher.Update(AsBytes("abc"));
    EXPECT_EQ(HexEncode(hasher.Finish()), hex) << "starts anew";
    EXPECT_FALSE(all.Has(algorithm));
    all.Add(algorithm);
    in_order.push_back(algorithm);
  }
  EXPECT_EQ(all.List(), in_order);
  EXPECT_TRUE(all.HasAll({SumAlgorithm::kMd5, SumAlgorithm::kBlake2b}));
  EXPECT_FALSE(SumSet({SumAlgorithm::kMd5}).HasAll(all));
  EXPECT_TRUE(SumSet().empty());
}

// printf abc | git hash-object --stdin
TEST(DigestTest, GitBlobIsSha1WithAHeader) {
  SumHasher hasher(SumAlgorithm::kGitBlob);
  hasher.Update(AsBytes(GitBlobHeader(3)));
  hasher.Update(AsBytes("abc"));
  EXPECT_EQ(HexEncode(hasher.Finish()),
            "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f");
  EXPECT_EQ(SumAlgorithmName(SumAlgorithm::kGitBlob), "git-blob");
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
