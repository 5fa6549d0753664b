// SPDX-License-Identifier: Apache-2.0
// A byte-level vocabulary as files that stand beside weights: tokenizer.json
// with tokenizer_config.json, or tekken.json. For vocabularies that came in the
// metadata of a GGUF file.
// Tested by tests/inference/text/gguf_vocabulary_test.cc.
#pragma once

#include <string>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_json.h"

namespace inference {

struct VocabularyFile {
  std::string name;  // plain
  std::string content;
};

// tekken.json if the merges are in its order (ranks_by_token), which a list of
// merges cannot say; else tokenizer.json and tokenizer_config.json. Each is
// read again and has the same tokens, merges and rules, else it is not given.
// Requires is_byte_level. Errors: kUnsupported, E-TOKENIZER (a rule that no
// file of the kind can say).
verify::Result<std::vector<VocabularyFile>> FilesOfVocabulary(
    const verify::TokenVocabulary& vocabulary);

}  // namespace inference
