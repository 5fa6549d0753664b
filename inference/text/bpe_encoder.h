// SPDX-License-Identifier: Apache-2.0
// Encoding with the vocabularies that are no SentencePiece model: byte-level
// BPE (tokenizer.json, tekken.json, GGUF "gpt2") and what is derived from
// SentencePiece (tokenizer.json with "▁" and byte fallback). Rules:
// docs/formats/tokenizer.md. Tested by
// tests/inference/text/bpe_encoder_test.cc, fuzzed by
// tests/fuzz/bpe_encode_fuzz.cc.
#pragma once

#include <memory>

#include "inference/text/text_encoder.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_json.h"

namespace inference {

// Longer words are encoded in parts of this size: joining takes some 60 bytes
// of memory per byte.
inline constexpr size_t kMaxWordBytes = 4u << 20;

// Requires a vocabulary as verify's readers give it. Time and memory grow with
// it. Errors, all with the id E-TOKENIZER: kUnsupported (a step that is not
// implemented, as most normalisers; a byte or character that would have no id),
// kCorrupt (a byte token is missing), kLimit (too many pairs of tokens that
// make a token; what LiteralMatcher refuses).
verify::Result<std::unique_ptr<const TextEncoder>> MakeBpeEncoder(
    const verify::TokenVocabulary& vocabulary);

}  // namespace inference
