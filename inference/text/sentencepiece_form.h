// SPDX-License-Identifier: Apache-2.0
// A tokenizer.json that was made from a SentencePiece model (Llama, Mistral and
// Mixtral in Hugging Face's layout), as that model again: what GGUF and
// llama.cpp have keys for. Tested by
// tests/inference/text/sentencepiece_form_test.cc.
#pragma once

#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_json.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace inference {

// Scores follow from the order of merges: tokens whose merges stand mixed in
// the list have the same score, as the blanks of such models have. That both
// give the same ids is tried on every token and on runs of blanks. Takes about
// as long as creating both tokenizers.
// Errors, all with the id E-TOKENIZER: kUnsupported (rules, tokens or merges
// that no SentencePiece model has, or texts with other ids), those of
// Tokenizer::Create.
verify::Result<verify::TokenizerModel> SentencePieceFormOf(
    const verify::TokenVocabulary& vocabulary);

}  // namespace inference
