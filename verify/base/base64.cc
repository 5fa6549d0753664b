// SPDX-License-Identifier: Apache-2.0
#include "verify/base/base64.h"

#include <algorithm>
#include <cstdint>

namespace verify {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The six bits of a character in either alphabet, or -1.
int SixBits(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

}  // namespace

std::string Base64Encode(ByteSpan bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group <<= 8;
      if (j < count) group |= std::to_integer<uint32_t>(bytes[i + j]);
    }
    for (size_t j = 0; j < 4; ++j) {
      text.push_back(j <= count ? kAlphabet[(group >> (18 - 6 * j)) & 63]
                                : '=');
    }
  }
  return text;
}

std::optional<std::vector<std::byte>> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const bool standard = text.find_first_of("+/") != std::string_view::npos;
  const bool url_safe = text.find_first_of("-_") != std::string_view::npos;
  if (standard && url_safe) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() &&
         text[text.size() - 1 - padding] == '=') {
    ++padding;
  }
  std::vector<std::byte> bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t group = 0;
  const size_t digits = text.size() - padding;
  for (size_t i = 0; i < text.size(); ++i) {
    const int bits = i < digits ? SixBits(text[i]) : 0;
    if (bits < 0) return std::nullopt;
    group = (group << 6) | static_cast<uint32_t>(bits);
    if (i % 4 != 3) continue;
    const size_t dropped = i + 1 == text.size() ? padding : 0;
    if ((group & ((1u << (8 * dropped)) - 1)) != 0) return std::nullopt;
    for (size_t j = 0; j < 3 - dropped; ++j) {
      bytes.push_back(static_cast<std::byte>((group >> (16 - 8 * j)) & 0xFF));
    }
    group = 0;
  }
  return bytes;
}

}  // namespace verify
