// SPDX-License-Identifier: Apache-2.0
#include "inference/text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "inference/text/bpe_encoder.h"
#include "inference/text/byte_letters.h"
#include "inference/text/literal_matcher.h"
#include "inference/text/sentencepiece_encoder.h"
#include "inference/text/stream_decoder.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::PieceType;
using verify::Result;
using verify::StrCat;
using verify::TokenizerModel;
using verify::TokenizerPiece;
using verify::TokenVocabulary;
using verify::VocabularyToken;
using Place = TextEncoder::Place;

constexpr std::string_view kUnknownText = " \xe2\x81\x87 ";  // " ⁇ "

// The byte of "<0x41>". Requires such a text.
std::string ByteOf(std::string_view text) {
  const auto byte = verify::HexDecode(text.substr(3, 2));
  return std::string(1, static_cast<char>(byte->front()));
}

bool IsByteName(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text[5] == '>' &&
         verify::HexDecode(text.substr(3, 2)).has_value();
}

PieceType TypeOf(const TokenVocabulary& vocabulary,
                 const VocabularyToken& token) {
  if (vocabulary.unknown_id == token.id && !vocabulary.is_tekken) {
    return PieceType::kUnknown;
  }
  if (token.is_special) return PieceType::kControl;
  if (token.is_added) return PieceType::kUserDefined;
  const bool works_on_bytes = vocabulary.is_byte_level || vocabulary.is_tekken;
  return vocabulary.byte_fallback && !works_on_bytes && IsByteName(token.text)
             ? PieceType::kByte
             : PieceType::kNormal;
}

// What a normal token adds to a text.
std::string SurfaceOf(const TokenVocabulary& vocabulary,
                      const VocabularyToken& token) {
  if (vocabulary.is_byte_level) {
    return BytesOfLetters(token.text).value_or(token.text);
  }
  return vocabulary.rules.marks_spaces ? WithSpaces(token.text) : token.text;
}

}  // namespace

struct Tokenizer::Impl {
  std::unique_ptr<const TextEncoder> encoder;
  std::vector<std::string> surfaces;  // by id, what PieceBytes gives
  std::vector<PieceType> types;       // by id
  LiteralMatcher controls;
  std::vector<std::pair<std::string, TokenId>> control_names;  // sorted
  TokenId bos_id = -1;
  TokenId eos_id = -1;
  bool adds_bos = true;
  bool is_byte_level = false;
  std::string release;
  LeadingSpace leading_space = LeadingSpace::kKeep;

  bool Is(TokenId id, PieceType type) const {
    return id >= 0 && static_cast<size_t>(id) < types.size() &&
           types[static_cast<size_t>(id)] == type;
  }
  void AddControl(const std::string& name, size_t id) {
    control_names.emplace_back(name, static_cast<TokenId>(id));
  }
  Result<void> FinishControls() {
    std::sort(control_names.begin(), control_names.end());
    ASSIGN_OR_RETURN(controls, LiteralMatcher::Create(control_names));
    return {};
  }
};

Result<Tokenizer> Tokenizer::Create(const TokenizerModel& model,
                                    std::string_view release) {
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->encoder, MakeSentencePieceEncoder(model));
  impl->bos_id = model.bos_id;
  impl->eos_id = model.eos_id;
  impl->adds_bos = model.add_bos && model.bos_id >= 0;
  impl->release = release;
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
        impl->AddControl(piece.text, impl->surfaces.size());
        impl->surfaces.emplace_back();
        break;
      case PieceType::kUnknown:
        impl->surfaces.emplace_back(kUnknownText);
        break;
      case PieceType::kByte:
        impl->surfaces.push_back(ByteOf(piece.text));
        break;
      default:
        impl->surfaces.push_back(WithSpaces(piece.text));
        break;
    }
  }
  RETURN_IF_ERROR(impl->FinishControls());
  return Tokenizer(std::move(impl));
}

