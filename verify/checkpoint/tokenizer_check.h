// SPDX-License-Identifier: Apache-2.0
// The rules that a vocabulary must keep, whichever file it comes from.
// Tested by tests/verify/checkpoint/tokenizer_model_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace verify {

inline constexpr std::string_view kTokenizerErrorId = "E-TOKENIZER";

// A failure of any kind of tokenizer, with that id.
Unexpected TokenizerError(ErrorCode code, std::string_view what);
// Of SentencePiece; with the offset in the file, if there is one.
Unexpected RefuseTokenizer(ErrorCode code, std::string_view what,
                           std::optional<uint64_t> offset);
Unexpected CorruptTokenizer(std::string_view what,
                            std::optional<uint64_t> offset);
Unexpected UnsupportedTokenizer(std::string_view what,
                                std::optional<uint64_t> offset);

// 1 to 6, else kCorrupt.
Result<PieceType> PieceTypeFrom(int64_t value, std::optional<uint64_t> offset);

// What one piece must be by itself: kCorrupt, or kLimit if too long.
Result<void> CheckTokenizerPiece(const TokenizerPiece& piece, size_t id,
                                 std::optional<uint64_t> offset);

// What the pieces must be together; sets unk_id. `offsets`: of each piece in
// its file, or empty. Requires every piece checked. kCorrupt.
Result<void> CheckTokenizerModel(TokenizerModel& model,
                                 std::span<const uint64_t> offsets);

}  // namespace verify
