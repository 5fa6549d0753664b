// SPDX-License-Identifier: Apache-2.0
#include "inference/text/bpe_encoder.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/text/bpe_merger.h"
#include "inference/text/bpe_pairs.h"
#include "inference/text/byte_letters.h"
#include "inference/text/literal_matcher.h"
#include "inference/text/sentencepiece_encoder.h"
#include "inference/text/text_parts.h"
#include "inference/text/text_splitter.h"
#include "inference/text/unicode_class.h"
#include "inference/text/unicode_nfc.h"
#include "inference/text/utf8_repair.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::SplitPattern;
using verify::StrCat;
using verify::TextRules;
using verify::TokenVocabulary;
using verify::VocabularyToken;

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

verify::Unexpected Refuse(ErrorCode code, std::string_view what) {
  return Fail(code, StrCat("tokenizer: ", what)).Id("E-TOKENIZER");
}

// A word that is a token, for vocabularies that take it whole.
struct Word {
  std::string bytes;
  uint32_t id = 0;
};

bool WordBefore(const Word& word, std::string_view wanted) {
  return word.bytes < wanted;
}

class BpeEncoder final : public TextEncoder {
 public:
  struct Parts {
    TextRules rules;
    SplitPattern pattern = SplitPattern::kNone;
    bool works_on_bytes = false;  // else on characters
    bool fuse_unknown = false;
    std::array<uint32_t, 256> byte_ids{};  // kNone where there is none
    // Tokens of one character, by it; if it works on characters.
    std::vector<std::pair<char32_t, uint32_t>> characters;
    uint32_t unknown_id = kNone;
    std::vector<Word> words;  // by bytes; empty unless they are taken whole
    LiteralMatcher added;
    TextParts parts;
  };

  BpeEncoder(Parts parts, MergeTable merges)
      : p_(std::move(parts)), merges_(std::move(merges)) {}

  void Encode(std::string_view text, Place place,
              std::vector<TokenId>& ids) const override {
    std::string repaired;
    if (!verify::IsValidUtf8(text)) {
      std::string bytes(text);
      repaired = TakeCharacters(bytes, true);
      text = repaired;
    }
    size_t at = 0;
    while (const auto found = p_.added.Next(text, at)) {
      Segment(text.substr(at, found->begin - at), place, ids);
      ids.push_back(found->id);
      at = found->begin + found->size;
      place = Place::kInside;
    }
    Segment(text.substr(at), place, ids);
  }

 private:
  // Text without added tokens.
  void Segment(std::string_view text, Place place,
               std::vector<TokenId>& ids) const {
    std::string normal;
    if (p_.rules.nfc && MayChangeInNfc(text)) {
      normal = ToNfc(text);
      text = normal;
    }
    bool prefixed = p_.rules.prefix != TextRules::Prefix::kNone &&
                    (!p_.rules.prefix_once || place == Place::kStart);
    const bool whole =
        p_.pattern == SplitPattern::kNone && !p_.rules.cuts_at_marks;
    std::string buffer;
    while (!text.empty()) {
      const size_t end =
          whole ? p_.parts.FirstEnd(text, kMaxWordBytes) : text.size();
      std::string_view words = Prepared(text.substr(0, end), prefixed, buffer);
      text.remove_prefix(end);
      prefixed = false;
      while (!words.empty()) {
        const size_t size = whole ? words.size() : EndOfWord(words);
        EncodeWord(words.substr(0, size), ids);
        words.remove_prefix(size);
      }
    }
  }

  // With the prefix and marks in place of spaces; in `buffer` if it changes.
  std::string_view Prepared(std::string_view text, bool prefixed,
                            std::string& buffer) const {
    const std::string_view prefix =
        p_.rules.marks_spaces ? kSpaceSymbol : std::string_view(" ");
    if (p_.rules.prefix == TextRules::Prefix::kUnlessThere) {
      prefixed &= !text.starts_with(' ') && !text.starts_with(prefix);
    }
    if (!prefixed && !p_.rules.marks_spaces) return text;
    buffer.clear();
    if (prefixed) buffer.append(prefix);
    for (const char c : text) {
      if (c == ' ' && p_.rules.marks_spaces) {
        buffer.append(kSpaceSymbol);
      } else {
        buffer.push_back(c);
      }
    }
    return buffer;
  }

