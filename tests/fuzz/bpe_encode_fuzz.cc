// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/text/bpe_merger.h"
#include "inference/text/text_splitter.h"
#include "inference/text/tokenizer.h"
#include "inference/text/utf8_repair.h"
#include "verify/checkpoint/tokenizer_json.h"

namespace {

using inference::MergeTable;
using verify::SplitPattern;
using verify::TokenVocabulary;

constexpr uint32_t kEnd = 0;  // the special token "</s>"
constexpr uint32_t kFirstByte = 1;

void Require(bool holds) {
  if (!holds) std::abort();
}

// Joins neighbours as the definition says: one at a time, from the start.
std::vector<uint32_t> JoinedPlainly(const MergeTable& table,
                                    std::vector<uint32_t> symbols) {
  for (;;) {
    const MergeTable::Merge* best = nullptr;
    size_t place = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto* merge = table.Find(symbols[i], symbols[i + 1]);
      if (merge != nullptr && (best == nullptr || merge->rank < best->rank)) {
        best = merge;
        place = i;
      }
    }
    if (best == nullptr) return symbols;
    symbols[place] = best->result;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
}

void CheckMerges(const TokenVocabulary& vocabulary, std::string_view text) {
  std::vector<MergeTable::Merge> merges;
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const auto [left, right] = vocabulary.merges[i];
    merges.push_back(
        {left, right, static_cast<uint32_t>(i), vocabulary.merged[i]});
  }
  const MergeTable table(std::move(merges), vocabulary.max_id() + 1);
  std::vector<uint32_t> symbols;
  for (const char c : text.substr(0, 96)) {
    symbols.push_back(kFirstByte + static_cast<unsigned char>(c));
  }
  std::vector<uint32_t> joined = symbols;
  table.Join(joined);
  Require(joined == JoinedPlainly(table, symbols));
}

}  // namespace

// Byte 0: the pattern, and whether merges are listed or follow from the tokens;
// byte 1: how many merges; two bytes for each, which tokens it joins; then a
// text. Decoding gives the text back, but for bytes that are no UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  constexpr SplitPattern kPatterns[] = {
      SplitPattern::kGpt2,  SplitPattern::kLlama3, SplitPattern::kQwen2,
      SplitPattern::kO200k, SplitPattern::kTekken, SplitPattern::kNone};
  TokenVocabulary vocabulary;
  vocabulary.pattern = kPatterns[data[0] % 6];
  vocabulary.ignore_merges = (data[0] & 64) != 0;
  // Tokens of bytes, as those of tekken; with merges that are listed, the file
  // would have letters for them.
  vocabulary.is_tekken = true;
  vocabulary.tokens.push_back({kEnd, "</s>", true, true, false});
  for (uint32_t byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.push_back({kFirstByte + byte,
                                 std::string(1, static_cast<char>(byte)), false,
                                 false, false});
  }
  std::map<std::string, uint32_t> known;
  size_t at = 2;
  const size_t num_merges = std::min<size_t>(data[1], (size - at) / 2);
  for (size_t i = 0; i < num_merges; ++i, at += 2) {
    const size_t count = vocabulary.tokens.size();
    const auto pick = [&](uint8_t byte) {
      // The first and the newest tokens.
      return static_cast<uint32_t>(byte < 128 ? kFirstByte + byte
                                              : count - 1 - (byte & 31));
    };
    const uint32_t left = pick(data[at]);
    const uint32_t right = pick(data[at + 1]);
    std::string text =
        vocabulary.tokens[left].text + vocabulary.tokens[right].text;
    if (left == kEnd || right == kEnd || text.size() > 256) continue;
    const auto [it, added] =
        known.try_emplace(text, static_cast<uint32_t>(count));
    if (added) {
      vocabulary.tokens.push_back(
          {static_cast<uint32_t>(count), std::move(text), false, false, false});
    }
    vocabulary.merges.emplace_back(left, right);
    vocabulary.merged.push_back(it->second);
  }
  const std::string_view text(reinterpret_cast<const char*>(data) + at,
                              size - at);
  CheckMerges(vocabulary, text);
  const auto tokenizer = inference::Tokenizer::Create(vocabulary);
  Require(tokenizer.has_value());
  const auto ids = tokenizer->Encode(text);
  for (const inference::TokenId id : ids) {
    Require(id > static_cast<inference::TokenId>(kEnd) &&
            static_cast<size_t>(id) < vocabulary.tokens.size());
  }
  std::string bytes(text);
  const std::string repaired = inference::TakeCharacters(bytes, true);
  Require(tokenizer->Decode(ids) == repaired);
  // Control pieces are all that a marked text loses.
  std::string without;
  for (size_t i = 0; i < repaired.size();) {
    if (repaired.compare(i, 4, "</s>") == 0) {
      i += 4;
    } else {
      without.push_back(repaired[i++]);
    }
  }
  Require(tokenizer->Decode(tokenizer->EncodeMarked(repaired)) == without);
  return 0;
}
