// SPDX-License-Identifier: Apache-2.0
#include "verify/base/text.h"

#include <string>

#include "verify/base/bytes.h"

namespace verify {
namespace {

TEST(HexTest, RoundTripsAndRefuses) {
  const auto bytes = HexDecode("00fFa9");
  ASSERT_TRUE(bytes.has_value());
  EXPECT_EQ(HexEncode(*bytes), "00ffa9");
  EXPECT_FALSE(HexDecode("0").has_value());
  EXPECT_FALSE(HexDecode("0g").has_value());
}

TEST(Base32Test, DecodesTheVectorsOfRfc4648) {
  const auto text = [](std::string_view encoded) {
    const auto bytes = Base32Decode(encoded);
    return bytes.has_value() ? std::string(AsText(*bytes)) : "(none)";
  };
  EXPECT_EQ(text(""), "");
  EXPECT_EQ(text("MY"), "f");
  EXPECT_EQ(text("MZXQ"), "fo");
  EXPECT_EQ(text("MZXW6"), "foo");
  EXPECT_EQ(text("MZXW6YQ"), "foob");
  EXPECT_EQ(text("mzxw6ytboi"), "foobar");
  EXPECT_EQ(text("M"), "(none)");
  EXPECT_EQ(text("M1"), "(none)");
}

TEST(Base32Test, DecodesAnInfoHash) {
  const auto bytes = Base32Decode("KVDCOLNJAZPN323PZV773XXPLN2346NH");
  ASSERT_TRUE(bytes.has_value());
  EXPECT_EQ(HexEncode(*bytes), "5546272da9065eddeb6fcd7ffddeef5b75be79a7");
}

TEST(Utf8Test, RefusesWhatTheStandardRefuses) {
  EXPECT_TRUE(IsValidUtf8("aé漢🙂"));
  EXPECT_FALSE(IsValidUtf8("\xC0\xAF"));          // overlong
  EXPECT_FALSE(IsValidUtf8("\xED\xA0\x80"));      // surrogate
  EXPECT_FALSE(IsValidUtf8("\xF4\x90\x80\x80"));  // past U+10FFFF
  EXPECT_FALSE(IsValidUtf8("\xE2\x82"));          // cut off
}

TEST(EscapeForTerminalTest, ShowsWhatWouldHideOrMove) {
  EXPECT_EQ(EscapeForTerminal("plain é"), "plain é");
  EXPECT_EQ(EscapeForTerminal("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
  EXPECT_EQ(EscapeForTerminal("x\u202Etxt.exe"), "x\\u{202e}txt.exe");
  EXPECT_EQ(EscapeForTerminal("\xFF"), "\\xff");
  EXPECT_EQ(EscapeForTerminal("abcdef", 3), "abc…");
}

TEST(FormatTest, SizesRatesAndTimes) {
  EXPECT_EQ(FormatSize(17), "17 B");
  EXPECT_EQ(FormatSize(1536), "1.5 KiB");
  EXPECT_EQ(FormatSize(93405585408), "87.0 GiB");
  EXPECT_EQ(FormatRate(12'345'678), "12.3 MB/s");
  EXPECT_EQ(FormatDuration(8.4), "8 s");
  EXPECT_EQ(FormatDuration(125), "2 min 05 s");
  EXPECT_EQ(FormatDuration(11520), "3 h 12 min");
  EXPECT_EQ(FormatDuration(-1), "unknown time");
}

}  // namespace
}  // namespace verify
