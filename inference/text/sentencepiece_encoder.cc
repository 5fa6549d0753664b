// SPDX-License-Identifier: Apache-2.0
#include "inference/text/sentencepiece_encoder.h"

// The only file that includes the library.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <exception>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "inference/text/text_parts.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::PieceType;
using verify::Result;
using verify::StrCat;
using verify::TokenizerModel;
using verify::TokenizerPiece;
using verify::Unexpected;

constexpr std::string_view kErrorId = "E-TOKENIZER";

// The library recurses over the bytes of such a piece.
constexpr size_t kMaxRecursedPieceBytes = 1024;
// The library finds at most 64 user-defined pieces that begin at one place.
constexpr size_t kMaxNestedUserPieces = 48;
// A fair hash puts fewer than ten of any vocabulary into one bucket.
constexpr size_t kMaxBucketSize = 256;

Unexpected Refuse(ErrorCode code, std::string_view what) {
  return Fail(code, StrCat("tokenizer: ", what)).Id(kErrorId);
}

std::string PieceName(size_t id, std::string_view text) {
  return StrCat("piece ", id, " \"", EscapeForTerminal(text, 64), "\"");
}

bool IsContinuation(char c) { return (c & '\xc0') == '\x80'; }

bool IsOneCharacter(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(),
                       [](char c) { return !IsContinuation(c); }) == 1;
}

// Fills tables as the library will (its own are std::unordered_map too, one
// for what text can match and one for the rest) and refuses a vocabulary whose
// texts collide in them: loading and encoding would take hours.
Result<void> CheckCollisions(const TokenizerModel& model) {
  std::unordered_set<std::string_view> matched;
  std::unordered_set<std::string_view> reserved;
  for (const TokenizerPiece& piece : model.pieces) {
    const bool matches = piece.type == PieceType::kNormal ||
                         piece.type == PieceType::kUserDefined ||
                         piece.type == PieceType::kUnused;
    auto& table = matches ? matched : reserved;
    table.insert(piece.text);
    if (table.bucket_size(table.bucket(piece.text)) > kMaxBucketSize) {
      return Refuse(ErrorCode::kLimit,
                    StrCat("more than ", kMaxBucketSize,
                           " pieces collide in a hash table"));
    }
  }
  return {};
}

Result<void> CheckUserPieces(const TokenizerModel& model) {
  std::vector<std::string_view> texts;
  for (const TokenizerPiece& piece : model.pieces) {
    if (piece.type == PieceType::kUserDefined) texts.push_back(piece.text);
  }
  std::sort(texts.begin(), texts.end());
  std::vector<std::string_view> open;  // each a prefix of the next
  for (const std::string_view text : texts) {
    while (!open.empty() && !text.starts_with(open.back())) open.pop_back();
    open.push_back(text);
    if (open.size() > kMaxNestedUserPieces) {
      return Refuse(ErrorCode::kLimit,
                    StrCat("more than ", kMaxNestedUserPieces,
                           " user-defined pieces begin with each other"));
    }
  }
  return {};
}

// What the library would abort on, read past or take too long over, beyond
// what verify has checked.
Result<void> CheckForLibrary(const TokenizerModel& model) {
  const bool bpe = model.algorithm == TokenizerModel::Algorithm::kBpe;
  if (!bpe && model.algorithm != TokenizerModel::Algorithm::kUnigram) {
    return Refuse(ErrorCode::kUnsupported,
                  StrCat("model type ", static_cast<int>(model.algorithm),
                         ", only BPE and unigram are implemented"));
  }
  // The library follows the offsets in such a map unchecked.
  if (!model.precompiled_charsmap.empty()) {
    return Refuse(ErrorCode::kUnsupported,
                  StrCat("normalisation rules (",
                         model.precompiled_charsmap.size(), " bytes)"));
  }
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const TokenizerPiece& piece = model.pieces[id];
    const bool recursed = !bpe || piece.type == PieceType::kUserDefined ||
                          piece.type == PieceType::kUnused;
    if (recursed && piece.text.size() > kMaxRecursedPieceBytes) {
      return Refuse(
          ErrorCode::kLimit,
          StrCat(PieceName(id, piece.text), " has ", piece.text.size(),
                 " bytes, at most ", kMaxRecursedPieceBytes, " implemented"));
    }
    const bool reserved =
        piece.type == PieceType::kControl || piece.type == PieceType::kUnknown;
    if (reserved && IsOneCharacter(piece.text)) {
      return Refuse(ErrorCode::kUnsupported,
                    StrCat("control ", PieceName(id, piece.text),
                           " is a single character and could be typed"));
    }
  }
  RETURN_IF_ERROR(CheckUserPieces(model));
  return CheckCollisions(model);
}

