// SPDX-License-Identifier: Apache-2.0
#include "verify/base/name_folding.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "verify/base/unicode_tables.h"

namespace verify {
namespace {

// Reads one character and removes it; an invalid byte comes as itself beyond
// the last code point, so that it equals nothing else.
uint32_t TakeCharacter(std::string_view& text) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const uint32_t lead = byte(0);
  size_t size = 1;
  uint32_t c = lead;
  if (lead >= 0xF0) {
    size = 4, c = lead & 0x07;
  } else if (lead >= 0xE0) {
    size = 3, c = lead & 0x0F;
  } else if (lead >= 0xC0) {
    size = 2, c = lead & 0x1F;
  }
  bool valid = lead < 0x80 || (size > 1 && size <= text.size());
  for (size_t i = 1; valid && i < size; ++i) {
    valid = (byte(i) & 0xC0) == 0x80;
    c = (c << 6) | (byte(i) & 0x3F);
  }
  if (!valid) size = 1, c = 0x110000 + lead;
  text.remove_prefix(size);
  return c;
}

uint32_t FoldCase(uint32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  const auto& ranges = internal::kCaseFoldRanges;
  auto range = std::upper_bound(
      ranges.begin(), ranges.end(), c,
      [](uint32_t value, const auto& r) { return value < r.first; });
  if (range == ranges.begin()) return c;
  --range;
  if (c > range->last || (c - range->first) % range->step != 0) return c;
  return static_cast<uint32_t>(static_cast<int64_t>(c) + range->delta);
}

void AppendDecomposed(uint32_t c, std::vector<uint32_t>& out) {
  constexpr uint32_t kHangulFirst = 0xAC00;
  constexpr uint32_t kHangulLast = 0xD7A3;
  if (c >= kHangulFirst && c <= kHangulLast) {
    const uint32_t index = c - kHangulFirst;  // 21 vowels, 28 final sounds
    out.push_back(0x1100 + index / (21 * 28));
    out.push_back(0x1161 + index % (21 * 28) / 28);
    if (index % 28 != 0) out.push_back(0x11A7 + index % 28);
    return;
  }
  // A base may itself be composed: at most three marks on one letter.
  std::vector<uint32_t> marks;
  const auto& table = internal::kDecompositions;
  while (true) {
    const auto found = std::lower_bound(
        table.begin(), table.end(), c,
        [](const auto& entry, uint32_t value) { return entry.letter < value; });
    if (found == table.end() || found->letter != c) break;
    marks.push_back(found->mark);
    c = found->base;
  }
  out.push_back(c);
  out.insert(out.end(), marks.rbegin(), marks.rend());
}

void AppendFolded(uint32_t c, std::vector<uint32_t>& out) {
  switch (c) {
    case 0xDF:
    case 0x1E9E:  // sharp s
    case 0xFB05:
    case 0xFB06:
      out.push_back('s');
      out.push_back(c < 0xFB00 ? 's' : 't');
      return;
    case 0x130:  // I with a dot
      out.push_back('i');
      out.push_back(0x307);
      return;
    case 0xFB00:
    case 0xFB01:
    case 0xFB02:
    case 0xFB03:
    case 0xFB04:
      out.push_back('f');
      if (c == 0xFB00 || c >= 0xFB03) out.push_back('f');
      if (c == 0xFB01 || c == 0xFB03) out.push_back('i');
      if (c == 0xFB02 || c == 0xFB04) out.push_back('l');
      return;
    default:
      AppendDecomposed(FoldCase(c), out);
  }
}

bool IsMark(uint32_t c) {
  return (c >= 0x300 && c <= 0x36F) || c == 0x3099 || c == 0x309A;
}

void AppendUtf8(uint32_t c, std::string& out) {
  const auto put = [&](uint32_t byte) {
    out.push_back(static_cast<char>(static_cast<unsigned char>(byte)));
  };
  if (c >= 0x110000) {
    put(c - 0x110000);
  } else if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

}  // namespace

std::string FoldName(std::string_view name) {
  while (name.size() > 1 && (name.back() == '.' || name.back() == ' ')) {
    name.remove_suffix(1);
  }
  std::vector<uint32_t> characters;
  characters.reserve(name.size());
  while (!name.empty()) AppendFolded(TakeCharacter(name), characters);
  // One order for the marks on a letter, whichever they were typed in.
  for (auto it = characters.begin(); it != characters.end();) {
    const auto marks = std::find_if(it, characters.end(), IsMark);
    it = std::find_if_not(marks, characters.end(), IsMark);
    std::sort(marks, it);
  }
  std::string key;
  key.reserve(characters.size());
  for (const uint32_t c : characters) AppendUtf8(c, key);
  return key;
}

}  // namespace verify
