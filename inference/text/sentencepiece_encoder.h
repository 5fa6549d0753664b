// SPDX-License-Identifier: Apache-2.0
// Encoding by the SentencePiece library, over a vocabulary that verify has read
// and checked. Tested by tests/inference/text/tokenizer_test.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "inference/text/text_encoder.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace inference {

inline constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";  // U+2581

// Errors, all with the id E-TOKENIZER: kUnsupported (not BPE or unigram,
// normalisation rules, a control piece that is one character and so could be
// typed), kLimit (a piece too long, too deeply nested, or texts built to
// collide in a hash table), kCorrupt (the library refuses it).
verify::Result<std::unique_ptr<const TextEncoder>> MakeSentencePieceEncoder(
    const verify::TokenizerModel& model);

// "▁" to " ".
std::string WithSpaces(std::string_view text);

}  // namespace inference
