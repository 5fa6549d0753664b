// SPDX-License-Identifier: Apache-2.0
// A byte-level vocabulary from the metadata of a GGUF file. Which pattern and
// rules each "tokenizer.ggml.pre" stands for: ggml-org/llama.cpp,
// src/llama-vocab.cpp.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "verify/base/text.h"
#include "verify/checkpoint/gguf_format.h"
#include "verify/checkpoint/tokenizer_check.h"
#include "verify/checkpoint/tokenizer_json.h"
#include "verify/checkpoint/vocabulary_builder.h"

namespace verify {
namespace {

struct KnownPre {
  std::string_view name;
  SplitPattern pattern;
  bool ignores_merges;
  bool adds_begin;
};

constexpr std::array kKnownPre = {
    KnownPre{"gpt-2", SplitPattern::kGpt2, false, false},
    KnownPre{"olmo", SplitPattern::kGpt2, false, false},
    KnownPre{"llama-bpe", SplitPattern::kLlama3, true, true},
    KnownPre{"llama3", SplitPattern::kLlama3, true, true},
    KnownPre{"llama-v3", SplitPattern::kLlama3, true, true},
    KnownPre{"qwen2", SplitPattern::kQwen2, false, false},
    KnownPre{"gpt-4o", SplitPattern::kO200k, false, false},
    KnownPre{"llama4", SplitPattern::kO200k, false, false},
    KnownPre{"tekken", SplitPattern::kTekken, true, true},
};

Unexpected Corrupt(std::string_view what) {
  return TokenizerError(ErrorCode::kCorrupt, what);
}

Result<KnownPre> FindPre(const GgufFile& gguf) {
  const std::string* pre = gguf.String("tokenizer.ggml.pre");
  for (const KnownPre& known : kKnownPre) {
    if (pre != nullptr && known.name == *pre) return known;
  }
  return TokenizerError(
      ErrorCode::kUnsupported,
      pre == nullptr
          ? std::string("the GGUF file has no tokenizer.ggml.pre, so that it "
                        "is not known how text is cut")
          : StrCat("tokenizer.ggml.pre is ", TokenName(*pre),
                   ", which is not known"));
}

// None if the key is absent or says -1.
Result<std::optional<uint32_t>> SpecialId(const GgufFile& gguf,
                                          std::string_view key,
                                          size_t num_tokens) {
  const std::optional<uint64_t> id = gguf.Unsigned(key);
  if (!id.has_value() || *id == 0xffffffffu) return std::optional<uint32_t>();
  if (*id >= num_tokens) {
    return Corrupt(
        StrCat(key, " is ", *id, ", there are ", num_tokens, " tokens"));
  }
  return std::optional<uint32_t>(static_cast<uint32_t>(*id));
}

Result<void> AddTokens(const std::vector<std::string>& tokens,
                       const std::vector<int64_t>& types,
                       TokenVocabulary& vocabulary,
                       VocabularyBuilder& builder) {
  for (size_t id = 0; id < tokens.size(); ++id) {
    ASSIGN_OR_RETURN(const PieceType type,
                     PieceTypeFrom(types[id], std::nullopt));
    const bool special =
        type == PieceType::kControl || type == PieceType::kUnknown;
    if (type == PieceType::kUnknown) {
      vocabulary.unknown_id = static_cast<uint32_t>(id);
    }
    RETURN_IF_ERROR(builder.AddToken(
        {static_cast<uint32_t>(id), tokens[id],
         special || type == PieceType::kUserDefined, special, false}));
  }
  return {};
}

Result<void> AddMerges(const std::vector<std::string>& merges,
                       VocabularyBuilder& builder) {
  for (const std::string_view merge : merges) {
    const size_t space = merge.find(' ');
    if (space == std::string_view::npos ||
        merge.find(' ', space + 1) != std::string_view::npos) {
      return Corrupt(
          StrCat("the merge ", TokenName(merge), " has not exactly one space"));
    }
    RETURN_IF_ERROR(
        builder.AddMerge(merge.substr(0, space), merge.substr(space + 1)));
  }
  return {};
}

}  // namespace

Result<TokenVocabulary> TokenVocabularyFromGguf(const GgufFile& gguf) {
  const std::string* kind = gguf.String("tokenizer.ggml.model");
  if (kind == nullptr || *kind != "gpt2") {
    return TokenizerError(
        ErrorCode::kUnsupported,
        kind == nullptr
            ? std::string("the GGUF file has no tokenizer.ggml.model")
            : StrCat("model ", TokenName(*kind), ", not \"gpt2\""));
  }
  ASSIGN_OR_RETURN(const KnownPre pre, FindPre(gguf));
  const auto* tokens = gguf.Strings("tokenizer.ggml.tokens");
  const auto* merges = gguf.Strings("tokenizer.ggml.merges");
  const auto types = gguf.Integers("tokenizer.ggml.token_type");
  if (tokens == nullptr || merges == nullptr || !types.has_value()) {
    return Corrupt(
        "the GGUF file lacks one of tokenizer.ggml.tokens, .merges and "
        ".token_type");
  }
  if (types->size() != tokens->size()) {
    return Corrupt(
        StrCat(tokens->size(), " tokens, ", types->size(), " token types"));
  }
  TokenVocabulary vocabulary;
  vocabulary.is_byte_level = true;
  vocabulary.pattern = pre.pattern;
  vocabulary.ignore_merges = pre.ignores_merges;
  vocabulary.adds_begin =
      gguf.Bool("tokenizer.ggml.add_bos_token").value_or(pre.adds_begin);
  if (gguf.Bool("tokenizer.ggml.add_space_prefix").value_or(false)) {
    vocabulary.rules.prefix = TextRules::Prefix::kUnlessThere;
  }
  vocabulary.rules.nfc = gguf.Bool(kGgufNfcKey).value_or(false);
  VocabularyBuilder builder;
  RETURN_IF_ERROR(AddTokens(*tokens, *types, vocabulary, builder));
  RETURN_IF_ERROR(AddMerges(*merges, builder));
  ASSIGN_OR_RETURN(
      vocabulary.begin_id,
      SpecialId(gguf, "tokenizer.ggml.bos_token_id", tokens->size()));
  ASSIGN_OR_RETURN(
      vocabulary.end_id,
      SpecialId(gguf, "tokenizer.ggml.eos_token_id", tokens->size()));
  RETURN_IF_ERROR(builder.Finish(vocabulary));
  // Converters list all pairs that make a token, token by token.
  vocabulary.ranks_by_token =
      pre.pattern == SplitPattern::kTekken &&
      std::is_sorted(vocabulary.merged.begin(), vocabulary.merged.end());
  return vocabulary;
}

}  // namespace verify
