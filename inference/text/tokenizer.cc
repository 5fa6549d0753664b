// SPDX-License-Identifier: Apache-2.0
#include "inference/text/tokenizer.h"

// The only file that includes the library.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <bitset>
#include <exception>
#include <unordered_set>
#include <utility>

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
constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";    // U+2581
constexpr std::string_view kUnknownText = " \xe2\x81\x87 ";  // " ⁇ "
constexpr std::string_view kReplacement = "\xef\xbf\xbd";    // U+FFFD

// The library recurses over the bytes of such a piece.
constexpr size_t kMaxRecursedPieceBytes = 1024;
// The library finds at most 64 user-defined pieces that begin at one place.
constexpr size_t kMaxNestedUserPieces = 48;
// A fair hash puts fewer than ten of any vocabulary into one bucket.
constexpr size_t kMaxBucketSize = 256;

// Longer texts are encoded in parts, each at least the first and at most the
// second long: the library needs some 200 bytes of memory per byte of text,
// and counts in int.
constexpr size_t kPartBytes = 256u << 10;
constexpr size_t kMaxPartBytes = 16u << 20;

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

// "▁" to " ".
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

// Moves from `bytes` to the result what is decided: complete characters, and
// U+FFFD for each byte that cannot begin one. With `last`, all of it.
std::string TakeCharacters(std::string& bytes, bool last) {
  std::string out;
  size_t position = 0;
  while (position < bytes.size()) {
    const auto lead = static_cast<unsigned char>(bytes[position]);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xe0 ? 2
                          : lead < 0xf0 ? 3
                                        : 4;
    const size_t available = std::min(length, bytes.size() - position);
    const std::string_view piece(bytes.data() + position, available);
    if (available == length && verify::IsValidUtf8(piece)) {
      out.append(piece);
      position += length;
      continue;
    }
    // Undecided: a start that some continuation would complete. Whether one
    // can is tried with the least and the greatest.
    if (available < length && !last) {
      std::string low(piece);
      std::string high(piece);
      low.append(length - available, '\x80');
      high.append(length - available, '\xbf');
      if (verify::IsValidUtf8(low) || verify::IsValidUtf8(high)) break;
    }
    out.append(kReplacement);
    ++position;
  }
  bytes.erase(0, position);
  return out;
}

}  // namespace

struct Tokenizer::Impl {
  sentencepiece::SentencePieceProcessor processor;
  std::vector<std::string> surfaces;  // by id, what PieceBytes gives
  std::vector<PieceType> types;       // by id
  TokenId bos_id = 0;
  TokenId eos_id = 0;
  LeadingSpace leading_space = LeadingSpace::kKeep;
  std::string_view prefix;  // put before every text
  bool splittable = false;  // long texts may be encoded in parts
  // Bit 128 * a + b: the ASCII characters a and b stand next to each other in
  // some piece, so that a text must not be split between them.
  std::bitset<128 * 128> joined;

  void NoteJoined(std::string_view surface) {
    for (size_t i = 1; i < surface.size(); ++i) {
      const auto a = static_cast<unsigned char>(surface[i - 1]);
      const auto b = static_cast<unsigned char>(surface[i]);
      if (a < 128 && b < 128) joined.set(128u * a + b);
    }
  }

  // Where the first part of `text` ends: at a place that no piece spans, or,
  // where there is none for long, between two characters.
  size_t PartEnd(std::string_view text) const {
    const size_t limit = std::min(text.size(), kMaxPartBytes);
    for (size_t end = kPartBytes; splittable && end < limit; ++end) {
      const auto a = static_cast<unsigned char>(text[end - 1]);
      const auto b = static_cast<unsigned char>(text[end]);
      if (a < 128 && b < 128 && !joined.test(128u * a + b)) return end;
    }
    if (limit == text.size()) return limit;
    size_t end = limit;
    while (end > limit - 3 && IsContinuation(text[end])) --end;
    return end;
  }
};