// Texts longer than a part are encoded in parts (TextParts): the library needs
// some 200 bytes of memory per byte of text, and counts in int.
class SentencePieceEncoder final : public TextEncoder {
 public:
  static Result<std::unique_ptr<const TextEncoder>> Create(
      const TokenizerModel& model) {
    auto encoder = std::make_unique<SentencePieceEncoder>();
    // The prefix is put by Encode, once per text and not once per part; only
    // where the library also removes spaces does that stay its own work.
    TokenizerModel loaded = model;
    if (!model.remove_extra_whitespaces) {
      loaded.add_dummy_prefix = false;
      if (model.add_dummy_prefix) {
        encoder->prefix_ = model.escape_whitespaces ? kSpaceSymbol : " ";
      }
      encoder->splittable_ = model.byte_fallback &&
                             model.algorithm == TokenizerModel::Algorithm::kBpe;
    }
    if (encoder->splittable_) {
      for (const TokenizerPiece& piece : model.pieces) {
        const bool matches = piece.type == PieceType::kNormal ||
                             piece.type == PieceType::kUserDefined ||
                             piece.type == PieceType::kUnused;
        if (matches) encoder->parts_.Note(WithSpaces(piece.text));
      }
    }
    try {
      const auto status = encoder->processor_.LoadFromSerializedProto(
          verify::SerializeTokenizerModel(loaded));
      if (!status.ok()) {
        return Refuse(ErrorCode::kCorrupt, EscapeForTerminal(status.message()));
      }
    } catch (const std::exception& e) {
      return Refuse(ErrorCode::kCorrupt, EscapeForTerminal(e.what()));
    }
    return std::unique_ptr<const TextEncoder>(std::move(encoder));
  }

  void Encode(std::string_view text, Place,
              std::vector<TokenId>& ids) const override {
    std::vector<int> part_ids;
    std::string prefixed;
    bool first = true;
    while (!text.empty()) {
      const size_t end = splittable_
                             ? parts_.FirstEnd(text)
                             : CharacterEnd(text, TextParts::kMaxPartBytes);
      std::string_view part = text.substr(0, end);
      text.remove_prefix(end);
      if (first && !prefix_.empty()) {
        prefixed = StrCat(prefix_, part);
        part = prefixed;
      }
      first = false;
      // Cannot fail on a loaded model; if it did, the text is left out.
      if (processor_.Encode(part, &part_ids).ok()) {
        ids.insert(ids.end(), part_ids.begin(), part_ids.end());
      }
    }
  }

 private:
  sentencepiece::SentencePieceProcessor processor_;
  std::string_view prefix_;  // put before every text
  bool splittable_ = false;
  TextParts parts_;
};

}  // namespace

Result<std::unique_ptr<const TextEncoder>> MakeSentencePieceEncoder(
    const TokenizerModel& model) {
  RETURN_IF_ERROR(CheckForLibrary(model));
  return SentencePieceEncoder::Create(model);
}

std::string WithSpaces(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    if (text.starts_with(kSpaceSymbol)) {
      out.push_back(' ');
      text.remove_prefix(kSpaceSymbol.size());
    } else {
      out.push_back(text.front());
      text.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace inference
