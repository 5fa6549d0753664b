// SPDX-License-Identifier: Apache-2.0
// tekken.json: tokens as bytes, ordered by rank, behind the special ones.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "verify/base/base64.h"
#include "verify/base/bytes.h"
#include "verify/base/json.h"
#include "verify/base/text.h"
#include "verify/checkpoint/split_pattern.h"
#include "verify/checkpoint/tokenizer_check.h"
#include "verify/checkpoint/tokenizer_json.h"
#include "verify/checkpoint/vocabulary_builder.h"

namespace verify {
namespace {

constexpr JsonLimits kLimits{32u << 20, 8, 1u << 20};
constexpr uint64_t kNumBytes = 256;  // the first ranks are the single bytes

Unexpected Corrupt(std::string_view what) {
  return TokenizerError(ErrorCode::kCorrupt, what);
}

Result<uint64_t> Number(const Json& object, std::string_view key,
                        uint64_t max) {
  const auto it = object.find(key);
  const auto number = it == object.end() ? std::nullopt : AsUnsigned(*it);
  if (!number.has_value() || *number > max) {
    return Corrupt(StrCat("\"", key, "\" is no whole number of at most ", max));
  }
  return *number;
}

// The special tokens of files that list none, up to version 7 (formats of
// mistralai/mistral-common, src/mistral_common/tokens/tokenizers/tekken.py).
constexpr std::array<std::string_view, 20> kFirstSpecials = {
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]"};

// The special tokens that the file names; others are "<SPECIAL_7>" and such.
Result<void> AddSpecials(const Json& root, uint64_t num_specials,
                         VocabularyBuilder& builder) {
  std::vector<std::string> names(static_cast<size_t>(num_specials));
  const auto listed = root.find("special_tokens");
  if (listed != root.end() && !listed->is_null()) {
    if (!listed->is_array()) return Corrupt("\"special_tokens\" is no list");
    for (const Json& item : *listed) {
      if (!item.is_object() || !item.contains("token_str") ||
          !item["token_str"].is_string()) {
        return Corrupt("a special token without \"token_str\"");
      }
      ASSIGN_OR_RETURN(const uint64_t rank,
                       Number(item, "rank", num_specials - 1));
      std::string& name = names[static_cast<size_t>(rank)];
      if (!name.empty()) {
        return Corrupt(StrCat("special token ", rank, " stands twice"));
      }
      name = item["token_str"].get<std::string>();
    }
  } else {
    const size_t count = std::min(names.size(), kFirstSpecials.size());
    std::copy_n(kFirstSpecials.begin(), count, names.begin());
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) names[i] = StrCat("<SPECIAL_", i, ">");
    RETURN_IF_ERROR(builder.AddToken(
        {static_cast<uint32_t>(i), std::move(names[i]), true, true, false}));
  }
  return {};
}

Result<std::string> TokenBytes(const Json& item, uint64_t rank) {
  const auto text = item.find("token_bytes");
  if (text == item.end() || !text->is_string()) {
    return Corrupt(StrCat("token ", rank, " has no \"token_bytes\""));
  }
  const auto& packed = text->get_ref<const std::string&>();
  if (packed.size() > 2 * kMaxPieceBytes) {
    return TokenizerError(
        ErrorCode::kLimit,
        StrCat("token ", rank, " of more than ", kMaxPieceBytes, " bytes"));
  }
  const auto bytes = Base64Decode(packed);
  if (!bytes.has_value() || bytes->empty()) {
    return Corrupt(StrCat("token ", rank, " is no base64, or empty"));
  }
  return std::string(AsText(*bytes));
}

}  // namespace

Result<TokenVocabulary> ReadTekkenJson(std::string_view text) {
  ASSIGN_OR_RETURN(const Json root, ParseJson(text, kLimits));
  if (!root.is_object() || !root.contains("config") ||
      !root["config"].is_object() || !root.contains("vocab") ||
      !root["vocab"].is_array()) {
    return Corrupt("tekken.json needs \"config\" and a list \"vocab\"");
  }
  const Json& config = root["config"];
  const Json& listed = root["vocab"];
  ASSIGN_OR_RETURN(const uint64_t size,
                   Number(config, "default_vocab_size", kMaxJsonTokens));
  ASSIGN_OR_RETURN(const uint64_t num_specials,
                   Number(config, "default_num_special_tokens", size));
  // The file may hold more tokens than the model uses.
  const uint64_t num_used = size - num_specials;
  if (num_specials == 0 || num_used < kNumBytes || listed.size() < num_used) {
    return Corrupt(StrCat("a vocabulary of ", size, " with ", num_specials,
                          " special tokens and ", listed.size(), " others"));
  }
  TokenVocabulary vocabulary;
  const auto pattern = config.find("pattern");
  if (pattern == config.end() || !pattern->is_string()) {
    return Corrupt("there is no \"pattern\"");
  }
  ASSIGN_OR_RETURN(vocabulary.pattern,
                   RecognisePattern(pattern->get_ref<const std::string&>()));

  // Special tokens are names, the others bytes: "<s>" may well be both.
  VocabularyBuilder specials;
  RETURN_IF_ERROR(AddSpecials(root, num_specials, specials));
  TokenVocabulary named;
  RETURN_IF_ERROR(specials.Finish(named));
  VocabularyBuilder builder;
  for (uint64_t rank = 0; rank < listed.size(); ++rank) {
    const Json& item = listed[static_cast<size_t>(rank)];
    if (!item.is_object()) return Corrupt("a token that is no object");
    ASSIGN_OR_RETURN(const uint64_t stated,
                     Number(item, "rank", kMaxJsonTokens));
    if (stated != rank) {
      return Corrupt(StrCat("token ", rank, " has rank ", stated));
    }
    ASSIGN_OR_RETURN(std::string bytes, TokenBytes(item, rank));
    if (rank < kNumBytes && (bytes.size() != 1 || static_cast<unsigned char>(
                                                      bytes.front()) != rank)) {
      return Corrupt(StrCat("token ", rank, " is not the byte ", rank));
    }
    if (rank >= num_used) continue;
    RETURN_IF_ERROR(
        builder.AddToken({static_cast<uint32_t>(rank + num_specials),
                          std::move(bytes), false, false, false}));
  }
  RETURN_IF_ERROR(builder.Finish(vocabulary));
  vocabulary.is_tekken = true;
  vocabulary.ignore_merges = true;
  vocabulary.adds_begin = true;
  for (const VocabularyToken& token : named.tokens) {
    if (token.text == "<unk>") vocabulary.unknown_id = token.id;
    if (token.text == "<s>") vocabulary.begin_id = token.id;
    if (token.text == "</s>") vocabulary.end_id = token.id;
  }
  const auto version = config.find("version");
  if (version != config.end() && version->is_string()) {
    vocabulary.version = version->get<std::string>();
  }
  vocabulary.tokens.insert(vocabulary.tokens.begin(), named.tokens.begin(),
                           named.tokens.end());
  return vocabulary;
}

}  // namespace verify