  size_t EndOfWord(std::string_view text) const {
    if (p_.pattern != SplitPattern::kNone) {
      return WordEnd(p_.pattern, text, 0);
    }
    const size_t mark = text.find(kSpaceSymbol, 1);
    return std::min(mark, text.size());
  }

  void EncodeWord(std::string_view word, std::vector<TokenId>& ids) const {
    while (!word.empty()) {
      const size_t end = CharacterEnd(word, kMaxWordBytes);
      EncodePart(word.substr(0, end), ids);
      word.remove_prefix(end);
    }
  }

  void EncodePart(std::string_view word, std::vector<TokenId>& ids) const {
    const auto it =
        std::lower_bound(p_.words.begin(), p_.words.end(), word, WordBefore);
    if (it != p_.words.end() && it->bytes == word) {
      ids.push_back(static_cast<TokenId>(it->id));
      return;
    }
    std::vector<uint32_t> symbols;
    symbols.reserve(word.size());
    if (p_.works_on_bytes) {
      for (const char c : word) symbols.push_back(ByteId(c));
    } else {
      AddCharacters(word, symbols);
    }
    merges_.Join(symbols);
    for (const uint32_t id : symbols) {
      ids.push_back(static_cast<TokenId>(id));
    }
  }

  uint32_t ByteId(char byte) const {
    return p_.byte_ids[static_cast<unsigned char>(byte)];
  }

  void AddCharacters(std::string_view word,
                     std::vector<uint32_t>& symbols) const {
    for (size_t place = 0; place < word.size();) {
      const Utf8Char c = Utf8At(word, place);
      const auto it =
          std::lower_bound(p_.characters.begin(), p_.characters.end(),
                           std::pair(c.code, uint32_t{0}));
      if (it != p_.characters.end() && it->first == c.code) {
        symbols.push_back(it->second);
      } else if (p_.byte_ids[0] != kNone) {
        for (const char byte : word.substr(place, c.size)) {
          symbols.push_back(ByteId(byte));
        }
      } else if (!p_.fuse_unknown || symbols.empty() ||
                 symbols.back() != p_.unknown_id) {
        symbols.push_back(p_.unknown_id);
      }
      place += c.size;
    }
  }

  Parts p_;
  MergeTable merges_;
};

// The id of each "<0x41>"; none if one of them is missing.
bool FindByteTokens(const TokenVocabulary& vocabulary,
                    std::array<uint32_t, 256>& ids) {
  for (const VocabularyToken& token : vocabulary.tokens) {
    const std::string& text = token.text;
    if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') {
      continue;
    }
    const auto byte = verify::HexDecode(text.substr(3, 2));
    if (byte.has_value())
      ids[std::to_integer<size_t>(byte->front())] = token.id;
  }
  return std::find(ids.begin(), ids.end(), kNone) == ids.end();
}

// What a token stands for in the text that is joined.
std::optional<std::string> SymbolBytes(const TokenVocabulary& vocabulary,
                                       const VocabularyToken& token) {
  if (token.is_added) return std::nullopt;
  if (!vocabulary.is_byte_level) return token.text;
  return BytesOfLetters(token.text);
}

Result<MergeTable> MakeMerges(const TokenVocabulary& vocabulary) {
  std::vector<MergeTable::Merge> merges;
  if (vocabulary.is_tekken) {
    std::vector<TokenBytes> tokens;
    for (const VocabularyToken& token : vocabulary.tokens) {
      if (!token.is_added) tokens.push_back({token.text, token.id});
    }
    ASSIGN_OR_RETURN(merges, PairsOf(tokens));
  } else {
    // What a special token would be made of stays apart: typed, it is text.
    std::vector<bool> special(vocabulary.max_id() + 1);
    for (const VocabularyToken& token : vocabulary.tokens) {
      special[token.id] = token.is_special;
    }
    merges.reserve(vocabulary.merges.size());
    for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
      const auto [left, right] = vocabulary.merges[i];
      if (special[vocabulary.merged[i]]) continue;
      const uint32_t made = vocabulary.merged[i];
      const auto place = static_cast<uint32_t>(i);
      merges.push_back(
          {left, right, vocabulary.ranks_by_token ? made : place, made});
    }
  }
  return MergeTable(std::move(merges), vocabulary.max_id() + 1);
}

