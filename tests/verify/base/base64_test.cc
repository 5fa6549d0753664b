// SPDX-License-Identifier: Apache-2.0
#include "verify/base/base64.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

namespace verify {
namespace {

std::string Decoded(std::string_view text) {
  const auto bytes = Base64Decode(text);
  return bytes.has_value() ? std::string(AsText(*bytes)) : "(nothing)";
}

// RFC 4648, section 10.
TEST(Base64Test, GivesTheVectorsOfTheStandard) {
  for (const auto& [plain, coded] :
       {std::pair<std::string_view, std::string_view>{"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(Base64Encode(AsBytes(plain)), coded);
    EXPECT_EQ(Decoded(coded), plain);
  }
}

TEST(Base64Test, ReadsBothAlphabets) {
  EXPECT_EQ(Decoded("+/+/"), "\xFB\xFF\xBF");
  EXPECT_EQ(Decoded("-_-_"), "\xFB\xFF\xBF");
  EXPECT_EQ(Decoded("+_+_"), "(nothing)");
}

TEST(Base64Test, RefusesAllThatIsNotOneTextOfOneValue) {
  for (const std::string_view text :
       {"Z", "Zg", "Zg=", "Zg===", "=",
        "==", "====", "Z===", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\n", " Zm9v",
        "Zm 9", "Zm9v====", "Z*==", "Zg=a", "\xC3\xA4\xC3\xA4"}) {
    EXPECT_EQ(Decoded(text), "(nothing)") << text;
  }
  EXPECT_EQ(Decoded(std::string_view("Zm9\0", 4)), "(nothing)");
}

TEST(Base64Test, GivesBackEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  for (size_t size = 0; size <= all.size(); ++size) {
    const std::string_view part = std::string_view(all).substr(256 - size);
    EXPECT_EQ(Decoded(Base64Encode(AsBytes(part))), part);
  }
}

}  // namespace
}  // namespace verify
