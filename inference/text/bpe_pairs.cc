// SPDX-License-Identifier: Apache-2.0
#include "inference/text/bpe_pairs.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr uint32_t kNone = UINT32_MAX;

// For each text the longest other one that it begins with, or kNone.
std::vector<uint32_t> LongestPrefixes(
    const std::vector<std::string_view>& texts) {
  std::vector<uint32_t> order(texts.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return texts[a] < texts[b]; });
  std::vector<uint32_t> prefix(texts.size(), kNone);
  std::vector<uint32_t> open;  // each begins with the one before
  for (const uint32_t text : order) {
    while (!open.empty() && !texts[text].starts_with(texts[open.back()])) {
      open.pop_back();
    }
    if (!open.empty()) prefix[text] = open.back();
    open.push_back(text);
  }
  return prefix;
}

// The texts that end as each text does, by reading all backwards.
std::vector<uint32_t> LongestSuffixes(const std::vector<TokenBytes>& tokens) {
  std::vector<std::string> reversed;
  reversed.reserve(tokens.size());
  for (const TokenBytes& token : tokens) {
    reversed.emplace_back(token.bytes.rbegin(), token.bytes.rend());
  }
  return LongestPrefixes({reversed.begin(), reversed.end()});
}

}  // namespace

Result<std::vector<MergeTable::Merge>> PairsOf(
    const std::vector<TokenBytes>& tokens, size_t max_pairs) {
  std::vector<std::string_view> texts;
  texts.reserve(tokens.size());
  for (const TokenBytes& token : tokens) texts.push_back(token.bytes);
  const std::vector<uint32_t> prefix = LongestPrefixes(texts);
  const std::vector<uint32_t> suffix = LongestSuffixes(tokens);

  std::vector<MergeTable::Merge> pairs;
  std::vector<uint32_t> ends;  // the suffixes of one token, shortest last
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    ends.clear();
    for (uint32_t s = suffix[i]; s != kNone; s = suffix[s]) ends.push_back(s);
    const size_t size = texts[i].size();
    // Beginnings come longest first, so the ends that fit come shortest first.
    for (uint32_t p = prefix[i]; p != kNone; p = prefix[p]) {
      const size_t wanted = size - texts[p].size();
      while (!ends.empty() && texts[ends.back()].size() < wanted) {
        ends.pop_back();
      }
      if (ends.empty()) break;
      if (texts[ends.back()].size() != wanted) continue;
      if (pairs.size() >= max_pairs) {
        return Fail(ErrorCode::kLimit,
                    StrCat("tokenizer: more than ", max_pairs,
                           " pairs of tokens make a token"))
            .Id("E-TOKENIZER");
      }
      pairs.push_back(
          {tokens[p].id, tokens[ends.back()].id, tokens[i].id, tokens[i].id});
    }
  }
  return pairs;
}

}  // namespace inference
