// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/blake2b.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "verify/base/text.h"

namespace verify {
namespace {

// By Python's hashlib.blake2b(digest_size=32).
TEST(Blake2bTest, GivesTheDigestsOfAnotherImplementation) {
  std::string ramp;
  for (int i = 0; i < 300; ++i) ramp.push_back(static_cast<char>(i));
  const std::string_view all = ramp;
  for (const auto& [input, hex] :
       {std::pair<std::string_view, std::string_view>{
            "",
            "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
        {"abc",
         "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"},
        {all.substr(0, 127),
         "f2fe67ff342e21b8f45e8f2e0bcd1d9243245d50ee6c78042e9c491388791c72"},
        {all.substr(0, 128),
         "c3582f71ebb2be66fa5dd750f80baae97554f3b015663c8be377cfcb2488c1d1"},
        {all.substr(0, 129),
         "f7f3c46ba2564ff4c4c162da1f5b605f9f1c4aa6a20652a9f9a337c1a2f5b9c9"},
        {all.substr(0, 255),
         "1d0850ee9bca0abc9601e9deabe1418fedec2fb6ac4150bd5302d2430f9be943"},
        {all.substr(0, 256),
         "39a7eb9fedc19aabc83425c6755dd90e6f9d0c804964a1f4aaeea3b9fb599835"},
        {all.substr(0, 257),
         "45f7f084c30bac7cbae2e1963bc6e6b0d8cb227a12927e97fb941d288fb1f9a3"},
        {all.substr(0, 300),
         "3a486e3fe3ee414853000269ac020030aeef748cb05cd62ba85939ec298ef25c"}}) {
    EXPECT_EQ(HexEncode(Blake2b256(AsBytes(input))), hex) << input.size();
  }
}

}  // namespace
}  // namespace verify
