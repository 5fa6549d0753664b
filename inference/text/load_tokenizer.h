// SPDX-License-Identifier: Apache-2.0
// Finds the vocabulary that belongs to a checkpoint, of whichever kind.
// Tested by tests/inference/text/load_tokenizer_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "inference/text/tokenizer.h"
#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/tokenizer_json.h"
#include "verify/checkpoint/tokenizer_model.h"
#include "verify/structure/model_config.h"

namespace inference {

struct LoadedVocabulary {
  std::string path;     // of the file it is from
  std::string release;  // "v3" of tokenizer.model.v3, or of a chat template
                        // that Lodestone wrote into a GGUF file; else empty
  std::variant<verify::TokenizerModel, verify::TokenVocabulary> content;

  // Null if it is of another kind.
  const verify::TokenizerModel* sentencepiece() const {
    return std::get_if<verify::TokenizerModel>(&content);
  }
};

// From the metadata of a GGUF file, else from what stands first in the folder
// of the weights: tokenizer.model, tokenizer.model.VERSION, tekken.json,
// tokenizer.json (with the ids of begin and end that tokenizer_config.json
// names). Errors: those of the readers, with the path in front; kNotFound,
// E-TOKENIZER: there is none.
verify::Result<LoadedVocabulary> LoadVocabulary(
    const verify::Checkpoint& checkpoint);

// The same, and that it is not larger than the model's vocabulary (a smaller
// one is common: vocabularies are padded). Errors: kCorrupt, E-TOKENIZER.
verify::Result<LoadedVocabulary> LoadVocabularyFor(
    const verify::Checkpoint& checkpoint, const verify::ModelConfig& config);

// From one file, whose name tells its kind. kUnsupported: another name.
verify::Result<LoadedVocabulary> LoadVocabularyFile(const std::string& path);

// Errors: those of Tokenizer::Create, with the path in front.
verify::Result<Tokenizer> MakeTokenizer(const LoadedVocabulary& vocabulary);

// For conversion: as LoadVocabulary, but a tokenizer.json that was made from a
// SentencePiece model comes as that model. Errors: also those of
// SentencePieceFormOf.
verify::Result<LoadedVocabulary> LoadVocabularyToConvert(
    const verify::Checkpoint& checkpoint);

// The same where nothing but a SentencePiece model will do: kUnsupported,
// E-TOKENIZER, if the checkpoint's is of another kind.
verify::Result<verify::TokenizerModel> LoadTokenizerModel(
    const verify::Checkpoint& checkpoint);

}  // namespace inference
