// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/vocabulary_check.h"

#include <string_view>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_check.h"
#include "verify/checkpoint/tokenizer_json.h"

namespace verify {
namespace {

Result<std::string> CheckText(std::string_view name, std::string_view text,
                              uint64_t vocab_size,
                              const TokenizerModel* model) {
  const bool is_tekken = name == "tekken.json";
  ASSIGN_OR_RETURN(const TokenVocabulary vocabulary,
                   is_tekken ? ReadTekkenJson(text) : ReadTokenizerJson(text));
  if (vocabulary.max_id() >= vocab_size) {
    return TokenizerError(ErrorCode::kCorrupt,
                          StrCat("it has the id ", vocabulary.max_id(),
                                 ", the model a vocabulary of ", vocab_size));
  }
  if (!is_tekken && model != nullptr) {
    RETURN_IF_ERROR(CompareVocabularies(vocabulary, *model));
  }
  return StrCat(vocabulary.tokens.size(), " tokens, ", vocabulary.merges.size(),
                " merges, split by ", SplitPatternName(vocabulary.pattern));
}

}  // namespace

Result<std::vector<VocabularyFile>> CheckVocabularyFiles(
    const std::string& folder, uint64_t vocab_size,
    const TokenizerModel* model) {
  std::vector<VocabularyFile> files;
  for (const std::string_view name : {"tokenizer.json", "tekken.json"}) {
    const std::string path = StrCat(folder, "/", name);
    const std::string shown = StrCat('"', EscapeForTerminal(path), '"');
    auto text = ReadSmallTextFile(path, kMaxTokenizerJsonBytes);
    if (!text) {
      if (text.error().code == ErrorCode::kNotFound) continue;
      return Unexpected(std::move(text).error());
    }
    auto detail = CheckText(name, *text, vocab_size, model);
    if (detail) {
      files.push_back({path, std::move(detail).value(), true});
    } else if (detail.error().code == ErrorCode::kUnsupported &&
               model != nullptr) {
      files.push_back({path, detail.error().message, false});
    } else {
      return WithContext(std::move(detail).error(), shown);
    }
  }
  return files;
}

}  // namespace verify
