// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/gguf_metadata.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "inference/text/bpe_merger.h"
#include "inference/text/bpe_pairs.h"
#include "inference/text/byte_letters.h"
#include "inference/text/template_text.h"
#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/checkpoint/gguf_format.h"

namespace inference {
namespace {

using verify::ModelConfig;
using verify::PieceType;
using verify::Result;
using verify::StrCat;
using verify::TokenizerModel;
using verify::TokenizerPiece;
using verify::TokenVocabulary;
using verify::VocabularyToken;

// Every size of a configuration is far below 2^32 (config_check.h).
uint32_t U32(uint64_t value) {
  CHECK(value <= UINT32_MAX);
  return static_cast<uint32_t>(value);
}

// The name of a row of the model that is no token.
std::string PaddingName(uint64_t id) { return StrCat("[PAD", id, "]"); }

verify::Unexpected NotWritable(std::string_view what) {
  return verify::Fail(
             verify::ErrorCode::kUnsupported,
             StrCat("tokenizer: ", what, ", which GGUF has no keys for"))
      .Id("E-TOKENIZER")
      .Hint("chat and verify run this model as it is");
}

// What "tokenizer.ggml.pre" says of a pattern, as verify reads it
// (vocabulary_gguf.cc); empty where no name has this combination.
std::string_view PreName(const TokenVocabulary& vocabulary) {
  switch (vocabulary.pattern) {
    case verify::SplitPattern::kGpt2:
      return vocabulary.ignore_merges ? "" : "gpt-2";
    case verify::SplitPattern::kLlama3:
      return vocabulary.ignore_merges ? "llama-bpe" : "";
    case verify::SplitPattern::kQwen2:
      return vocabulary.ignore_merges ? "" : "qwen2";
    case verify::SplitPattern::kO200k:
      return vocabulary.ignore_merges ? "" : "gpt-4o";
    case verify::SplitPattern::kTekken:
      return vocabulary.ignore_merges ? "tekken" : "";
    case verify::SplitPattern::kNone:
      return "";
  }
  return "";
}

Result<void> CheckWritable(const TokenVocabulary& vocabulary) {
  using verify::TextRules;
  if (!vocabulary.is_byte_level && !vocabulary.is_tekken) {
    return NotWritable("its tokens are texts and not bytes");
  }
  const TextRules& rules = vocabulary.rules;
  if (!rules.unsupported.empty()) {
    return NotWritable(StrCat("it has a ", rules.unsupported));
  }
  if (rules.prefix == TextRules::Prefix::kAlways || rules.prefix_once ||
      rules.marks_spaces || rules.cuts_at_marks || rules.drops_first_space) {
    return NotWritable("it puts or marks spaces in a way of its own");
  }
  if (PreName(vocabulary).empty()) {
    return NotWritable(StrCat("it cuts texts by the pattern \"",
                              verify::SplitPatternName(vocabulary.pattern),
                              vocabulary.ignore_merges
                                  ? "\" and takes whole words"
                                  : "\" and does not take whole words"));
  }
  if (vocabulary.byte_fallback) return NotWritable("it falls back to bytes");
  for (const VocabularyToken& token : vocabulary.tokens) {
    if (token.is_added && !token.is_special && token.is_picky) {
      return NotWritable(StrCat("its token \"",
                                verify::EscapeForTerminal(token.text, 64),
                                "\" takes blanks or is a word of its own"));
    }
  }
  return {};
}

// Types of llama.cpp, which are those of SentencePiece.
PieceType TypeOf(const TokenVocabulary& vocabulary,
                 const VocabularyToken& token) {
  // Bytes leave nothing unknown; in tekken.json the token is a special one.
  if (token.is_special && token.id == vocabulary.unknown_id &&
      !vocabulary.is_tekken) {
    return PieceType::kUnknown;
  }
  if (token.is_special) return PieceType::kControl;
  return token.is_added ? PieceType::kUserDefined : PieceType::kNormal;
}

struct ByteTokens {
  std::vector<std::string> texts;  // by id, of all rows of the model
  std::vector<int32_t> types;
};

// Texts of all ids, letters for bytes. No two may be the same.
Result<ByteTokens> TextsOf(const TokenVocabulary& vocabulary,
                           uint64_t vocab_size) {
  ByteTokens out;
  out.texts.resize(static_cast<size_t>(vocab_size));
  out.types.resize(static_cast<size_t>(vocab_size),
                   static_cast<int32_t>(PieceType::kUnused));
  std::set<std::string> seen;
  for (const VocabularyToken& token : vocabulary.tokens) {
    const bool is_bytes = vocabulary.is_tekken && !token.is_added;
    std::string text = is_bytes ? LettersOfBytes(token.text) : token.text;
    if (!seen.insert(text).second) {
      return NotWritable(StrCat("the text \"",
                                verify::EscapeForTerminal(text, 64),
                                "\" is that of two tokens"));
    }
    out.types[token.id] = static_cast<int32_t>(TypeOf(vocabulary, token));
    out.texts[token.id] = std::move(text);
  }
  for (size_t id = 0; id < out.texts.size(); ++id) {
    if (!out.texts[id].empty()) continue;
    std::string name = PaddingName(id);
    while (!seen.insert(name).second) name += '_';
    out.texts[id] = std::move(name);
  }
  return out;
}

// "a b", those to be made first in front.
Result<std::vector<std::string>> MergesOf(
    const TokenVocabulary& vocabulary, const std::vector<std::string>& texts) {
  std::vector<std::pair<uint32_t, uint32_t>> merges = vocabulary.merges;
  if (vocabulary.is_tekken) {
    std::vector<TokenBytes> tokens;
    for (const VocabularyToken& token : vocabulary.tokens) {
      if (!token.is_added) tokens.push_back({token.text, token.id});
    }
    ASSIGN_OR_RETURN(std::vector<MergeTable::Merge> pairs,
                     PairsOf(tokens, verify::kMaxJsonMerges));
    std::sort(pairs.begin(), pairs.end(),
              [](const MergeTable::Merge& a, const MergeTable::Merge& b) {
                return std::tie(a.rank, a.left, a.right) <
                       std::tie(b.rank, b.left, b.right);
              });
    for (const MergeTable::Merge& pair : pairs) {
      merges.emplace_back(pair.left, pair.right);
    }
  }
  std::vector<std::string> out;
  out.reserve(merges.size());
  for (const auto& [left, right] : merges) {
    if (texts[left].find(' ') != std::string::npos ||
        texts[right].find(' ') != std::string::npos) {
      return NotWritable(StrCat("a merge of \"",
                                verify::EscapeForTerminal(texts[left], 64),
                                "\" has a space in it"));
    }
    out.push_back(StrCat(texts[left], " ", texts[right]));
  }
  return out;
}

}  // namespace

void AddModelMetadata(GgufHeader& header, const ModelConfig& config,
                      std::string_view name, uint32_t file_type) {
  const verify::FamilyDescription& family =
      verify::DescriptionOf(config.family);
  const auto key = [&](std::string_view of_family) {
    return StrCat(family.gguf_architecture, ".", of_family);
  };
  header.AddString("general.architecture", family.gguf_architecture);
  header.AddString("general.name", name);
  header.AddUint32("general.alignment",
                   static_cast<uint32_t>(verify::kGgufDefaultAlignment));
  header.AddUint32("general.file_type", file_type);
  header.AddUint32("general.quantization_version", 2);

  // Dense layers, where there may be some, have a width of their own.
  const uint64_t dense_ff_dim = config.traits.dense_ff_dim;
  header.AddUint32(key("vocab_size"), U32(config.vocab_size));
  header.AddUint32(key("context_length"), U32(config.context_len));
  header.AddUint32(key("embedding_length"), U32(config.dim));
  header.AddUint32(key("block_count"), U32(config.num_layers));
  header.AddUint32(key("feed_forward_length"),
                   U32(dense_ff_dim != 0 ? dense_ff_dim : config.ff_dim));
  header.AddUint32(key("attention.head_count"), U32(config.num_heads));
  header.AddUint32(key("attention.head_count_kv"), U32(config.num_kv_heads));
  header.AddUint32(key("attention.key_length"), U32(config.head_dim));
  header.AddUint32(key("attention.value_length"), U32(config.head_dim));
  header.AddFloat32(key("attention.layer_norm_rms_epsilon"),
                    static_cast<float>(config.norm_eps));
  if (config.sliding_window.has_value()) {
    header.AddUint32(key("attention.sliding_window"),
                     U32(*config.sliding_window));
  }
  header.AddUint32(key("rope.dimension_count"), U32(config.head_dim));
  // Always: a reader without it assumes 10000.
  header.AddFloat32(key("rope.freq_base"),
                    static_cast<float>(config.rope_theta));
  if (config.is_moe()) {
    header.AddUint32(key("expert_count"), U32(config.num_experts));
    header.AddUint32(key("expert_used_count"),
                     U32(config.num_experts_per_token));
    if (dense_ff_dim != 0) {
      header.AddUint32(key("expert_feed_forward_length"), U32(config.ff_dim));
    }
    if (config.expert_weights != family.gguf_weights) {
      header.AddBool(key("expert_weights_norm"),
                     config.expert_weights == verify::ExpertWeights::kOfChosen);
    }
  }
}

void AddImportanceMetadata(GgufHeader& header, const ImportanceMatrix& matrix) {
  header.AddString("quantize.imatrix.dataset", matrix.dataset);
  header.AddUint32("quantize.imatrix.entries_count",
                   U32(matrix.entries.size()));
  header.AddUint32("quantize.imatrix.chunks_count", U32(matrix.num_chunks));
  header.AddString("quantize.imatrix.sha256",
                   verify::HexEncode(DigestOf(matrix)));
}

void AddTokenizerMetadata(GgufHeader& header, const TokenizerModel& tokenizer,
                          uint64_t vocab_size) {
  CHECK(tokenizer.pieces.size() <= vocab_size);
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const TokenizerPiece& piece : tokenizer.pieces) {
    tokens.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<int32_t>(piece.type));
  }
  for (uint64_t id = tokens.size(); id < vocab_size; ++id) {
    tokens.push_back(PaddingName(id));
    scores.push_back(-1000);
    types.push_back(static_cast<int32_t>(verify::PieceType::kUnused));
  }
  header.AddString("tokenizer.ggml.model", "llama");
  header.AddString("tokenizer.ggml.pre", "default");
  header.AddStrings("tokenizer.ggml.tokens", tokens);
  header.AddFloat32s("tokenizer.ggml.scores", scores);
  header.AddInt32s("tokenizer.ggml.token_type", types);
  const auto add_id = [&](std::string_view key, int32_t id) {
    if (id >= 0) header.AddUint32(key, static_cast<uint32_t>(id));
  };
  add_id("tokenizer.ggml.bos_token_id", tokenizer.bos_id);
  add_id("tokenizer.ggml.eos_token_id", tokenizer.eos_id);
  add_id("tokenizer.ggml.unknown_token_id", tokenizer.unk_id);
  add_id("tokenizer.ggml.padding_token_id", tokenizer.pad_id);
  header.AddBool("tokenizer.ggml.add_bos_token", tokenizer.add_bos);
  header.AddBool("tokenizer.ggml.add_eos_token", false);
  header.AddBool("tokenizer.ggml.add_space_prefix", tokenizer.add_dummy_prefix);
  header.AddBool("tokenizer.ggml.remove_extra_whitespaces",
                 tokenizer.remove_extra_whitespaces);
}

