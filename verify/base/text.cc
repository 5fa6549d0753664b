// SPDX-License-Identifier: Apache-2.0
#include "verify/base/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace verify {
namespace internal {

void AppendPiece(std::string& out, double value) {
  std::array<char, 32> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%g", value);
  out.append(buffer.data());
}

}  // namespace internal

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// One decoded UTF-8 character; size 0 for an invalid sequence.
struct Utf8Char {
  uint32_t code_point = 0;
  size_t size = 0;
};

Utf8Char DecodeUtf8(std::string_view text) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(text[i]));
  };
  if (text.empty()) return {};
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  size_t size = 0;
  uint32_t code_point = 0;
  uint32_t smallest = 0;
  if ((lead & 0xE0) == 0xC0) {
    size = 2, code_point = lead & 0x1F, smallest = 0x80;
  } else if ((lead & 0xF0) == 0xE0) {
    size = 3, code_point = lead & 0x0F, smallest = 0x800;
  } else if ((lead & 0xF8) == 0xF0) {
    size = 4, code_point = lead & 0x07, smallest = 0x10000;
  } else {
    return {};
  }
  if (text.size() < size) return {};
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code_point = (code_point << 6) | (byte(i) & 0x3F);
  }
  // Overlong forms, surrogates and values past the last plane are not UTF-8.
  if (code_point < smallest || code_point > 0x10FFFF ||
      (code_point >= 0xD800 && code_point <= 0xDFFF)) {
    return {};
  }
  return {code_point, size};
}

// Characters that change how the text around them is shown.
bool IsDeceptive(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x00AD || c == 0x061C ||
         (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
         (c >= 0xFFF0 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

std::string FormatScaled(double value, double base,
                         std::span<const char* const> units) {
  size_t unit = 0;
  while (value >= base && unit + 1 < units.size()) {
    value /= base;
    ++unit;
  }
  std::array<char, 48> buffer{};
  std::snprintf(buffer.data(), buffer.size(), unit == 0 ? "%.0f %s" : "%.1f %s",
                value, units[unit]);
  return buffer.data();
}

}  // namespace

std::string HexEncode(std::span<const std::byte> bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    out.push_back(kHexDigits[std::to_integer<size_t>(b) >> 4]);
    out.push_back(kHexDigits[std::to_integer<size_t>(b) & 15]);
  }
  return out;
}

std::optional<std::vector<std::byte>> HexDecode(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::vector<std::byte> out;
  out.reserve(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = HexValue(hex[i]);
    const int low = HexValue(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return out;
}

std::optional<std::vector<std::byte>> Base32Decode(std::string_view text) {
  // A group of 8 characters holds 5 bytes; 1, 3 and 6 left over cannot be.
  const size_t rest = text.size() % 8;
  if (rest == 1 || rest == 3 || rest == 6) return std::nullopt;
  std::vector<std::byte> out;
  out.reserve(text.size() * 5 / 8);
  uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : text) {
    uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<uint32_t>(c - 'a');
    } else if (c >= '2' && c <= '7') {
      value = static_cast<uint32_t>(c - '2' + 26);
    } else {
      return std::nullopt;
    }
    bits = (bits << 5) | value;
    num_bits += 5;
    if (num_bits >= 8) {
      num_bits -= 8;
      out.push_back(static_cast<std::byte>((bits >> num_bits) & 0xFF));
    }
  }
  return out;
}

std::string AsciiLower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view TrimAscii(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  const size_t last = text.find_last_not_of(kBlanks);
  return text.substr(first, last - first + 1);
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = DecodeUtf8(text);
    if (c.size == 0) return false;
    text.remove_prefix(c.size);
  }
  return true;
}

std::string EscapeForTerminal(std::string_view text, size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    std::string piece;
    const Utf8Char c = DecodeUtf8(text);
    if (c.size == 0) {
      piece = "\\x";
      piece += HexEncode(std::as_bytes(std::span(text.data(), 1)));
      text.remove_prefix(1);
    } else {
      if (IsDeceptive(c.code_point)) {
        std::array<char, 16> buffer{};
        std::snprintf(buffer.data(), buffer.size(),
                      c.code_point < 0x80 ? "\\x%02x" : "\\u{%x}",
                      c.code_point);
        piece = buffer.data();
      } else {
        piece = text.substr(0, c.size);
      }
      text.remove_prefix(c.size);
    }
    if (out.size() + piece.size() > max_bytes) return out + "…";
    out += piece;
  }
  return out;
}

std::string FormatSize(uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B",   "KiB", "MiB",
                                                        "GiB", "TiB", "PiB"};
  return FormatScaled(static_cast<double>(bytes), 1024.0, kUnits);
}

std::string FormatRate(double bytes_per_second) {
  static constexpr std::array<const char*, 5> kUnits = {"B/s", "kB/s", "MB/s",
                                                        "GB/s", "TB/s"};
  return FormatScaled(std::max(0.0, bytes_per_second), 1000.0, kUnits);
}

std::string FormatDuration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "unknown time";
  std::array<char, 48> buffer{};
  const auto total = static_cast<long long>(std::llround(seconds));
  if (total < 60) {
    std::snprintf(buffer.data(), buffer.size(), "%lld s", total);
  } else if (total < 3600) {
    std::snprintf(buffer.data(), buffer.size(), "%lld min %02lld s",
                  total / 60, total % 60);
  } else {
    std::snprintf(buffer.data(), buffer.size(), "%lld h %02lld min",
                  total / 3600, total % 3600 / 60);
  }
  return buffer.data();
}

}  // namespace verify
