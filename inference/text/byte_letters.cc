// SPDX-License-Identifier: Apache-2.0
#include "inference/text/byte_letters.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "inference/text/unicode_class.h"

namespace inference {
namespace {

constexpr char32_t kFirstOther = 0x100;
constexpr size_t kNumOthers = 68;

constexpr bool IsItself(uint32_t byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) ||
         byte >= 174;
}

// The bytes that do not stand for themselves, ascending.
constexpr std::array<uint8_t, kNumOthers> kOthers = [] {
  std::array<uint8_t, kNumOthers> others{};
  size_t count = 0;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    if (!IsItself(byte)) others[count++] = static_cast<uint8_t>(byte);
  }
  return others;
}();

}  // namespace

std::optional<std::string> BytesOfLetters(std::string_view text) {
  std::string bytes;
  for (size_t place = 0; place < text.size();) {
    const Utf8Char c = Utf8At(text, place);
    place += c.size;
    if (c.code < 256 && IsItself(static_cast<uint32_t>(c.code))) {
      bytes.push_back(static_cast<char>(c.code));
    } else if (c.code >= kFirstOther && c.code < kFirstOther + kNumOthers) {
      bytes.push_back(static_cast<char>(kOthers[c.code - kFirstOther]));
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

std::string LettersOfBytes(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    char32_t code = byte;
    if (!IsItself(byte)) {
      const auto other = std::lower_bound(kOthers.begin(), kOthers.end(), byte);
      code = kFirstOther + static_cast<char32_t>(other - kOthers.begin());
    }
    if (code < 0x80) {
      text.push_back(static_cast<char>(code));
    } else {  // below U+0800
      text.push_back(static_cast<char>(0xc0 | (code >> 6)));
      text.push_back(static_cast<char>(0x80 | (code & 0x3f)));
    }
  }
  return text;
}

}  // namespace inference
