// SPDX-License-Identifier: Apache-2.0
#include "inference/text/sentencepiece_form.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/text/sentencepiece_encoder.h"
#include "inference/text/tokenizer.h"
#include "inference/text/unicode_class.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::PieceType;
using verify::Result;
using verify::StrCat;
using verify::TextRules;
using verify::TokenizerModel;
using verify::TokenVocabulary;
using verify::VocabularyToken;

constexpr size_t kMaxBlanks = 80;
constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();

verify::Unexpected NoSuchModel(std::string_view what) {
  return verify::Fail(
             ErrorCode::kUnsupported,
             StrCat("tokenizer: no form of a SentencePiece model: ", what))
      .Id("E-TOKENIZER")
      .Hint("put the tokenizer.model of this model beside its weights");
}

std::string Quoted(std::string_view text) {
  return StrCat("\"", EscapeForTerminal(text, 64), "\"");
}

bool IsByteName(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text[5] == '>' &&
         verify::HexDecode(text.substr(3, 2)).has_value();
}

Result<void> CheckRules(const TokenVocabulary& vocabulary) {
  const TextRules& rules = vocabulary.rules;
  if (vocabulary.is_byte_level || vocabulary.is_tekken) {
    return NoSuchModel("its tokens are bytes");
  }
  if (!rules.unsupported.empty()) return NoSuchModel(rules.unsupported);
  const bool always = rules.prefix == TextRules::Prefix::kAlways;
  if (rules.nfc || !rules.marks_spaces || rules.cuts_at_marks ||
      rules.prefix_once || rules.prefix == TextRules::Prefix::kUnlessThere ||
      rules.drops_first_space != always ||
      vocabulary.pattern != verify::SplitPattern::kNone) {
    return NoSuchModel("texts are prepared in another way");
  }
  if (!vocabulary.byte_fallback || vocabulary.ignore_merges ||
      !vocabulary.unknown_id.has_value()) {
    return NoSuchModel(
        "it has no bytes for what is not known, or takes whole words");
  }
  if (!vocabulary.begin_id.has_value() || !vocabulary.end_id.has_value()) {
    return NoSuchModel("no token begins or ends a text");
  }
  return {};
}

// Pieces without scores.
Result<TokenizerModel> PiecesOf(const TokenVocabulary& vocabulary) {
  TokenizerModel model;
  model.pieces.reserve(vocabulary.tokens.size());
  for (const VocabularyToken& token : vocabulary.tokens) {
    if (token.id != model.pieces.size()) {
      return NoSuchModel(StrCat("no token has the id ", model.pieces.size()));
    }
    PieceType type = PieceType::kNormal;
    if (token.id == *vocabulary.unknown_id) {
      type = PieceType::kUnknown;
    } else if (token.is_special) {
      type = PieceType::kControl;
    } else if (token.is_added) {
      return NoSuchModel(StrCat("it has the added token ", Quoted(token.text)));
    } else if (IsByteName(token.text)) {
      type = PieceType::kByte;
    }
    model.pieces.push_back({token.text, 0, type});
  }
  model.byte_fallback = true;
  model.add_dummy_prefix =
      vocabulary.rules.prefix == TextRules::Prefix::kAlways;
  model.remove_extra_whitespaces = false;
  model.unk_id = static_cast<int32_t>(*vocabulary.unknown_id);
  model.bos_id = static_cast<int32_t>(*vocabulary.begin_id);
  model.eos_id = static_cast<int32_t>(*vocabulary.end_id);
  model.add_bos = vocabulary.adds_begin;
  return model;
}

