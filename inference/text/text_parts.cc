// SPDX-License-Identifier: Apache-2.0
#include "inference/text/text_parts.h"

#include <algorithm>

namespace inference {
namespace {

bool IsContinuation(char c) { return (c & '\xc0') == '\x80'; }

}  // namespace

void TextParts::Note(std::string_view token) {
  for (size_t i = 1; i < token.size(); ++i) {
    const auto a = static_cast<unsigned char>(token[i - 1]);
    const auto b = static_cast<unsigned char>(token[i]);
    if (a < 128 && b < 128) joined_.set(128u * a + b);
  }
}

size_t TextParts::FirstEnd(std::string_view text, size_t max_bytes) const {
  const size_t limit = std::min(text.size(), max_bytes);
  for (size_t end = kPartBytes; end < limit; ++end) {
    const auto a = static_cast<unsigned char>(text[end - 1]);
    const auto b = static_cast<unsigned char>(text[end]);
    if (a < 128 && b < 128 && !joined_.test(128u * a + b)) return end;
  }
  return CharacterEnd(text, max_bytes);
}

size_t CharacterEnd(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text.size();
  size_t end = max_bytes;
  while (end > max_bytes - 3 && IsContinuation(text[end])) --end;
  return end;
}

}  // namespace inference
