// SPDX-License-Identifier: Apache-2.0
// Cases of Unicode Standard Annex 15 and of its NormalizationTest.txt, by their
// code points.
#include "inference/text/unicode_nfc.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "verify/base/text.h"

namespace inference {
namespace {

TEST(UnicodeNfcTest, ComposesAndDecomposes) {
  const auto same = [](std::string_view text, std::string_view expected) {
    EXPECT_EQ(ToNfc(text), expected) << verify::EscapeForTerminal(text);
    EXPECT_EQ(ToNfc(expected), expected);
    EXPECT_TRUE(text == expected || MayChangeInNfc(text));
  };
  same("", "");
  same("plain text", "plain text");
  same("e\xcc\x81", "\xc3\xa9");             // e, acute
  same("\xe2\x84\xab", "\xc3\x85");          // Angstrom sign: A with ring
  same("A\xcc\x8a", "\xc3\x85");             //
  same("\xe2\x84\xa6", "\xce\xa9");          // Ohm sign: Omega
  same("\xef\xa4\x80", "\xe8\xb1\x88");      // U+F900: U+8C48
  same("\xf0\xaf\xa0\x80", "\xe4\xb8\xbd");  // U+2F800: U+4E3D
  // s with dot above and below, in either order: U+1E69.
  same("s\xcc\xa3\xcc\x87", "\xe1\xb9\xa9");
  same("s\xcc\x87\xcc\xa3", "\xe1\xb9\xa9");
  // d, dot above, dot below: U+1E0D and the dot above.
  same("\xe1\xb8\x8b\xcc\xa3", "\xe1\xb8\x8d\xcc\x87");
  // Hangul: U+1112 U+1161 U+11AB is U+D55C.
  same("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c");
  same("\xed\x95\x98\xe1\x86\xab", "\xed\x95\x9c");
  same("\xe1\x84\x92\xe1\x85\xa1", "\xed\x95\x98");
  // Excluded from composition: U+0958 is U+0915 U+093C.
  same("\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc");
  same("\xcd\x84", "\xcc\x88\xcc\x81");  // U+0344
  // Two acutes: the first composes, the second is kept apart by it.
  same("e\xcc\x81\xcc\x81", "\xc3\xa9\xcc\x81");
  // A grave below is no obstacle, another mark of the class above is.
  same("a\xcc\x96\xcc\x80", "\xc3\xa0\xcc\x96");
  same("a\xcc\x85\xcc\x80", "a\xcc\x85\xcc\x80");
  same(
      "\xcc\x81"
      "e",
      "\xcc\x81"
      "e");
}

TEST(UnicodeNfcTest, LooksQuicklyAtWhatCannotChange) {
  EXPECT_FALSE(MayChangeInNfc("plain \xc3\xa9 \xcb\xbf"));  // to U+02FF
  EXPECT_TRUE(MayChangeInNfc("\xcc\x80"));                  // U+0300
}

// Marks in descending order of class: to be sorted, not bubbled.
TEST(UnicodeNfcTest, TakesNoQuadraticTime) {
  std::string text = "a";
  for (int i = 0; i < 20000; ++i) text += "\xcc\x80";  // class 230
  for (int i = 0; i < 20000; ++i) text += "\xcc\x96";  // class 220
  const std::string nfc = ToNfc(text);
  ASSERT_EQ(nfc.size(), 2u * 40000u);
  EXPECT_TRUE(nfc.starts_with("\xc3\xa0\xcc\x96"));
}

}  // namespace
}  // namespace inference
