// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/vocabulary_builder.h"

#include <algorithm>
#include <numeric>

#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_check.h"

namespace verify {
namespace {

Unexpected Corrupt(std::string_view what) {
  return TokenizerError(ErrorCode::kCorrupt, what);
}

}  // namespace

std::string TokenName(std::string_view text) {
  return StrCat('"', EscapeForTerminal(text, 64), '"');
}

Result<void> VocabularyBuilder::AddToken(VocabularyToken token) {
  if (token.text.empty()) {
    return Corrupt(StrCat("the token of id ", token.id, " is empty"));
  }
  if (token.text.size() > kMaxPieceBytes) {
    return TokenizerError(ErrorCode::kLimit,
                          StrCat("a token of ", token.text.size(),
                                 " bytes, at most ", kMaxPieceBytes));
  }
  if (token.id >= kMaxTokenizerPieces) {
    return TokenizerError(
        ErrorCode::kLimit,
        StrCat("token ", TokenName(token.text), " has id ", token.id,
               ", at most ", kMaxTokenizerPieces - 1));
  }
  if (token.is_added && ++num_added_ > kMaxAddedTokens) {
    return TokenizerError(
        ErrorCode::kLimit,
        StrCat("more than ", kMaxAddedTokens, " added tokens"));
  }
  if (tokens_.size() >= kMaxJsonTokens) {
    return TokenizerError(ErrorCode::kLimit,
                          StrCat("more than ", kMaxJsonTokens, " tokens"));
  }
  tokens_.push_back(std::move(token));
  return {};
}

Result<void> VocabularyBuilder::AddMerge(std::string_view left,
                                         std::string_view right) {
  if (left.empty() || right.empty()) return Corrupt("a merge with nothing");
  if (merges_.size() >= kMaxJsonMerges) {
    return TokenizerError(ErrorCode::kLimit,
                          StrCat("more than ", kMaxJsonMerges, " merges"));
  }
  if (left.size() > kMaxPieceBytes || right.size() > kMaxPieceBytes) {
    return TokenizerError(ErrorCode::kLimit, StrCat("a merge of more than ",
                                                    kMaxPieceBytes, " bytes"));
  }
  static_assert(kMaxPieceBytes <= 65535 && kMaxTokenizerJsonBytes < 1u << 31);
  merges_.push_back({static_cast<uint32_t>(merge_text_.size()),
                     static_cast<uint16_t>(left.size()),
                     static_cast<uint16_t>(right.size())});
  merge_text_.append(left).append(right);
  return {};
}

// An added token may repeat one of the model, under the same id. By sorting: a
// hash table could be made to collide.
Result<void> VocabularyBuilder::DropRepeated() {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const VocabularyToken& a, const VocabularyToken& b) {
              if (a.id != b.id) return a.id < b.id;
              return a.is_added < b.is_added;
            });
  size_t kept = 0;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    VocabularyToken& token = tokens_[i];
    if (kept > 0 && tokens_[kept - 1].id == token.id) {
      VocabularyToken& before = tokens_[kept - 1];
      if (before.text != token.text || before.is_added || !token.is_added) {
        return Corrupt(StrCat("id ", token.id, " is that of ",
                              TokenName(before.text), " and of ",
                              TokenName(token.text)));
      }
      before.is_added = true;
      before.is_special = token.is_special;
      before.is_picky = token.is_picky;
      continue;
    }
    if (kept != i) tokens_[kept] = std::move(token);
    ++kept;
  }
  tokens_.resize(kept);
  return {};
}

std::optional<uint32_t> VocabularyBuilder::Find(std::string_view text) const {
  const auto it =
      std::lower_bound(by_text_.begin(), by_text_.end(), text,
                       [this](uint32_t place, std::string_view wanted) {
                         return std::string_view(tokens_[place].text) < wanted;
                       });
  if (it == by_text_.end() || tokens_[*it].text != text) return std::nullopt;
  return tokens_[*it].id;
}

Result<void> VocabularyBuilder::Finish(TokenVocabulary& vocabulary) {
  if (tokens_.empty()) return Corrupt("it has no tokens");
  RETURN_IF_ERROR(DropRepeated());
  by_text_.resize(tokens_.size());
  std::iota(by_text_.begin(), by_text_.end(), 0u);
  std::sort(by_text_.begin(), by_text_.end(), [this](uint32_t a, uint32_t b) {
    return tokens_[a].text < tokens_[b].text;
  });
  for (size_t i = 1; i < by_text_.size(); ++i) {
    const VocabularyToken& a = tokens_[by_text_[i - 1]];
    const VocabularyToken& b = tokens_[by_text_[i]];
    if (a.text != b.text) continue;
    return Corrupt(StrCat("token ", TokenName(a.text), " has the ids ", a.id,
                          " and ", b.id));
  }
  vocabulary.merges.reserve(merges_.size());
  vocabulary.merged.reserve(merges_.size());
  for (const Merge& merge : merges_) {
    const auto whole =
        std::string_view(merge_text_)
            .substr(merge.begin, size_t{merge.left_bytes} + merge.right_bytes);
    const auto left_text = whole.substr(0, merge.left_bytes);
    const auto right_text = whole.substr(merge.left_bytes);
    const auto left = Find(left_text);
    const auto right = Find(right_text);
    const auto made = Find(whole);
    if (!left.has_value() || !right.has_value() || !made.has_value()) {
      return Corrupt(StrCat("merge ", vocabulary.merges.size(), " joins ",
                            TokenName(left_text), " and ",
                            TokenName(right_text),
                            ", which are no tokens, or make none"));
    }
    vocabulary.merges.emplace_back(*left, *right);
    vocabulary.merged.push_back(*made);
  }
  auto sorted = vocabulary.merges;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) {
    return Corrupt(StrCat("the tokens ", twice->first, " and ", twice->second,
                          " are merged twice"));
  }
  vocabulary.tokens = std::move(tokens_);
  return {};
}

}  // namespace verify
