// SPDX-License-Identifier: Apache-2.0
// The vocabulary of a SentencePiece tokenizer.model (a protobuf ModelProto),
// read by a small bounded reader. Format: docs/formats/tokenizer.md.
// Fuzzed by tests/fuzz/tokenizer_model_fuzz.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/checkpoint/gguf_reader.h"

namespace verify {

enum class PieceType {  // values of the file and of GGUF's token_type
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct TokenizerPiece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

struct TokenizerModel {
  enum class Algorithm { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };

  Algorithm algorithm = Algorithm::kBpe;
  std::vector<TokenizerPiece> pieces;
  bool byte_fallback = false;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  std::string precompiled_charsmap;  // empty for "identity"
  int32_t unk_id = 0;
  int32_t bos_id = 1;
  int32_t eos_id = 2;
  int32_t pad_id = -1;  // -1: none
  // A prompt starts with bos_id. Only GGUF says so; true for all others.
  bool add_bos = true;
};

inline constexpr uint64_t kMaxTokenizerBytes = 32u << 20;
inline constexpr size_t kMaxTokenizerPieces = 1u << 20;
inline constexpr size_t kMaxPieceBytes = 16u << 10;

// Checks what the engine relies on: at least one piece, no empty or repeated
// piece text, valid UTF-8 without NUL, finite scores, exactly one unknown
// piece (unk_id is its id), other special ids inside the vocabulary, byte
// pieces named <0x00> to <0xFF>, all 256 of them if byte_fallback and none if
// not.
// Errors, all with the id E-TOKENIZER: kCorrupt (not such a file, or a rule
// broken; offset set), kLimit, kUnsupported (a feature of the format that
// changes text and is not implemented).
Result<TokenizerModel> ReadTokenizerModel(ByteSpan bytes);

// The same from the metadata of a GGUF file ("llama" tokenizer); kCorrupt or
// kUnsupported (another tokenizer model).
Result<TokenizerModel> TokenizerModelFromGguf(const GgufFile& gguf);

// A ModelProto with the same content, byte for byte the same for the same
// model: what the SentencePiece library loads.
std::string SerializeTokenizerModel(const TokenizerModel& model);

}  // namespace verify
