// SPDX-License-Identifier: Apache-2.0
// Configuration and vocabulary as GGUF metadata for the architecture "llama".
// Keys: docs/formats/gguf.md. Tested by
// tests/inference/convert/convert_test.cc.
#pragma once

#include <cstdint>
#include <string_view>

#include "inference/convert/gguf_writer.h"
#include "inference/convert/importance.h"
#include "inference/text/load_tokenizer.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_json.h"
#include "verify/checkpoint/tokenizer_model.h"
#include "verify/structure/model_config.h"

namespace inference {

// general.* and llama.*. `file_type`: GgufFileType (quant_policy.h).
void AddModelMetadata(GgufHeader& header, const verify::ModelConfig& config,
                      std::string_view name, uint32_t file_type);

// quantize.imatrix.*: what weighed the errors. Two conversions with the same
// sha256 had the same matrix.
void AddImportanceMetadata(GgufHeader& header, const ImportanceMatrix& matrix);

// tokenizer.ggml.*, with as many tokens as the model has rows of embedding:
// llama.cpp takes one for the other. Rows without a piece become unused
// tokens. Requires pieces.size() <= vocab_size.
void AddTokenizerMetadata(GgufHeader& header,
                          const verify::TokenizerModel& tokenizer,
                          uint64_t vocab_size);

// The same of a vocabulary of bytes, as the tokenizer "gpt2": a tokenizer.json
// whose letters stand for bytes as it is, tekken.json with its bytes as letters
// and a merge for every two tokens that together are one, those of the lowest
// id first. What is read back from it gives the same ids. Nothing is added to
// `header` if it fails. Errors, with the id E-TOKENIZER: kUnsupported (a rule
// that the keys of GGUF cannot say: another way to cut or to normalise text,
// tokens that are texts and not bytes, ...), kCorrupt (ids beyond vocab_size),
// kLimit (too many merges).
verify::Result<void> AddTokenizerMetadata(
    GgufHeader& header, const verify::TokenVocabulary& vocabulary,
    uint64_t vocab_size);

// tokenizer.chat_template: the instruct template that is known to belong to the
// vocabulary, in Lodestone's own words (inference/text/template_text.h);
// nothing where none is known. What a source has of its own is not carried on:
// it is a program.
void AddTemplateMetadata(GgufHeader& header,
                         const LoadedVocabulary& vocabulary);

// Whichever it is. Errors: those above, and for a SentencePiece model kCorrupt
// (E-TOKENIZER: more pieces than vocab_size).
verify::Result<void> AddTokenizerMetadata(GgufHeader& header,
                                          const LoadedVocabulary& vocabulary,
                                          uint64_t vocab_size);

}  // namespace inference
