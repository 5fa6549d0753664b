// SPDX-License-Identifier: Apache-2.0
#include "p2p/bencode.h"

#include <gtest/gtest.h>

#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::AsBytes;
using verify::AsText;
using verify::ErrorCode;

// A document and the text that it views.
class Parsed {
 public:
  explicit Parsed(std::string text)
      : text_(std::move(text)),
        document_(*BencodeDocument::Parse(AsBytes(text_))) {}
  BencodeValue root() const { return document_.root(); }

 private:
  std::string text_;
  BencodeDocument document_;
};

TEST(BencodeTest, ReadsTheExamplesOfBep3) {
  EXPECT_EQ(Parsed("4:spam").root().AsString(), "spam");
  EXPECT_EQ(Parsed("0:").root().AsString(), "");
  EXPECT_EQ(Parsed("i3e").root().AsInteger(), 3);
  EXPECT_EQ(Parsed("i-3e").root().AsInteger(), -3);
  EXPECT_EQ(Parsed("i0e").root().AsInteger(), 0);
  const Parsed list("l4:spam4:eggse");
  std::vector<std::string_view> items;
  for (const BencodeValue item : list.root()) items.push_back(*item.AsString());
  EXPECT_EQ(items, (std::vector<std::string_view>{"spam", "eggs"}));
  const Parsed dictionary("d3:cow3:moo4:spaml1:a1:bee");
  EXPECT_EQ(dictionary.root().Find("cow")->AsString(), "moo");
  const auto spam = dictionary.root().Find("spam");
  ASSERT_TRUE(spam.has_value() && spam->is_list());
  EXPECT_EQ(AsText(spam->raw()), "l1:a1:be");
  EXPECT_EQ(spam->offset(), 17u);
  EXPECT_FALSE(dictionary.root().Find("co").has_value());
  EXPECT_FALSE(dictionary.root().Find("zebra").has_value());
}

TEST(BencodeTest, ReadsTheRangeOfIntegers) {
  EXPECT_EQ(Parsed("i9223372036854775807e").root().AsInteger(), INT64_MAX);
  EXPECT_EQ(Parsed("i-9223372036854775808e").root().AsInteger(), INT64_MIN);
}

TEST(BencodeTest, KindsDoNotMix) {
  const Parsed text("1:a");
  EXPECT_FALSE(text.root().AsInteger().has_value());
  EXPECT_FALSE(text.root().Find("a").has_value());
  EXPECT_TRUE(text.root().begin() == text.root().end());
  const Parsed number("i1e");
  EXPECT_FALSE(number.root().AsString().has_value());
  EXPECT_TRUE(number.root().begin() == number.root().end());
  for (const char* empty : {"le", "de"}) {
    const Parsed container(empty);
    EXPECT_TRUE(container.root().begin() == container.root().end());
    EXPECT_FALSE(container.root().AsString().has_value());
    EXPECT_FALSE(container.root().AsInteger().has_value());
  }
}

TEST(BencodeTest, ReadsNestedContainers) {
  const Parsed parsed("ld1:ali1elee1:bdee0:i2ee");
  std::vector<std::string> raw;
  for (const BencodeValue item : parsed.root()) {
    raw.emplace_back(AsText(item.raw()));
  }
  EXPECT_EQ(raw, (std::vector<std::string>{"d1:ali1elee1:bdee", "0:", "i2e"}));
}

