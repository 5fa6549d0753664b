// SPDX-License-Identifier: Apache-2.0
// Text helpers: concatenation, hex, UTF-8, terminal-safe escaping, sizes.
// Tested by tests/verify/base/text_test.cc.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verify {

namespace internal {
inline void AppendPiece(std::string& out, std::string_view text) {
  out.append(text);
}
inline void AppendPiece(std::string& out, const char* text) {
  out.append(text);
}
inline void AppendPiece(std::string& out, const std::string& text) {
  out.append(text);
}
inline void AppendPiece(std::string& out, char c) { out.push_back(c); }
template <typename T>
  requires(std::integral<T> && !std::same_as<T, char> &&
           !std::same_as<T, bool>)
void AppendPiece(std::string& out, T value) {
  out.append(std::to_string(value));
}
void AppendPiece(std::string& out, double value);  // %g
}  // namespace internal

// The pieces (text, characters, integers, doubles) one after the other.
template <typename... Pieces>
std::string StrCat(const Pieces&... pieces) {
  std::string out;
  (internal::AppendPiece(out, pieces), ...);
  return out;
}

// Lower-case hex of bytes.
std::string HexEncode(std::span<const std::byte> bytes);

// Bytes of hex in either case; nothing for odd length or another character.
std::optional<std::vector<std::byte>> HexDecode(std::string_view hex);

// Bytes of RFC 4648 base32 in either case without padding; nothing for a
// length or character that cannot be.
std::optional<std::vector<std::byte>> Base32Decode(std::string_view text);

// ASCII only, whatever the locale.
std::string AsciiLower(std::string_view text);

// The text without ASCII blanks at both ends.
std::string_view TrimAscii(std::string_view text);

bool IsValidUtf8(std::string_view text);

// The text with every control character, bidirectional or zero-width mark and
// invalid byte written as \xNN or \u{N}, so that a name from outside can
// neither move the cursor nor hide; at most `max_bytes` long, "…" where cut.
std::string EscapeForTerminal(std::string_view text, size_t max_bytes = 512);

// "12.3 MiB": sizes with binary units; exact below 1024 ("17 B").
std::string FormatSize(uint64_t bytes);

// "12.3 MB/s": rates with decimal units.
std::string FormatRate(double bytes_per_second);

// "2 min 05 s", "3 h 12 min", "8 s".
std::string FormatDuration(double seconds);

}  // namespace verify
