// SPDX-License-Identifier: Apache-2.0
#include "inference/text/literal_matcher.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/test_random.h"

namespace inference {
namespace {

using Literals = std::vector<std::pair<std::string, TokenId>>;
using Places = std::vector<std::pair<size_t, TokenId>>;

Places All(const LiteralMatcher& matcher, std::string_view text) {
  Places places;
  size_t at = 0;
  while (const auto found = matcher.Next(text, at)) {
    places.emplace_back(found->begin, found->id);
    at = found->begin + found->size;
  }
  return places;
}

LiteralMatcher Make(const Literals& literals) {
  auto matcher = LiteralMatcher::Create(literals);
  EXPECT_TRUE(matcher);
  return std::move(matcher).value();
}

TEST(LiteralMatcherTest, FindsTheLeftmostAndOfThoseTheLongest) {
  const LiteralMatcher matcher =
      Make({{"ab", 1}, {"abcd", 2}, {"bc", 3}, {"\xff", 4}});
  EXPECT_EQ(All(matcher, "abcabcdbcx\xff"),
            (Places{{0, 1}, {3, 2}, {7, 3}, {10, 4}}));
  EXPECT_EQ(All(matcher, ""), Places{});
  EXPECT_EQ(All(matcher, "abc").size(), 1u);
  EXPECT_TRUE(LiteralMatcher().empty());
  EXPECT_FALSE(LiteralMatcher().Next("abc", 0).has_value());
}

TEST(LiteralMatcherTest, AgreesWithAPlainSearch) {
  tests::TestRandom random(9);
  const auto word = [&random](size_t most) {
    std::string text(1 + random.NextU32() % most, 'a');
    for (char& c : text) c = static_cast<char>('a' + random.NextU32() % 2);
    return text;
  };
  for (int round = 0; round < 500; ++round) {
    std::vector<std::string> texts;
    Literals literals;
    for (TokenId id = 0; id < 6; ++id) {
      std::string text = word(6);
      bool known = false;
      for (const auto& [other, _] : literals) known |= other == text;
      if (!known) literals.emplace_back(std::move(text), id);
    }
    const LiteralMatcher matcher = Make(literals);
    const std::string text = word(30);
    Places expected;
    for (size_t at = 0; at < text.size();) {
      const std::pair<std::string, TokenId>* best = nullptr;
      for (const auto& one : literals) {
        if (text.compare(at, one.first.size(), one.first) != 0) continue;
        if (best == nullptr || one.first.size() > best->first.size()) {
          best = &one;
        }
      }
      if (best != nullptr) expected.emplace_back(at, best->second);
      at += best != nullptr ? best->first.size() : 1;
    }
    ASSERT_EQ(All(matcher, text), expected) << text;
  }
}

TEST(LiteralMatcherTest, RefusesWhatWouldTakeForEver) {
  const auto refused = [](Literals literals) {
    const auto matcher = LiteralMatcher::Create(std::move(literals));
    return !matcher && matcher.error().code == verify::ErrorCode::kLimit &&
           matcher.error().id == "E-TOKENIZER";
  };
  EXPECT_FALSE(refused({{std::string(1024, 'x'), 1}}));
  EXPECT_TRUE(refused({{std::string(1025, 'x'), 1}}));
  Literals nested;
  for (size_t size = 1; size <= LiteralMatcher::kMaxNested; ++size) {
    nested.emplace_back(std::string(size, 'x'), 1);
  }
  EXPECT_FALSE(refused(nested));
  nested.emplace_back(std::string(100, 'x'), 1);
  EXPECT_TRUE(refused(nested));
}

}  // namespace
}  // namespace inference