Result<void> AddTokenizerMetadata(GgufHeader& header,
                                  const TokenVocabulary& vocabulary,
                                  uint64_t vocab_size) {
  RETURN_IF_ERROR(CheckWritable(vocabulary));
  if (vocabulary.max_id() >= vocab_size) {
    return verify::Fail(
               verify::ErrorCode::kCorrupt,
               StrCat("tokenizer: it has the id ", vocabulary.max_id(),
                      ", the model ", vocab_size, " rows of embedding"))
        .Id("E-TOKENIZER")
        .Hint("the tokenizer belongs to another model");
  }
  ASSIGN_OR_RETURN(const ByteTokens tokens, TextsOf(vocabulary, vocab_size));
  ASSIGN_OR_RETURN(const std::vector<std::string> merges,
                   MergesOf(vocabulary, tokens.texts));
  header.AddString("tokenizer.ggml.model", "gpt2");
  header.AddString("tokenizer.ggml.pre", PreName(vocabulary));
  header.AddStrings("tokenizer.ggml.tokens", tokens.texts);
  header.AddInt32s("tokenizer.ggml.token_type", tokens.types);
  header.AddStrings("tokenizer.ggml.merges", merges);
  const auto add_id = [&](std::string_view key,
                          const std::optional<uint32_t>& id) {
    if (id.has_value()) header.AddUint32(key, *id);
  };
  add_id("tokenizer.ggml.bos_token_id", vocabulary.begin_id);
  add_id("tokenizer.ggml.eos_token_id", vocabulary.end_id);
  add_id("tokenizer.ggml.unknown_token_id", vocabulary.unknown_id);
  header.AddBool("tokenizer.ggml.add_bos_token",
                 vocabulary.adds_begin && vocabulary.begin_id.has_value());
  header.AddBool("tokenizer.ggml.add_eos_token", false);
  header.AddBool(
      "tokenizer.ggml.add_space_prefix",
      vocabulary.rules.prefix == verify::TextRules::Prefix::kUnlessThere);
  if (vocabulary.rules.nfc) header.AddBool(verify::kGgufNfcKey, true);
  return {};
}

