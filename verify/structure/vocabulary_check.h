// SPDX-License-Identifier: Apache-2.0
// The vocabularies beside the weights other than tokenizer.model: each that is
// there is read, and must fit the model and each other.
// Tested by tests/verify/structure/vocabulary_check_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace verify {

struct VocabularyFile {
  std::string path;
  // "32000 tokens, 58980 merges"; or why it was passed over.
  std::string detail;
  bool is_read = true;
};

// Looks for tokenizer.json and tekken.json in `folder`. `model`: what
// tokenizer.model holds, null if it is not there; with it, a file of a form
// that is not read is passed over.
// Errors: those of reading, and of the readers, with the path in front;
// kCorrupt, E-TOKENIZER: an id of `vocab_size` or more, or another text for an
// id than that of `model`.
Result<std::vector<VocabularyFile>> CheckVocabularyFiles(
    const std::string& folder, uint64_t vocab_size,
    const TokenizerModel* model);

}  // namespace verify
