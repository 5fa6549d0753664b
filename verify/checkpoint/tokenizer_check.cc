// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/tokenizer_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "verify/base/text.h"

namespace verify {
namespace {

constexpr std::string_view kHint =
    "fetch tokenizer.model again, or check that it is the file of this model";

std::string PieceName(size_t id, std::string_view text) {
  return StrCat("piece ", id, " \"", EscapeForTerminal(text, 64), "\"");
}

// 0 to 255 for "<0x00>" to "<0xFF>".
std::optional<uint8_t> ByteOfPiece(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') {
    return std::nullopt;
  }
  uint32_t value = 0;
  for (const char c : text.substr(3, 2)) {
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<uint32_t>(c - '0');
    } else if (c >= 'A' && c <= 'F') {
      value = value * 16 + static_cast<uint32_t>(c - 'A' + 10);
    } else {
      return std::nullopt;
    }
  }
  return static_cast<uint8_t>(value);
}

// Repeated texts, found by sorting: a hash table could be made to collide.
Result<void> CheckUnique(const std::vector<TokenizerPiece>& pieces,
                         std::span<const uint64_t> offsets) {
  std::vector<uint32_t> order(pieces.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const int compared = pieces[a].text.compare(pieces[b].text);
    return compared != 0 ? compared < 0 : a < b;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const uint32_t first = order[i - 1];
    const uint32_t second = order[i];
    if (pieces[first].text != pieces[second].text) continue;
    return CorruptTokenizer(
        StrCat(PieceName(second, pieces[second].text),
               " has the text of piece ", first),
        offsets.empty() ? std::optional<uint64_t>() : offsets[second]);
  }
  return {};
}

Result<void> CheckSpecialId(std::string_view name, int32_t id, bool may_lack,
                            size_t num_pieces) {
  if (may_lack && id == -1) return {};
  if (id >= 0 && static_cast<size_t>(id) < num_pieces) return {};
  return CorruptTokenizer(
      StrCat(name, " id ", id, ", but there are ", num_pieces, " pieces"),
      std::nullopt);
}

}  // namespace

Unexpected TokenizerError(ErrorCode code, std::string_view what) {
  return Fail(code, StrCat("tokenizer: ", what)).Id(kTokenizerErrorId);
}

Unexpected RefuseTokenizer(ErrorCode code, std::string_view what,
                           std::optional<uint64_t> offset) {
  Unexpected failure = Fail(code, StrCat("not a SentencePiece model: ", what))
                           .Id(kTokenizerErrorId)
                           .Hint(kHint);
  if (offset.has_value()) return std::move(failure).At(*offset);
  return failure;
}

Unexpected CorruptTokenizer(std::string_view what,
                            std::optional<uint64_t> offset) {
  return RefuseTokenizer(ErrorCode::kCorrupt, what, offset);
}

Unexpected UnsupportedTokenizer(std::string_view what,
                                std::optional<uint64_t> offset) {
  Unexpected failure = TokenizerError(ErrorCode::kUnsupported, what);
  if (offset.has_value()) return std::move(failure).At(*offset);
  return failure;
}

Result<PieceType> PieceTypeFrom(int64_t value, std::optional<uint64_t> offset) {
  if (value < 1 || value > 6) {
    return CorruptTokenizer(StrCat("piece type ", value), offset);
  }
  return static_cast<PieceType>(value);
}

Result<void> CheckTokenizerPiece(const TokenizerPiece& piece, size_t id,
                                 std::optional<uint64_t> offset) {
  if (piece.text.empty()) {
    return CorruptTokenizer(StrCat("piece ", id, " is empty"), offset);
  }
  if (piece.text.size() > kMaxPieceBytes) {
    return RefuseTokenizer(
        ErrorCode::kLimit,
        StrCat("piece ", id, " has ", piece.text.size(), " bytes, at most ",
               kMaxPieceBytes, " allowed"),
        offset);
  }
  if (!IsValidUtf8(piece.text)) {
    return CorruptTokenizer(StrCat(PieceName(id, piece.text), " is not UTF-8"),
                            offset);
  }
  if (piece.text.find('\0') != std::string::npos) {
    return CorruptTokenizer(StrCat(PieceName(id, piece.text), " holds a NUL"),
                            offset);
  }
  if (!std::isfinite(piece.score)) {
    return CorruptTokenizer(
        StrCat(PieceName(id, piece.text), " has a score that is not finite"),
        offset);
  }
  return {};
}

Result<void> CheckTokenizerModel(TokenizerModel& model,
                                 std::span<const uint64_t> offsets) {
  const auto offset_of = [&](size_t id) {
    return offsets.empty() ? std::optional<uint64_t>() : offsets[id];
  };
  if (model.pieces.empty())
    return CorruptTokenizer("it has no pieces", std::nullopt);
  std::optional<size_t> unknown;
  std::array<bool, 256> byte_found{};
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const TokenizerPiece& piece = model.pieces[id];
    if (piece.type == PieceType::kUnknown) {
      if (unknown.has_value()) {
        return CorruptTokenizer(StrCat("pieces ", *unknown, " and ", id,
                                       " are both the unknown piece"),
                                offset_of(id));
      }
      unknown = id;
    }
    if (piece.type == PieceType::kByte) {
      const std::optional<uint8_t> byte = ByteOfPiece(piece.text);
      if (!byte.has_value() || !model.byte_fallback) {
        return CorruptTokenizer(
            StrCat(PieceName(id, piece.text), " is typed as a byte",
                   byte.has_value() ? ", but byte_fallback is off" : ""),
            offset_of(id));
      }
      byte_found[*byte] = true;
    }
  }
  if (!unknown.has_value())
    return CorruptTokenizer("no unknown piece", std::nullopt);
  model.unk_id = static_cast<int32_t>(*unknown);
  if (model.byte_fallback) {
    const auto missing = std::find(byte_found.begin(), byte_found.end(), false);
    if (missing != byte_found.end()) {
      return CorruptTokenizer(
          StrCat("byte_fallback is on, but there is no piece for "
                 "byte ",
                 missing - byte_found.begin()),
          std::nullopt);
    }
  }
  RETURN_IF_ERROR(CheckSpecialId("begin-of-sequence", model.bos_id, false,
                                 model.pieces.size()));
  RETURN_IF_ERROR(CheckSpecialId("end-of-sequence", model.eos_id, false,
                                 model.pieces.size()));
  RETURN_IF_ERROR(
      CheckSpecialId("padding", model.pad_id, true, model.pieces.size()));
  return CheckUnique(model.pieces, offsets);
}

}  // namespace verify