void AddTemplateMetadata(GgufHeader& header,
                         const LoadedVocabulary& vocabulary) {
  // One that cannot be used to chat has no template either.
  const auto tokenizer = MakeTokenizer(vocabulary);
  if (!tokenizer) return;
  const auto version = KnownInstructVersion(*tokenizer);
  if (!version.has_value()) return;
  header.AddString("tokenizer.chat_template", TemplateText(*version));
}

Result<void> AddTokenizerMetadata(GgufHeader& header,
                                  const LoadedVocabulary& vocabulary,
                                  uint64_t vocab_size) {
  const TokenizerModel* const pieces = vocabulary.sentencepiece();
  if (pieces == nullptr) {
    return AddTokenizerMetadata(
        header, std::get<TokenVocabulary>(vocabulary.content), vocab_size);
  }
  if (pieces->pieces.size() > vocab_size) {
    return verify::Fail(verify::ErrorCode::kCorrupt,
                        StrCat("the tokenizer has ", pieces->pieces.size(),
                               " pieces, the model only ", vocab_size,
                               " rows of embedding"))
        .Id("E-TOKENIZER")
        .Hint("this tokenizer.model belongs to another model");
  }
  AddTokenizerMetadata(header, *pieces, vocab_size);
  return {};
}

}  // namespace inference