Result<Tokenizer> Tokenizer::Create(const TokenVocabulary& vocabulary) {
  // Gaps between ids are rare and short; what is kept by id must stay small.
  if (vocabulary.max_id() >= verify::kMaxJsonTokens) {
    return Fail(ErrorCode::kLimit,
                StrCat("tokenizer: the id ", vocabulary.max_id(), ", at most ",
                       verify::kMaxJsonTokens - 1, " implemented"))
        .Id("E-TOKENIZER");
  }
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->encoder, MakeBpeEncoder(vocabulary));
  const auto id_or_none = [](const std::optional<uint32_t>& id) {
    return id.has_value() ? static_cast<TokenId>(*id) : TokenId{-1};
  };
  impl->bos_id = id_or_none(vocabulary.begin_id);
  impl->eos_id = id_or_none(vocabulary.end_id);
  impl->adds_bos = vocabulary.adds_begin && vocabulary.begin_id.has_value();
  impl->release = vocabulary.version;
  impl->is_byte_level = vocabulary.is_byte_level || vocabulary.is_tekken;
  if (vocabulary.rules.drops_first_space) {
    impl->leading_space = LeadingSpace::kDropFirst;
  }
  // An id that is no token adds nothing to a text.
  const size_t num_ids = static_cast<size_t>(vocabulary.max_id()) + 1;
  impl->surfaces.resize(num_ids);
  impl->types.resize(num_ids, PieceType::kUnused);
  for (const VocabularyToken& token : vocabulary.tokens) {
    const PieceType type = TypeOf(vocabulary, token);
    std::string& surface = impl->surfaces[token.id];
    impl->types[token.id] = type;
    switch (type) {
      case PieceType::kControl:
        impl->AddControl(token.text, token.id);
        break;
      case PieceType::kUnknown:
        surface = kUnknownText;
        break;
      case PieceType::kByte:
        surface = ByteOf(token.text);
        break;
      case PieceType::kUserDefined:
        surface = token.text;
        break;
      default:
        surface = SurfaceOf(vocabulary, token);
        break;
    }
  }
  RETURN_IF_ERROR(impl->FinishControls());
  return Tokenizer(std::move(impl));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::Encode(std::string_view text) const {
  std::vector<TokenId> ids;
  impl_->encoder->Encode(text, Place::kStart, ids);
  return ids;
}

std::vector<TokenId> Tokenizer::EncodeMarked(std::string_view text) const {
  std::vector<TokenId> ids;
  Place place = Place::kStart;
  size_t at = 0;
  while (const auto found = impl_->controls.Next(text, at)) {
    impl_->encoder->Encode(text.substr(at, found->begin - at), place, ids);
    ids.push_back(found->id);
    at = found->begin + found->size;
    place = Place::kInside;
  }
  impl_->encoder->Encode(text.substr(at), place, ids);
  return ids;
}

std::vector<TokenId> Tokenizer::EncodePrompt(std::string_view text) const {
  std::vector<TokenId> ids;
  if (adds_bos()) ids.push_back(bos_id());
  impl_->encoder->Encode(text, Place::kStart, ids);
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
  return impl_->Is(id, PieceType::kControl);
}
bool Tokenizer::IsByte(TokenId id) const {
  return impl_->Is(id, PieceType::kByte);
}
bool Tokenizer::IsUnknown(TokenId id) const {
  return impl_->Is(id, PieceType::kUnknown);
}

std::optional<TokenId> Tokenizer::ControlId(std::string_view name) const {
  const auto it = std::lower_bound(
      impl_->control_names.begin(), impl_->control_names.end(), name,
      [](const std::pair<std::string, TokenId>& one, std::string_view wanted) {
        return one.first < wanted;
      });
  if (it == impl_->control_names.end() || it->first != name) {
    return std::nullopt;
  }
  return it->second;
}

size_t Tokenizer::vocab_size() const { return impl_->types.size(); }
TokenId Tokenizer::bos_id() const { return impl_->bos_id; }
TokenId Tokenizer::eos_id() const { return impl_->eos_id; }
bool Tokenizer::adds_bos() const { return impl_->adds_bos; }
const std::string& Tokenizer::release() const { return impl_->release; }
bool Tokenizer::is_byte_level() const { return impl_->is_byte_level; }
Tokenizer::LeadingSpace Tokenizer::leading_space() const {
  return impl_->leading_space;
}

}  // namespace inference