// A SentencePiece model joins whatever two pieces together are one: every such
// pair has to be a merge, down to single characters.
Result<void> CheckMerges(const TokenVocabulary& vocabulary,
                         const TokenizerModel& model) {
  std::map<std::string_view, uint32_t> normal;
  for (uint32_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == PieceType::kNormal) {
      normal.emplace(model.pieces[id].text, id);
    }
  }
  std::vector<std::pair<uint32_t, uint32_t>> merges = vocabulary.merges;
  std::sort(merges.begin(), merges.end());
  for (const auto& [text, id] : normal) {
    for (size_t at = 0; at < text.size();) {
      const size_t size = Utf8At(text, at).size;
      if (normal.count(text.substr(at, size)) == 0) {
        return NoSuchModel(
            StrCat("a character of ", Quoted(text), " is no token"));
      }
      at += size;
      if (at == text.size()) break;
      const auto left = normal.find(text.substr(0, at));
      const auto right = normal.find(text.substr(at));
      if (left == normal.end() || right == normal.end()) continue;
      if (!std::binary_search(merges.begin(), merges.end(),
                              std::pair(left->second, right->second))) {
        return NoSuchModel(StrCat(Quoted(text), " is no merge of ",
                                  Quoted(left->first), " and ",
                                  Quoted(right->first)));
      }
    }
  }
  return {};
}

// Higher for what is made earlier. Where the merges of several tokens stand
// mixed, no order of tokens is that of the list: they are equal.
Result<void> Score(const TokenVocabulary& vocabulary, TokenizerModel& model) {
  struct Made {
    uint32_t first = kNever;  // of its merges, by their place in the list
    uint32_t last = 0;
    uint32_t id = 0;
  };
  std::vector<Made> made(model.pieces.size());
  for (uint32_t i = 0; i < vocabulary.merged.size(); ++i) {
    const uint32_t id = vocabulary.merged[i];
    const PieceType type = model.pieces[id].type;
    if (type == PieceType::kControl || type == PieceType::kUnknown) continue;
    const auto [left, right] = vocabulary.merges[i];
    for (const uint32_t part : {left, right, id}) {
      if (model.pieces[part].type == PieceType::kNormal) continue;
      return NoSuchModel(
          StrCat("a merge with ", Quoted(model.pieces[part].text)));
    }
    Made& one = made[id];
    one.first = std::min(one.first, i);
    one.last = i;
    one.id = id;
  }
  std::erase_if(made, [](const Made& one) { return one.first == kNever; });
  std::sort(made.begin(), made.end(),
            [](const Made& a, const Made& b) { return a.first < b.first; });
  float score = 0;
  uint32_t last = 0;
  for (size_t i = 0; i < made.size(); ++i) {
    if (i > 0 && made[i].first > last) --score;
    last = std::max(last, made[i].last);
    model.pieces[made[i].id].score = score;
  }
  // Single characters are made of nothing: behind all others, as in models.
  --score;
  std::vector<bool> is_made(model.pieces.size());
  for (const Made& one : made) is_made[one.id] = true;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == PieceType::kNormal && !is_made[id]) {
      model.pieces[id].score = --score;
    }
  }
  return {};
}

// Tokens of one score are joined from the left, merges by their list: tried
// where it can make a difference.
Result<void> Compare(const TokenVocabulary& vocabulary,
                     const TokenizerModel& model) {
  ASSIGN_OR_RETURN(const Tokenizer listed, Tokenizer::Create(vocabulary));
  ASSIGN_OR_RETURN(const Tokenizer scored, Tokenizer::Create(model));
  const auto compare = [&](const std::string& text) -> Result<void> {
    if (listed.Encode(text) == scored.Encode(text)) return {};
    return NoSuchModel(StrCat("the text ", Quoted(text), " has other ids"));
  };
  for (const verify::TokenizerPiece& piece : model.pieces) {
    RETURN_IF_ERROR(compare(WithSpaces(piece.text)));
  }
  for (const char blank : {' ', '\t', '\n', '-', '=', '0'}) {
    for (size_t count = 1; count <= kMaxBlanks; ++count) {
      const std::string run(count, blank);
      RETURN_IF_ERROR(compare(run));
      RETURN_IF_ERROR(compare(StrCat("a", run, "b")));
    }
  }
  return {};
}

}  // namespace

Result<TokenizerModel> SentencePieceFormOf(const TokenVocabulary& vocabulary) {
  RETURN_IF_ERROR(CheckRules(vocabulary));
  ASSIGN_OR_RETURN(TokenizerModel model, PiecesOf(vocabulary));
  RETURN_IF_ERROR(CheckMerges(vocabulary, model));
  RETURN_IF_ERROR(Score(vocabulary, model));
  RETURN_IF_ERROR(Compare(vocabulary, model));
  return model;
}

}  // namespace inference