TEST(BencodeTest, A9RefusesEverythingElse) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "no bytes"},
      {"e", "neither"},
      {"x", "neither"},
      {" i1e", "neither"},
      {"i", "without an end"},
      {"i1", "without an end"},
      {"i-", "without an end"},
      {"ie", "not digits"},
      {"i-e", "not digits"},
      {"i+1e", "not digits"},
      {"i1.5e", "not digits"},
      {"i1x", "not digits"},
      {"i 1e", "not digits"},
      {"i01e", "begins with 0"},
      {"i-0e", "begins with 0"},
      {"i-01e", "begins with 0"},
      {"i9223372036854775808e", "beyond 64 bits"},
      {"i-9223372036854775809e", "beyond 64 bits"},
      {"1", "without \":\""},
      {"1a", "without \":\""},
      {"01:a", "begins with 0"},
      {"00:", "begins with 0"},
      {"2:a", "2 bytes where 1 remain"},
      {"99999999999999999999:a", "where 1 remain"},
      {"18446744073709551615:a", "where 1 remain"},
      {"l", "ends inside"},
      {"d", "ends inside"},
      {"li1e", "ends inside"},
      {"d1:a", "ends inside"},
      {"d1:ai1e", "ends inside"},
      {"d1:ae", "key without a value"},
      {"di1ei1ee", "key that is no string"},
      {"dlei1ee", "key that is no string"},
      {"d1:bi1e1:ai1ee", "out of order"},
      {"d2:abi1e1:ai1ee", "out of order"},
      {"d1:ai1e1:ai1ee", "twice"},
      {"i1ei2e", "3 bytes behind the end"},
      {"lee", "1 bytes behind the end"},
      {"4:spam\n", "1 bytes behind the end"},
  };
  for (const auto& [text, part] : cases) {
    const auto parsed = BencodeDocument::Parse(AsBytes(text));
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt) << text;
    EXPECT_NE(parsed.error().message.find(part), std::string::npos)
        << text << ": " << parsed.error().message;
    ASSERT_TRUE(parsed.error().offset.has_value()) << text;
    EXPECT_LE(*parsed.error().offset, text.size());
  }
}

TEST(BencodeTest, A9LimitsDepthAndTokens) {
  const auto nested = [](size_t depth) {
    return std::string(depth, 'l') + std::string(depth, 'e');
  };
  EXPECT_TRUE(
      BencodeDocument::Parse(AsBytes(nested(4)), {.max_depth = 4}).has_value());
  auto parsed = BencodeDocument::Parse(AsBytes(nested(5)), {.max_depth = 4});
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().code, ErrorCode::kLimit);
  // A bomb of a million levels costs no stack.
  parsed = BencodeDocument::Parse(AsBytes(std::string(1'000'000, 'd')));
  ASSERT_FALSE(parsed.has_value());
  parsed = BencodeDocument::Parse(AsBytes(std::string(1'000'000, 'l')));
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().code, ErrorCode::kLimit);

  const std::string ten = "l0:0:0:0:0:0:0:0:0:e";
  EXPECT_TRUE(
      BencodeDocument::Parse(AsBytes(ten), {.max_tokens = 10}).has_value());
  parsed = BencodeDocument::Parse(AsBytes(ten), {.max_tokens = 9});
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().code, ErrorCode::kLimit);
}

TEST(BencodeTest, A9TruncationAndFlipsNeverCrash) {
  const std::string whole = "d1:ai-17e1:bl3:xyzd0:i0eee2:bcdee";
  ASSERT_TRUE(BencodeDocument::Parse(AsBytes(whole)).has_value());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(
        BencodeDocument::Parse(AsBytes(whole.substr(0, size))).has_value());
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const auto parsed = BencodeDocument::Parse(AsBytes(flipped));
      if (parsed) {
        EXPECT_EQ(AsText(parsed->root().raw()), flipped);
      }
    }
  }
}

TEST(BencodeTest, WritesCanonicalForm) {
  BencodeWriter writer;
  writer.BeginDictionary();
  writer.Key("cow");
  writer.String("moo");
  writer.Key("list");
  writer.BeginList();
  writer.Integer(-3);
  writer.BeginDictionary();
  writer.End();
  writer.Raw(AsBytes("i7e"));
  writer.End();
  writer.Key("z");
  writer.String("");
  writer.End();
  EXPECT_EQ(AsText(writer.Take()), "d3:cow3:moo4:listli-3edei7ee1:z0:e");
  writer.Integer(1);
  EXPECT_EQ(AsText(writer.Take()), "i1e");
}

TEST(BencodeDeathTest, WriterEndsTheProgramOnMisuse) {
  const auto unordered = [] {
    BencodeWriter writer;
    writer.BeginDictionary();
    writer.Key("b");
    writer.Integer(1);
    writer.Key("a");
  };
  EXPECT_DEATH(unordered(), "");
  const auto no_key = [] {
    BencodeWriter writer;
    writer.BeginDictionary();
    writer.Integer(1);
  };
  EXPECT_DEATH(no_key(), "");
  const auto two_roots = [] {
    BencodeWriter writer;
    writer.Integer(1);
    writer.Integer(2);
  };
  EXPECT_DEATH(two_roots(), "");
}

}  // namespace
}  // namespace p2p
