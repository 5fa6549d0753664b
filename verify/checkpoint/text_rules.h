// SPDX-License-Identifier: Apache-2.0
// What the components of a tokenizer.json (normalizer, pre-tokenizer,
// post-processor, decoder) do to a text. Tested by
// tests/verify/checkpoint/text_rules_test.cc.
#pragma once

#include <cstddef>

#include "verify/base/json.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tokenizer_json.h"

namespace verify {

inline constexpr size_t kMaxCharsmapBytes = 1u << 20;

// Reads the components of `root` into the rules, the pattern and is_byte_level
// of `vocabulary`, and whether a text begins with a special token: its text is
// looked for among the tokens by the caller. What is known but cannot be
// expressed is named in rules.unsupported.
// Returns the text of the token that begins a prompt, empty if there is none.
// Errors: kCorrupt, kUnsupported (a component or pattern that is not known),
// kLimit.
Result<std::string> ReadTextRules(const Json& root,
                                  TokenVocabulary& vocabulary);

}  // namespace verify
