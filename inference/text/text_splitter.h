// SPDX-License-Identifier: Apache-2.0
// Cuts text into the words within which byte pairs are merged, as the patterns
// of published tokenizers do (verify/checkpoint/split_pattern.cc has them).
// Written by hand for each pattern: no pattern is ever compiled or matched.
// Tested by tests/inference/text/text_splitter_test.cc.
#pragma once

#include <cstddef>
#include <string_view>

#include "verify/checkpoint/tokenizer_json.h"

namespace inference {

// Where the word that begins at `begin` ends; past `begin` unless that is the
// end of the text. Requires UTF-8 and `begin` the start of a character. Time
// for all words of a text together grows with its length.
size_t WordEnd(verify::SplitPattern pattern, std::string_view text,
               size_t begin);

}  // namespace inference
