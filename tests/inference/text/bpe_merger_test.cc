// SPDX-License-Identifier: Apache-2.0
// Against the definition itself: look through all neighbours, join the pair of
// the least rank, the leftmost of equals, and begin anew.
#include "inference/text/bpe_merger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "inference/text/bpe_pairs.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using Merge = MergeTable::Merge;
using Symbols = std::vector<uint32_t>;

Symbols JoinedPlainly(const std::vector<Merge>& merges, Symbols symbols) {
  for (;;) {
    const Merge* best = nullptr;
    size_t place = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      for (const Merge& merge : merges) {
        if (merge.left != symbols[i] || merge.right != symbols[i + 1]) continue;
        if (best != nullptr && best->rank <= merge.rank) continue;
        best = &merge;
        place = i;
      }
    }
    if (best == nullptr) return symbols;
    symbols[place] = best->result;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

TEST(BpeMergerTest, JoinsTheBestPairFirst) {
  // a=0 b=1 c=2, ab=3 bc=4 abc=5.
  const MergeTable table(
      {{1, 2, 0, 4}, {0, 1, 1, 3}, {3, 2, 2, 5}, {0, 4, 3, 5}}, 6);
  const auto join = [&table](Symbols symbols) {
    table.Join(symbols);
    return symbols;
  };
  EXPECT_EQ(join({0, 1}), (Symbols{3}));
  EXPECT_EQ(join({0, 1, 2}), (Symbols{5}));  // bc first, then a bc
  EXPECT_EQ(join({0, 0, 1, 2, 2}), (Symbols{0, 5, 2}));
  EXPECT_EQ(join({2, 1, 0}), (Symbols{2, 1, 0}));
  EXPECT_EQ(join({}), (Symbols{}));
  EXPECT_EQ(table.Find(2, 2), nullptr);
  ASSERT_NE(table.Find(0, 4), nullptr);
  EXPECT_EQ(table.Find(0, 4)->result, 5u);
}

TEST(BpeMergerTest, JoinsTheLeftmostOfEquals) {
  const MergeTable table({{0, 0, 0, 1}}, 2);
  Symbols three = {0, 0, 0};
  table.Join(three);
  EXPECT_EQ(three, (Symbols{1, 0}));
}

TEST(BpeMergerTest, AgreesWithTheDefinition) {
  tests::TestRandom random(3);
  for (int round = 0; round < 300; ++round) {
    constexpr uint32_t kLetters = 4;
    uint32_t num_ids = kLetters;
    std::vector<Merge> merges;
    std::map<std::pair<uint32_t, uint32_t>, bool> seen;
    for (uint32_t rank = 0; rank < 14; ++rank) {
      const uint32_t left = random.NextU32() % num_ids;
      const uint32_t right = random.NextU32() % num_ids;
      if (std::exchange(seen[{left, right}], true)) continue;
      // Some ranks are equal, and some results made in two ways.
      const bool again = num_ids > kLetters && random.NextU32() % 4 == 0;
      const uint32_t result =
          again ? kLetters + random.NextU32() % (num_ids - kLetters)
                : num_ids++;
      merges.push_back({left, right, rank / 2 * 2, result});
    }
    // Of two pairs with the same rank the leftmost wins in both; the plain loop
    // sees the left place first.
    const MergeTable table(merges, num_ids);
    for (int text = 0; text < 20; ++text) {
      Symbols symbols(1 + random.NextU32() % 30);
      for (uint32_t& symbol : symbols) symbol = random.NextU32() % kLetters;
      Symbols joined = symbols;
      table.Join(joined);
      ASSERT_EQ(joined, JoinedPlainly(merges, symbols));
    }
  }
}

// One word of a quarter of a million letters, whose pairs are all alike: with a
// quadratic merger half an hour's work.
TEST(BpeMergerTest, TakesNoQuadraticTime) {
  constexpr uint32_t kDepth = 16;
  std::vector<Merge> merges;
  for (uint32_t i = 0; i < kDepth; ++i) merges.push_back({i, i, i, i + 1});
  const MergeTable table(merges, kDepth + 1);
  Symbols letters(1u << 18, 0);
  const auto start = std::chrono::steady_clock::now();
  table.Join(letters);
  const std::chrono::duration<double> taken =
      std::chrono::steady_clock::now() - start;
  EXPECT_EQ(letters, Symbols(1u << (18 - kDepth), kDepth));
  EXPECT_LT(taken.count(), 30.0);
}

TEST(BpePairsTest, FindsEveryTwoTokensThatMakeAToken) {
  tests::TestRandom random(5);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::string> texts = {"a", "b"};
    for (int i = 0; i < 40; ++i) {
      std::string text;
      const size_t size = 2 + random.NextU32() % 7;
      while (text.size() < size) text += random.NextU32() % 3 == 0 ? 'b' : 'a';
      if (std::find(texts.begin(), texts.end(), text) == texts.end()) {
        texts.push_back(text);
      }
    }
    std::vector<TokenBytes> tokens;
    for (const std::string& text : texts) {
      tokens.push_back({text, 10 + static_cast<uint32_t>(tokens.size())});
    }
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> expected;
    for (const TokenBytes& left : tokens) {
      for (const TokenBytes& right : tokens) {
        for (const TokenBytes& whole : tokens) {
          if (std::string(left.bytes) + std::string(right.bytes) ==
              whole.bytes) {
            expected[{left.id, right.id}] = whole.id;
          }
        }
      }
    }
    const auto pairs = PairsOf(tokens);
    ASSERT_TRUE(pairs);
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> found;
    for (const Merge& merge : *pairs) {
      EXPECT_EQ(merge.rank, merge.result);
      found[{merge.left, merge.right}] = merge.result;
    }
    ASSERT_EQ(found, expected);
    EXPECT_EQ(pairs->size(), expected.size());
  }
}

// "a", "aa", ... to 20 letters: 1 + 2 + ... + 19 pairs.
TEST(BpePairsTest, RefusesTooManyPairs) {
  const std::string letters(20, 'a');
  std::vector<TokenBytes> tokens;
  for (size_t size = 1; size <= letters.size(); ++size) {
    tokens.push_back({std::string_view(letters).substr(0, size),
                      static_cast<uint32_t>(size)});
  }
  EXPECT_TRUE(PairsOf(tokens, 190));
  const auto pairs = PairsOf(tokens, 189);
  ASSERT_FALSE(pairs);
  EXPECT_EQ(pairs.error().code, verify::ErrorCode::kLimit);
  EXPECT_EQ(pairs.error().id, "E-TOKENIZER");
}

}  // namespace
}  // namespace inference
