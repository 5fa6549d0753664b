// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/tokenizer_model.h"

#include <utility>

#include "verify/base/text.h"
#include "verify/checkpoint/protobuf_wire.h"
#include "verify/checkpoint/tokenizer_check.h"

namespace verify {
namespace {

// Field numbers of sentencepiece_model.proto.
constexpr uint32_t kModelPieces = 1;
constexpr uint32_t kModelTrainerSpec = 2;
constexpr uint32_t kModelNormalizerSpec = 3;
constexpr uint32_t kModelDenormalizerSpec = 5;
constexpr uint32_t kPieceText = 1;
constexpr uint32_t kPieceScore = 2;
constexpr uint32_t kPieceTypeField = 3;
constexpr uint32_t kTrainerModelType = 3;
constexpr uint32_t kTrainerVocabSize = 4;
constexpr uint32_t kTrainerWhitespaceAsSuffix = 24;
constexpr uint32_t kTrainerByteFallback = 35;
constexpr uint32_t kTrainerUnkId = 40;
constexpr uint32_t kTrainerBosId = 41;
constexpr uint32_t kTrainerEosId = 42;
constexpr uint32_t kTrainerPadId = 43;
constexpr uint32_t kNormalizerName = 1;
constexpr uint32_t kNormalizerCharsmap = 2;
constexpr uint32_t kNormalizerDummyPrefix = 3;
constexpr uint32_t kNormalizerExtraWhitespaces = 4;
constexpr uint32_t kNormalizerEscapeWhitespaces = 5;

// An error of the wire reader, named as one of this format.
Unexpected Rename(Error error) {
  return CorruptTokenizer(error.message, error.offset);
}

// The parsers below return the wire reader's plain errors beside their own;
// ReadTokenizerModel names both alike.
Result<TokenizerPiece> ParsePiece(const WireField& message) {
  ASSIGN_OR_RETURN(const ByteSpan bytes, WireBytes(message));
  WireReader reader(bytes, message.bytes_offset);
  TokenizerPiece piece;
  while (!reader.empty()) {
    ASSIGN_OR_RETURN(const WireField field, reader.Next());
    if (field.number == kPieceText) {
      ASSIGN_OR_RETURN(const ByteSpan text, WireBytes(field));
      piece.text = AsText(text);
    } else if (field.number == kPieceScore) {
      ASSIGN_OR_RETURN(piece.score, WireFloat(field));
    } else if (field.number == kPieceTypeField) {
      ASSIGN_OR_RETURN(const int32_t type, WireInt32(field));
      ASSIGN_OR_RETURN(piece.type, PieceTypeFrom(type, field.offset));
    }
  }
  return piece;
}

Result<void> ParseTrainerSpec(const WireField& message, TokenizerModel& model) {
  ASSIGN_OR_RETURN(const ByteSpan bytes, WireBytes(message));
  WireReader reader(bytes, message.bytes_offset);
  while (!reader.empty()) {
    ASSIGN_OR_RETURN(const WireField field, reader.Next());
    switch (field.number) {
      case kTrainerModelType: {
        ASSIGN_OR_RETURN(const int32_t type, WireInt32(field));
        if (type < 1 || type > 4) {
          return CorruptTokenizer(StrCat("model type ", type), field.offset);
        }
        model.algorithm = static_cast<TokenizerModel::Algorithm>(type);
        break;
      }
      case kTrainerWhitespaceAsSuffix: {
        ASSIGN_OR_RETURN(const bool as_suffix, WireBool(field));
        if (as_suffix) {
          return UnsupportedTokenizer("treat_whitespace_as_suffix",
                                      field.offset);
        }
        break;
      }
      case kTrainerByteFallback: {
        ASSIGN_OR_RETURN(model.byte_fallback, WireBool(field));
        break;
      }
      case kTrainerUnkId: {
        ASSIGN_OR_RETURN(model.unk_id, WireInt32(field));
        break;
      }
      case kTrainerBosId: {
        ASSIGN_OR_RETURN(model.bos_id, WireInt32(field));
        break;
      }
      case kTrainerEosId: {
        ASSIGN_OR_RETURN(model.eos_id, WireInt32(field));
        break;
      }
      case kTrainerPadId: {
        ASSIGN_OR_RETURN(model.pad_id, WireInt32(field));
        break;
      }
      default:
        break;
    }
  }
  return {};
}

// The bytes of a table of 32-bit units, the table, then the texts it leads to,
// each ended by a zero byte.
Result<void> CheckCharsmap(ByteSpan charsmap, uint64_t offset) {
  if (charsmap.empty()) return {};
  ByteReader reader(charsmap);
  const auto table_bytes = reader.Read<uint32_t>();
  const bool fits = table_bytes && *table_bytes % 4 == 0 && *table_bytes > 0 &&
                    *table_bytes <= reader.remaining() &&
                    charsmap.back() == std::byte{0};
  if (fits) return {};
  return CorruptTokenizer("a character map whose table does not fit into it",
                          offset);
}

Result<void> ParseNormalizerSpec(const WireField& message,
                                 TokenizerModel& model) {
  ASSIGN_OR_RETURN(const ByteSpan bytes, WireBytes(message));
  WireReader reader(bytes, message.bytes_offset);
  while (!reader.empty()) {
    ASSIGN_OR_RETURN(const WireField field, reader.Next());
    switch (field.number) {
      case kNormalizerCharsmap: {
        ASSIGN_OR_RETURN(const ByteSpan charsmap, WireBytes(field));
        RETURN_IF_ERROR(CheckCharsmap(charsmap, field.offset));
        model.precompiled_charsmap = AsText(charsmap);
        break;
      }
      case kNormalizerDummyPrefix: {
        ASSIGN_OR_RETURN(model.add_dummy_prefix, WireBool(field));
        break;
      }
      case kNormalizerExtraWhitespaces: {
        ASSIGN_OR_RETURN(model.remove_extra_whitespaces, WireBool(field));
        break;
      }
      case kNormalizerEscapeWhitespaces: {
        ASSIGN_OR_RETURN(model.escape_whitespaces, WireBool(field));
        break;
      }
      default:
        break;
    }
  }
  return {};
}

// Rules that change decoded text are not implemented, an empty one is normal.
Result<void> ParseDenormalizerSpec(const WireField& message) {
  TokenizerModel unused;
  RETURN_IF_ERROR(ParseNormalizerSpec(message, unused));
  if (!unused.precompiled_charsmap.empty()) {
    return UnsupportedTokenizer("a denormalizer with rules", message.offset);
  }
  return {};
}

Result<TokenizerModel> Parse(ByteSpan bytes) {
  TokenizerModel model;
  // The defaults of sentencepiece_model.proto.
  model.algorithm = TokenizerModel::Algorithm::kUnigram;
  std::vector<uint64_t> offsets;
  WireReader reader(bytes);
  while (!reader.empty()) {
    ASSIGN_OR_RETURN(const WireField field, reader.Next());
    switch (field.number) {
      case kModelPieces: {
        if (model.pieces.size() == kMaxTokenizerPieces) {
          return RefuseTokenizer(
              ErrorCode::kLimit,
              StrCat("more than ", kMaxTokenizerPieces, " pieces"),
              field.offset);
        }
        ASSIGN_OR_RETURN(TokenizerPiece piece, ParsePiece(field));
        RETURN_IF_ERROR(
            CheckTokenizerPiece(piece, model.pieces.size(), field.offset));
        model.pieces.push_back(std::move(piece));
        offsets.push_back(field.offset);
        break;
      }
      case kModelTrainerSpec:
        RETURN_IF_ERROR(ParseTrainerSpec(field, model));
        break;
      case kModelNormalizerSpec:
        RETURN_IF_ERROR(ParseNormalizerSpec(field, model));
        break;
      case kModelDenormalizerSpec:
        RETURN_IF_ERROR(ParseDenormalizerSpec(field));
        break;
      default:
        break;
    }
  }
  RETURN_IF_ERROR(CheckTokenizerModel(model, offsets));
  return model;
}

}  // namespace

Result<TokenizerModel> ReadTokenizerModel(ByteSpan bytes) {
  if (bytes.size() > kMaxTokenizerBytes) {
    return RefuseTokenizer(ErrorCode::kLimit,
                           StrCat(bytes.size(), " bytes, at most ",
                                  kMaxTokenizerBytes, " allowed"),
                           std::nullopt);
  }
  Result<TokenizerModel> model = Parse(bytes);
  if (!model && model.error().id != kTokenizerErrorId) {
    return Rename(std::move(model).error());
  }
  return model;
}

std::string SerializeTokenizerModel(const TokenizerModel& model) {
  std::string out;
  std::string message;
  for (const TokenizerPiece& piece : model.pieces) {
    message.clear();
    AppendWireBytes(message, kPieceText, piece.text);
    AppendWireFloat(message, kPieceScore, piece.score);
    if (piece.type != PieceType::kNormal) {
      AppendWireInt32(message, kPieceTypeField, static_cast<int>(piece.type));
    }
    AppendWireBytes(out, kModelPieces, message);
  }
  message.clear();
  AppendWireInt32(message, kTrainerModelType,
                  static_cast<int>(model.algorithm));
  AppendWireInt32(message, kTrainerVocabSize,
                  static_cast<int32_t>(model.pieces.size()));
  AppendWireInt32(message, kTrainerByteFallback, model.byte_fallback ? 1 : 0);
  AppendWireInt32(message, kTrainerUnkId, model.unk_id);
  AppendWireInt32(message, kTrainerBosId, model.bos_id);
  AppendWireInt32(message, kTrainerEosId, model.eos_id);
  AppendWireInt32(message, kTrainerPadId, model.pad_id);
  AppendWireBytes(out, kModelTrainerSpec, message);
  message.clear();
  if (model.precompiled_charsmap.empty()) {
    AppendWireBytes(message, kNormalizerName, "identity");
  }
  AppendWireBytes(message, kNormalizerCharsmap, model.precompiled_charsmap);
  AppendWireInt32(message, kNormalizerDummyPrefix,
                  model.add_dummy_prefix ? 1 : 0);
  AppendWireInt32(message, kNormalizerExtraWhitespaces,
                  model.remove_extra_whitespaces ? 1 : 0);
  AppendWireInt32(message, kNormalizerEscapeWhitespaces,
                  model.escape_whitespaces ? 1 : 0);
  AppendWireBytes(out, kModelNormalizerSpec, message);
  return out;
}

}  // namespace verify
