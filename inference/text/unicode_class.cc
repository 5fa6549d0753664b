// SPDX-License-Identifier: Apache-2.0
#include "inference/text/unicode_class.h"

#include <algorithm>

#include "inference/text/unicode_table.h"

namespace inference {
namespace {

constexpr uint32_t kCapitalSmall = 7;
constexpr uint32_t kSmallCapital = 8;

}  // namespace

CharClass ClassOf(char32_t c) {
  const auto code = static_cast<uint32_t>(c);
  // The last range that begins at or before it; the first begins at 0.
  const auto after = std::upper_bound(
      kUnicodeRanges.begin(), kUnicodeRanges.end(), code,
      [](uint32_t wanted, uint32_t entry) { return wanted < entry >> 4; });
  const uint32_t entry = *(after - 1);
  const uint32_t kind = entry & 15;
  if (kind != kCapitalSmall && kind != kSmallCapital) {
    return static_cast<CharClass>(kind);
  }
  const bool is_first = (code - (entry >> 4)) % 2 == 0;
  return is_first == (kind == kCapitalSmall) ? CharClass::kUpper
                                             : CharClass::kLower;
}

Utf8Char Utf8At(std::string_view text, size_t position) {
  if (position >= text.size()) return {};
  const auto byte = [&](size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[i]));
  };
  const char32_t lead = byte(position);
  if (lead < 0x80) return {lead, 1};
  const size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() - position < size) return {0xfffd, 1};
  char32_t code = lead & (0x7fu >> size);
  for (size_t i = 1; i < size; ++i) {
    code = code << 6 | (byte(position + i) & 0x3f);
  }
  return {code, size};
}

}  // namespace inference
