// SPDX-License-Identifier: Apache-2.0
// The vocabulary from the metadata of a GGUF file.
#include <limits>
#include <optional>
#include <utility>

#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_check.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace verify {
namespace {

// An id of the metadata; 2^32 - 1 is how -1, none, reads as u32.
Result<int32_t> SpecialId(const GgufFile& gguf, std::string_view key,
                          int32_t absent) {
  const std::optional<uint64_t> id = gguf.Unsigned(key);
  if (!id.has_value()) return absent;
  if (*id == std::numeric_limits<uint32_t>::max()) return -1;
  if (*id > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
    return CorruptTokenizer(StrCat(key, " is ", *id), std::nullopt);
  }
  return static_cast<int32_t>(*id);
}

}  // namespace

Result<TokenizerModel> TokenizerModelFromGguf(const GgufFile& gguf) {
  const std::string* kind = gguf.String("tokenizer.ggml.model");
  if (kind == nullptr) {
    return CorruptTokenizer("the GGUF file has no tokenizer.ggml.model",
                            std::nullopt);
  }
  if (*kind != "llama") {
    return UnsupportedTokenizer(
        StrCat("model \"", EscapeForTerminal(*kind, 64),
               "\", only \"llama\" (SentencePiece) is read"),
        std::nullopt);
  }
  const std::vector<std::string>* tokens =
      gguf.Strings("tokenizer.ggml.tokens");
  const std::vector<float>* scores = gguf.Floats("tokenizer.ggml.scores");
  const std::optional<std::vector<int64_t>> types =
      gguf.Integers("tokenizer.ggml.token_type");
  if (tokens == nullptr || scores == nullptr || !types.has_value()) {
    return CorruptTokenizer(
        "the GGUF file lacks one of tokenizer.ggml.tokens, .scores and "
        ".token_type",
        std::nullopt);
  }
  if (scores->size() != tokens->size() || types->size() != tokens->size()) {
    return CorruptTokenizer(StrCat(tokens->size(), " tokens, ", scores->size(),
                                   " scores, ", types->size(), " token types"),
                            std::nullopt);
  }
  if (tokens->size() > kMaxTokenizerPieces) {
    return RefuseTokenizer(ErrorCode::kLimit,
                           StrCat(tokens->size(), " pieces, at most ",
                                  kMaxTokenizerPieces, " allowed"),
                           std::nullopt);
  }
  TokenizerModel model;
  model.algorithm = TokenizerModel::Algorithm::kBpe;
  model.pieces.reserve(tokens->size());
  for (size_t id = 0; id < tokens->size(); ++id) {
    ASSIGN_OR_RETURN(const PieceType type,
                     PieceTypeFrom((*types)[id], std::nullopt));
    TokenizerPiece piece{(*tokens)[id], (*scores)[id], type};
    RETURN_IF_ERROR(CheckTokenizerPiece(piece, id, std::nullopt));
    model.byte_fallback |= type == PieceType::kByte;
    model.pieces.push_back(std::move(piece));
  }
  model.add_dummy_prefix =
      gguf.Bool("tokenizer.ggml.add_space_prefix").value_or(true);
  model.remove_extra_whitespaces =
      gguf.Bool("tokenizer.ggml.remove_extra_whitespaces").value_or(false);
  model.add_bos = gguf.Bool("tokenizer.ggml.add_bos_token").value_or(true);
  ASSIGN_OR_RETURN(model.bos_id,
                   SpecialId(gguf, "tokenizer.ggml.bos_token_id", 1));
  ASSIGN_OR_RETURN(model.eos_id,
                   SpecialId(gguf, "tokenizer.ggml.eos_token_id", 2));
  ASSIGN_OR_RETURN(model.pad_id,
                   SpecialId(gguf, "tokenizer.ggml.padding_token_id", -1));
  RETURN_IF_ERROR(CheckTokenizerModel(model, {}));
  return model;
}

}  // namespace verify
