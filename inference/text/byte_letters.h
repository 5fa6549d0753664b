// SPDX-License-Identifier: Apache-2.0
// The letters that stand for bytes in a byte-level vocabulary (docs/formats/
// tokenizer.md): the printable ones of Latin-1 for themselves, U+0100 and on
// for the other 68 in ascending order. Tested by
// tests/inference/text/bpe_encoder_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace inference {

// The bytes that the letters of `text` stand for, or nothing if one of them
// stands for none. Requires UTF-8.
std::optional<std::string> BytesOfLetters(std::string_view text);

// The letters that stand for these bytes: UTF-8, and never a space.
std::string LettersOfBytes(std::string_view bytes);

}  // namespace inference
