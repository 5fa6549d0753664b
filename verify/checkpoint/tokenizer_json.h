// SPDX-License-Identifier: Apache-2.0
// The vocabularies that are no SentencePiece model: tokenizer.json of Hugging
// Face (BPE), tekken.json of Mistral and the same in GGUF. Read as data within
// limits; a pattern that a file brings is compared with those known and never
// compiled. Format: docs/formats/tokenizer.md. Tested by
// tests/verify/checkpoint/tokenizer_json_test.cc, fuzzed by
// tests/fuzz/tokenizer_json_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace verify {

inline constexpr uint64_t kMaxTokenizerJsonBytes = 40u << 20;
inline constexpr size_t kMaxJsonTokens = 1u << 19;
inline constexpr size_t kMaxJsonMerges = 2u << 20;
inline constexpr size_t kMaxAddedTokens = 1u << 16;
inline constexpr size_t kMaxPatternBytes = 4096;

// How text is cut before tokens are looked for.
enum class SplitPattern {
  kNone,  // not at all, or at spaces only
  kGpt2,
  kLlama3,
  kQwen2,
  kO200k,
  kTekken,
};
std::string_view SplitPatternName(SplitPattern pattern);

struct VocabularyToken {
  uint32_t id = 0;
  std::string text;  // of tekken: raw bytes
  bool is_added = false;
  bool is_special = false;
  // Takes blanks beside it too, or is no part of a longer word.
  bool is_picky = false;
};

// What is done to a text before tokens are looked for in it, and after they
// were decoded. In the order of the members.
struct TextRules {
  enum class Prefix {
    kNone,
    kAlways,       // before every text
    kUnlessThere,  // if the text does not begin with it
  };
  bool nfc = false;                // Unicode normalisation form C, first of all
  Prefix prefix = Prefix::kNone;   // a space
  bool prefix_once = false;        // not behind a special token of a prompt
  bool marks_spaces = false;       // "▁" for " ", that of the prefix too
  bool cuts_at_marks = false;      // a word begins at every "▁"
  bool drops_first_space = false;  // in decoding
  // The first thing that these rules cannot express: "normalizer NFD".
  std::string unsupported;
};

struct TokenVocabulary {
  std::vector<VocabularyToken> tokens;  // by id; ids and texts occur once
  // Ids of the two parts of each merge, the first to be made first; and the id
  // of what they make. Of tekken none: there all that is a token is made, that
  // of the lowest id first.
  std::vector<std::pair<uint32_t, uint32_t>> merges;
  std::vector<uint32_t> merged;
  // Of merges that make the same token that which stands leftmost in a text
  // comes first, wherever they stand in the list, and of others that of the
  // lowest id: the order of tekken.json in a list.
  bool ranks_by_token = false;
  std::optional<uint32_t> unknown_id;
  bool fuse_unknown = false;  // one unknown token for several in a row
  bool byte_fallback = false;
  bool ignore_merges = false;  // a word that is a token is taken whole
  bool is_byte_level = false;  // letters of tokens.text stand for bytes
  bool is_tekken = false;      // tokens.text is bytes
  SplitPattern pattern = SplitPattern::kNone;
  TextRules rules;
  // Put before a prompt, ends an answer; where the file says so.
  std::optional<uint32_t> begin_id;
  std::optional<uint32_t> end_id;
  bool adds_begin = false;
  std::string version;  // "v3", of tekken.json

  uint64_t max_id() const { return tokens.empty() ? 0 : tokens.back().id; }
};

// Errors of both, all with the id E-TOKENIZER but those of JSON itself:
// kCorrupt (a rule broken: a token, id or merge twice, a merge of what is no
// token, a pattern made to take for ever, ...), kLimit, kUnsupported (another
// algorithm, a component or pattern that is not known).
Result<TokenVocabulary> ReadTokenizerJson(std::string_view text);
Result<TokenVocabulary> ReadTekkenJson(std::string_view text);

// The same from the metadata of a GGUF file ("gpt2" tokenizer): kUnsupported
// also for another tokenizer, or a "tokenizer.ggml.pre" that is not known.
Result<TokenVocabulary> TokenVocabularyFromGguf(const GgufFile& gguf);

// A tokenizer.json beside a tokenizer.model must say the same: where both have
// an id, the same text. Nothing is compared if it is of bytes. kCorrupt.
Result<void> CompareVocabularies(const TokenVocabulary& json,
                                 const TokenizerModel& model);

}  // namespace verify
