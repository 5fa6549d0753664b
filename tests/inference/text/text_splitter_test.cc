// SPDX-License-Identifier: Apache-2.0
// Each alternative of each pattern by cases worked out by hand, and texts made
// at random against a plain backtracking matcher of the patterns, below.
#include "inference/text/text_splitter.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inference/text/unicode_class.h"
#include "tests/support/test_random.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::SplitPattern;
using verify::StrCat;
using Words = std::vector<std::string>;

Words Split(SplitPattern pattern, std::string_view text) {
  Words words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = WordEnd(pattern, text, at);
    EXPECT_GT(end, at);
    if (end <= at) break;
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

// Categories as UnicodeData.txt gives them.
TEST(UnicodeClassTest, KnowsTheClassesOfCharacters) {
  const auto is = [](CharClass kind, std::vector<char32_t> characters) {
    for (const char32_t c : characters) {
      EXPECT_EQ(ClassOf(c), kind) << std::hex << static_cast<uint32_t>(c);
    }
  };
  is(CharClass::kUpper, {'A', 'Z', 0xc0, 0x100, 0x102, 0x1c4, 0x1c5, 0x391,
                         0x410, 0x10400, 0x1d400, 0xa640});
  is(CharClass::kLower, {'a', 'z', 0xdf, 0xe9, 0x101, 0x103, 0x1c6, 0x3b1,
                         0x430, 0x10428, 0x1d41a, 0xa641});
  is(CharClass::kLetter, {0xaa, 0xba, 0x2b0, 0x5d0, 0x627, 0xe01, 0x3042,
                          0x4e00, 0x9fff, 0xac00, 0xd7a3, 0x13000, 0x20000});
  is(CharClass::kMark, {0x300, 0x36f, 0x483, 0x903, 0x20dd, 0xfe0f, 0xe0100});
  is(CharClass::kNumber,
     {'0', '9', 0xb2, 0xbd, 0x660, 0x2160, 0x3007, 0x1d7ce});
  is(CharClass::kSpace,
     {'\t', '\n', '\v', '\f', '\r', ' ', 0x85, 0xa0, 0x1680, 0x2000, 0x200a,
      0x2028, 0x2029, 0x202f, 0x205f, 0x3000});
  is(CharClass::kOther,
     {0, 0x1c, 0x1f, '!', '\'', '_', 0x7f, 0x180e, 0x200b, 0x200d, 0x2581,
      0xe000, 0xfeff, 0xfffd, 0x1f642, 0x10ffff, 0x110000, 0xffffffff});
}

TEST(TextSplitterTest, CutsAsGpt2Does) {
  const auto split = [](std::string_view text) {
    return Split(SplitPattern::kGpt2, text);
  };
  EXPECT_EQ(split("it's I'll we're I've I'm he'd don't"),
            (Words{"it", "'s", " I", "'ll", " we", "'re", " I", "'ve", " I",
                   "'m", " he", "'d", " don", "'t"}));
  EXPECT_EQ(split("IT'S 'l 'x"), (Words{"IT", "'", "S", " '", "l", " '", "x"}));
  EXPECT_EQ(split("abc123 456  7"), (Words{"abc", "123", " 456", " ", " 7"}));
  EXPECT_EQ(split("a, b!?\n\n c"), (Words{"a", ",", " b", "!?", "\n\n", " c"}));
  EXPECT_EQ(split("a\n\nb"), (Words{"a", "\n", "\n", "b"}));
  EXPECT_EQ(split("a   "), (Words{"a", "   "}));
  EXPECT_EQ(split("\tx \t y"), (Words{"\t", "x", " \t", " y"}));
  EXPECT_EQ(split("e\xcc\x81t\xc3\xa9"), (Words{"e", "\xcc\x81", "t\xc3\xa9"}));
}

TEST(TextSplitterTest, CutsAsLlama3AndQwen2Do) {
  const auto split = [](std::string_view text) {
    return Split(SplitPattern::kLlama3, text);
  };
  EXPECT_EQ(split("IT'S we'LL x'RE 'rest"),
            (Words{"IT", "'S", " we", "'LL", " x", "'RE", " '", "rest"}));
  // U+017F is an "s" of another case.
  EXPECT_EQ(split("it'\xc5\xbfx"), (Words{"it", "'\xc5\xbf", "x"}));
  EXPECT_EQ(split("$abc\tdef (x)"), (Words{"$abc", "\tdef", " (", "x", ")"}));
  EXPECT_EQ(split("12345 6"), (Words{"123", "45", " ", "6"}));
  EXPECT_EQ(split("a;\r\n\n  b"), (Words{"a", ";\r\n\n", " ", " b"}));
  EXPECT_EQ(split("a \n \n  b"), (Words{"a", " \n \n", " ", " b"}));
  EXPECT_EQ(split("a  \t"), (Words{"a", "  \t"}));
  EXPECT_EQ(split("\nabc"), (Words{"\n", "abc"}));
  EXPECT_EQ(Split(SplitPattern::kQwen2, "12345 6a"),
            (Words{"1", "2", "3", "4", "5", " ", "6", "a"}));
}

TEST(TextSplitterTest, CutsAsO200kAndTekkenDo) {
  const auto split = [](std::string_view text) {
    return Split(SplitPattern::kTekken, text);
  };
  EXPECT_EQ(split("HTTPServer camelCase ABC"),
            (Words{"HTTPServer", " camel", "Case", " ABC"}));
  EXPECT_EQ(split("it's"), (Words{"it", "'s"}));
  EXPECT_EQ(split("12 3"), (Words{"1", "2", " ", "3"}));
  EXPECT_EQ(split("a//\n/b"), (Words{"a", "//\n/", "b"}));
  EXPECT_EQ(split("x \n y"), (Words{"x", " \n", " y"}));
  // A capital behind a letter that has no case is given back.
  EXPECT_EQ(split("\xe4\xb8\xad\xe6\x96\x87"
                  "AB c"),
            (Words{"\xe4\xb8\xad\xe6\x96\x87", "AB", " c"}));
  // A mark is a letter's prefix, and a word by itself before capitals.
  EXPECT_EQ(split("\xcc\x81"
                  "ab"),
            (Words{"\xcc\x81"
                   "ab"}));
  EXPECT_EQ(split("\xcc\x81"
                  "AB"),
            (Words{"\xcc\x81", "AB"}));
  const auto o200k = [](std::string_view text) {
    return Split(SplitPattern::kO200k, text);
  };
  EXPECT_EQ(o200k("it's I'LL ABC'Ve x'"),
            (Words{"it's", " I'LL", " ABC'Ve", " x", "'"}));
  EXPECT_EQ(o200k("12345"), (Words{"123", "45"}));
}

// The patterns as sequences of repeated sets, tried with backtracking as a
// regular expression engine does: greedy, the first alternative that matches.
using Code = char32_t;
using Text = std::u32string;
using Set = std::function<bool(Code)>;
struct Item {
  Set set;
  size_t least = 1;
  size_t most = SIZE_MAX;
  bool not_before_nonspace = false;  // (?!\S)
};
using Sequence = std::vector<Item>;

std::optional<size_t> Match(const Sequence& items, size_t item,
                            const Text& text, size_t at) {
  if (item == items.size()) return at;
  const Item& one = items[item];
  if (one.not_before_nonspace) {
    if (at < text.size() && ClassOf(text[at]) != CharClass::kSpace) {
      return std::nullopt;
    }
    return Match(items, item + 1, text, at);
  }
  size_t count = 0;
  while (count < one.most && at + count < text.size() &&
         one.set(text[at + count])) {
    ++count;
  }
  for (;; --count) {
    if (count < one.least) return std::nullopt;
    if (const auto end = Match(items, item + 1, text, at + count)) return end;
    if (count == 0) return std::nullopt;
  }
}

bool L(Code c) {
  const CharClass k = ClassOf(c);
  return k == CharClass::kUpper || k == CharClass::kLower ||
         k == CharClass::kLetter;
}
bool N(Code c) { return ClassOf(c) == CharClass::kNumber; }
bool S(Code c) { return ClassOf(c) == CharClass::kSpace; }
bool NotSLN(Code c) { return !S(c) && !L(c) && !N(c); }
bool Newline(Code c) { return c == '\r' || c == '\n'; }
bool NewlineOrSlash(Code c) { return Newline(c) || c == '/'; }
bool NotNewlineLN(Code c) { return !Newline(c) && !L(c) && !N(c); }
bool Head(Code c) {
  const CharClass k = ClassOf(c);
  return k == CharClass::kUpper || k == CharClass::kLetter ||
         k == CharClass::kMark;
}
bool Tail(Code c) {
  const CharClass k = ClassOf(c);
  return k == CharClass::kLower || k == CharClass::kLetter ||
         k == CharClass::kMark;
}
Set Is(Code wanted, bool any_case) {
  return [wanted, any_case](Code c) {
    if (c == wanted) return true;
    if (!any_case) return false;
    return c == wanted - 'a' + 'A' || (wanted == 's' && c == 0x17f);
  };
}

std::vector<Sequence> Contractions(bool any_case) {
  std::vector<Sequence> all;
  for (const std::string_view word : {"s", "t", "re", "ve", "m", "ll", "d"}) {
    Sequence one = {{Is('\'', false), 1, 1}};
    for (const char c : word) {
      one.push_back({Is(static_cast<Code>(c), any_case), 1, 1});
    }
    all.push_back(one);
  }
  return all;
}

std::vector<Sequence> Alternatives(SplitPattern pattern) {
  const Item space{Is(' ', false), 0, 1};
  const Item prefix{NotNewlineLN, 0, 1};
  std::vector<Sequence> all;
  const auto blanks = [&all] {
    all.push_back({{S}, {nullptr, 0, 0, true}});
    all.push_back({{S}});
  };
  if (pattern == SplitPattern::kGpt2) {
    all = Contractions(false);
    all.push_back({space, {L}});
    all.push_back({space, {N}});
    all.push_back({space, {NotSLN}});
    blanks();
    return all;
  }
  const bool cased =
      pattern == SplitPattern::kO200k || pattern == SplitPattern::kTekken;
  const bool single =
      pattern == SplitPattern::kQwen2 || pattern == SplitPattern::kTekken;
  if (cased) {
    for (const Sequence& word :
         {Sequence{prefix, {Head, 0}, {Tail}}, {prefix, {Head}, {Tail, 0}}}) {
      if (pattern == SplitPattern::kO200k) {
        // An optional group is its alternatives first, then nothing; all of
        // them behind the same word.
        for (const Sequence& ending : Contractions(true)) {
          Sequence longer = word;
          longer.insert(longer.end(), ending.begin(), ending.end());
          all.push_back(longer);
        }
      }
      all.push_back(word);
    }
  } else {
    all = Contractions(true);
    all.push_back({prefix, {L}});
  }
  all.push_back({{N, 1, single ? size_t{1} : size_t{3}}});
  all.push_back(
      {space, {NotSLN}, {cased ? Set(NewlineOrSlash) : Set(Newline), 0}});
  all.push_back({{S, 0}, {Newline}});
  blanks();
  return all;
}

std::string Utf8(Code c) {
  std::string out;
  const auto add = [&out](Code byte) {
    out.push_back(static_cast<char>(byte));
  };
  if (c < 0x80) {
    add(c);
  } else if (c < 0x800) {
    add(0xc0 | c >> 6);
    add(0x80 | (c & 63));
  } else if (c < 0x10000) {
    add(0xe0 | c >> 12);
    add(0x80 | (c >> 6 & 63));
    add(0x80 | (c & 63));
  } else {
    add(0xf0 | c >> 18);
    add(0x80 | (c >> 12 & 63));
    add(0x80 | (c >> 6 & 63));
    add(0x80 | (c & 63));
  }
  return out;
}

TEST(TextSplitterTest, AgreesWithABacktrackingMatcher) {
  // Few characters of every class, so that all ways of meeting occur.
  const Text alphabet =
      U"aAsStdlLreEvmb'' '' \n\r\t  //.!_1290\u0301\u02b0\u4e2d\u01c5\u017f"
      U"\u00a0\u2028\u0660\U0001f642\u0391\u03b1";
  tests::TestRandom random(7);
  for (const auto pattern :
       {SplitPattern::kGpt2, SplitPattern::kLlama3, SplitPattern::kQwen2,
        SplitPattern::kO200k, SplitPattern::kTekken}) {
    const std::vector<Sequence> alternatives = Alternatives(pattern);
    for (int round = 0; round < 3000; ++round) {
      Text text;
      const size_t size = 1 + random.NextU32() % 14;
      while (text.size() < size) {
        text.push_back(alphabet[random.NextU32() % alphabet.size()]);
      }
      Words expected;
      std::string whole;
      for (size_t at = 0; at < text.size();) {
        std::optional<size_t> end;
        for (const Sequence& one : alternatives) {
          end = Match(one, 0, text, at);
          if (end) break;
        }
        ASSERT_TRUE(end && *end > at);
        std::string word;
        for (; at < *end; ++at) word += Utf8(text[at]);
        whole += word;
        expected.push_back(word);
      }
      ASSERT_EQ(Split(pattern, whole), expected)
          << verify::SplitPatternName(pattern) << " \""
          << verify::EscapeForTerminal(whole) << '"';
    }
  }
}

// Tens of thousands of characters of every kind that could be looked at again
// and again: a quadratic splitter would take minutes.
TEST(TextSplitterTest, TakesLinearTime) {
  for (const std::string_view unit :
       {"A", "a", " ", "\n", " \n", "1", "!", "'", "\xcc\x81",
        "\xcc\x81"
        "A",
        "A\xe4\xb8\xad", "\xe4\xb8\xad", "/\n", "! ", "\xc5\xbf'"}) {
    std::string text;
    while (text.size() < 50000) text += unit;
    text += "A";
    for (const auto pattern : {SplitPattern::kGpt2, SplitPattern::kLlama3,
                               SplitPattern::kO200k, SplitPattern::kTekken}) {
      size_t at = 0;
      while (at < text.size()) at = WordEnd(pattern, text, at);
      EXPECT_EQ(at, text.size());
    }
  }
}

}  // namespace
}  // namespace inference