Result<Tokenizer> Tokenizer::Create(const TokenizerModel& model) {
  RETURN_IF_ERROR(CheckForLibrary(model));
  auto impl = std::make_unique<Impl>();
  impl->bos_id = model.bos_id;
  impl->eos_id = model.eos_id;
  if (model.remove_extra_whitespaces) {
    impl->leading_space = LeadingSpace::kDropAll;
  } else if (model.add_dummy_prefix) {
    impl->leading_space = LeadingSpace::kDropFirst;
  }
  impl->surfaces.reserve(model.pieces.size());
  impl->types.reserve(model.pieces.size());
  for (const TokenizerPiece& piece : model.pieces) {
    impl->types.push_back(piece.type);
    switch (piece.type) {
      case PieceType::kControl:
        impl->surfaces.emplace_back();
        break;
      case PieceType::kUnknown:
        impl->surfaces.emplace_back(kUnknownText);
        break;
      case PieceType::kByte: {
        const auto byte = verify::HexDecode(piece.text.substr(3, 2));
        impl->surfaces.emplace_back(1, static_cast<char>(byte->front()));
        break;
      }
      default:
        impl->surfaces.push_back(WithSpaces(piece.text));
        impl->NoteJoined(impl->surfaces.back());
        break;
    }
  }

  // The prefix is put by Encode, once per text and not once per part; only
  // where the library also removes spaces does that stay its own work.
  TokenizerModel loaded = model;
  if (!model.remove_extra_whitespaces) {
    loaded.add_dummy_prefix = false;
    if (model.add_dummy_prefix) {
      impl->prefix = model.escape_whitespaces ? kSpaceSymbol : " ";
    }
    impl->splittable = model.byte_fallback &&
                       model.algorithm == TokenizerModel::Algorithm::kBpe;
  }
  try {
    const auto status = impl->processor.LoadFromSerializedProto(
        verify::SerializeTokenizerModel(loaded));
    if (!status.ok()) {
      return Refuse(ErrorCode::kCorrupt, EscapeForTerminal(status.message()));
    }
  } catch (const std::exception& e) {
    return Refuse(ErrorCode::kCorrupt, EscapeForTerminal(e.what()));
  }
  return Tokenizer(std::move(impl));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::Encode(std::string_view text) const {
  std::vector<TokenId> ids;
  std::vector<int> part_ids;
  std::string prefixed;
  bool first = true;
  while (!text.empty()) {
    const size_t end = impl_->PartEnd(text);
    std::string_view part = text.substr(0, end);
    text.remove_prefix(end);
    if (first && !impl_->prefix.empty()) {
      prefixed = StrCat(impl_->prefix, part);
      part = prefixed;
    }
    first = false;
    // Cannot fail on a loaded model; if it did, the text is left out.
    if (impl_->processor.Encode(part, &part_ids).ok()) {
      ids.insert(ids.end(), part_ids.begin(), part_ids.end());
    }
  }
  return ids;
}

std::string Tokenizer::Decode(std::span<const TokenId> ids) const {
  StreamDecoder decoder(*this);
  std::string text;
  for (const TokenId id : ids) text += decoder.Next(id);
  return text + decoder.Finish();
}

std::string_view Tokenizer::PieceBytes(TokenId id) const {
  if (id < 0 || static_cast<size_t>(id) >= vocab_size()) return {};
  return impl_->surfaces[static_cast<size_t>(id)];
}

bool Tokenizer::IsControl(TokenId id) const {
  return id >= 0 && static_cast<size_t>(id) < vocab_size() &&
         impl_->types[static_cast<size_t>(id)] == PieceType::kControl;
}

bool Tokenizer::IsByte(TokenId id) const {
  return id >= 0 && static_cast<size_t>(id) < vocab_size() &&
         impl_->types[static_cast<size_t>(id)] == PieceType::kByte;
}

size_t Tokenizer::vocab_size() const { return impl_->types.size(); }
TokenId Tokenizer::bos_id() const { return impl_->bos_id; }
TokenId Tokenizer::eos_id() const { return impl_->eos_id; }
Tokenizer::LeadingSpace Tokenizer::leading_space() const {
  return impl_->leading_space;
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      drop_space_(tokenizer.leading_space() != Tokenizer::LeadingSpace::kKeep) {
}

std::string StreamDecoder::Next(TokenId id) {
  std::string_view bytes = tokenizer_.PieceBytes(id);
  if (bytes.empty()) return {};
  if (drop_space_) {
    // A byte piece for a space is kept: only "▁" stands for the prefix.
    const bool dropped =
        bytes.front() == ' ' && !tokenizer_.IsByte(id) && bytes != kUnknownText;
    if (dropped) bytes.remove_prefix(1);
    drop_space_ =
        dropped && bytes.empty() &&
        tokenizer_.leading_space() == Tokenizer::LeadingSpace::kDropAll;
  }
  pending_ += bytes;
  return TakeCharacters(pending_, false);
}

std::string StreamDecoder::Finish() { return TakeCharacters(pending_, true); }

}  // namespace inference
