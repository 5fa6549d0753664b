// SPDX-License-Identifier: Apache-2.0
// Puts a vocabulary together from tokens and merges in any order, and refuses
// what contradicts itself. Shared by tokenizer.json and tekken.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_json.h"

namespace verify {

class VocabularyBuilder {
 public:
  // Tokens of the model itself first. kCorrupt (empty, id out of range),
  // kLimit.
  Result<void> AddToken(VocabularyToken token);
  // The parts of a merge as texts. kCorrupt (empty), kLimit.
  Result<void> AddMerge(std::string_view left, std::string_view right);

  // kCorrupt: an id or a text twice, unless an added token repeats one of the
  // model; a merge twice, of what is no token, or into what is none.
  Result<void> Finish(TokenVocabulary& vocabulary);

 private:
  // Both parts, one after the other, in merge_text_: two strings for each
  // would take several times the bytes of the file.
  struct Merge {
    uint32_t begin = 0;
    uint16_t left_bytes = 0;
    uint16_t right_bytes = 0;
  };

  Result<void> DropRepeated();
  std::optional<uint32_t> Find(std::string_view text) const;

  std::vector<VocabularyToken> tokens_;
  std::vector<uint32_t> by_text_;  // places in tokens_
  std::vector<Merge> merges_;
  std::string merge_text_;
  size_t num_added_ = 0;
};

// For messages: a token as text that is safe to print.
std::string TokenName(std::string_view text);

}  // namespace verify
