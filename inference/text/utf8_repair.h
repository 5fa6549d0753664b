// SPDX-License-Identifier: Apache-2.0
// Bytes that may be no UTF-8 to text that is. Tested by
// tests/inference/text/tokenizer_test.cc.
#pragma once

#include <string>

namespace inference {

// Moves from `bytes` to the result what is decided: complete characters, and
// U+FFFD for each byte that cannot begin one. With `last`, all of it; without,
// a beginning that more bytes could complete stays. Linear time.
std::string TakeCharacters(std::string& bytes, bool last);

}  // namespace inference
