// SPDX-License-Identifier: Apache-2.0
// What tokenizers' patterns ask of a character (\p{L}, \p{Lu}, \p{M}, \p{N},
// \s), and UTF-8 one character at a time. Tested by
// tests/inference/text/text_splitter_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace inference {

enum class CharClass : uint8_t {
  kOther,
  kUpper,   // Lu, Lt
  kLower,   // Ll
  kLetter,  // Lm, Lo
  kMark,    // M
  kNumber,  // N
  kSpace,   // White_Space
};

// Of any code point; those that Unicode 14 does not assign are kOther.
CharClass ClassOf(char32_t c);

struct Utf8Char {
  char32_t code = 0;
  size_t size = 0;  // bytes; 0 at the end of a text
};

// The character at `position`. Requires `text` to be UTF-8 and `position` the
// start of a character or the end.
Utf8Char Utf8At(std::string_view text, size_t position);

}  // namespace inference