Result<LiteralMatcher> MakeAdded(const TokenVocabulary& vocabulary) {
  std::vector<std::pair<std::string, TokenId>> added;
  for (const VocabularyToken& token : vocabulary.tokens) {
    if (!token.is_added || token.is_special) continue;
    if (token.is_picky) {
      return Refuse(
          ErrorCode::kUnsupported,
          StrCat("the added token \"", EscapeForTerminal(token.text, 64),
                 "\" takes blanks or is a word of its own, which is "
                 "not implemented"));
    }
    added.emplace_back(token.text, static_cast<TokenId>(token.id));
  }
  return LiteralMatcher::Create(std::move(added));
}

Result<void> AddSymbols(const TokenVocabulary& vocabulary,
                        BpeEncoder::Parts& parts) {
  parts.byte_ids.fill(kNone);
  for (const VocabularyToken& token : vocabulary.tokens) {
    std::optional<std::string> bytes = SymbolBytes(vocabulary, token);
    if (!bytes.has_value()) continue;
    if (parts.works_on_bytes) {
      if (bytes->size() == 1) {
        parts.byte_ids[static_cast<unsigned char>(bytes->front())] = token.id;
      }
    } else {
      const Utf8Char c = Utf8At(*bytes, 0);
      if (c.size == bytes->size())
        parts.characters.emplace_back(c.code, token.id);
      parts.parts.Note(parts.rules.marks_spaces ? WithSpaces(*bytes) : *bytes);
    }
    if (vocabulary.ignore_merges) {
      parts.words.push_back({std::move(*bytes), token.id});
    }
  }
  std::sort(parts.characters.begin(), parts.characters.end());
  std::sort(parts.words.begin(), parts.words.end(),
            [](const Word& a, const Word& b) { return a.bytes < b.bytes; });
  if (parts.works_on_bytes) {
    const auto missing =
        std::find(parts.byte_ids.begin(), parts.byte_ids.end(), kNone);
    if (missing == parts.byte_ids.end()) return {};
    return Refuse(ErrorCode::kUnsupported,
                  StrCat("there is no token for the byte ",
                         missing - parts.byte_ids.begin()));
  }
  if (vocabulary.byte_fallback) {
    if (FindByteTokens(vocabulary, parts.byte_ids)) return {};
    return Refuse(ErrorCode::kCorrupt,
                  "one of the tokens <0x00> to <0xFF> is missing");
  }
  if (parts.unknown_id != kNone) return {};
  return Refuse(ErrorCode::kUnsupported,
                "there is no token for characters that are not known");
}

}  // namespace

Result<std::unique_ptr<const TextEncoder>> MakeBpeEncoder(
    const TokenVocabulary& vocabulary) {
  if (!vocabulary.rules.unsupported.empty()) {
    return Refuse(
        ErrorCode::kUnsupported,
        StrCat("the ", vocabulary.rules.unsupported, " is not implemented"));
  }
  BpeEncoder::Parts parts;
  parts.rules = vocabulary.rules;
  parts.pattern = vocabulary.pattern;
  parts.works_on_bytes = vocabulary.is_byte_level || vocabulary.is_tekken;
  parts.fuse_unknown = vocabulary.fuse_unknown;
  parts.unknown_id = vocabulary.unknown_id.value_or(kNone);
  RETURN_IF_ERROR(AddSymbols(vocabulary, parts));
  ASSIGN_OR_RETURN(parts.added, MakeAdded(vocabulary));
  ASSIGN_OR_RETURN(MergeTable merges, MakeMerges(vocabulary));
  return std::unique_ptr<const TextEncoder>(
      std::make_unique<BpeEncoder>(std::move(parts), std::move(merges)));
}

}  // namespace inference
