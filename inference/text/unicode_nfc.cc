// SPDX-License-Identifier: Apache-2.0
#include "inference/text/unicode_nfc.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "inference/text/unicode_class.h"
#include "inference/text/unicode_nfc_table.h"

namespace inference {
namespace {

// All characters below are as they are in form C.
constexpr char32_t kFirstThatMayChange = 0x300;

// Hangul syllables: leading consonant, vowel, trailing consonant or none.
constexpr char32_t kSyllables = 0xac00;
constexpr char32_t kLeads = 0x1100;
constexpr char32_t kVowels = 0x1161;
constexpr char32_t kTrails = 0x11a7;  // itself: none
constexpr char32_t kNumLeads = 19;
constexpr char32_t kNumVowels = 21;
constexpr char32_t kNumTrails = 28;
constexpr char32_t kNumSyllables = kNumLeads * kNumVowels * kNumTrails;

constexpr int kCodeBits = 21;
constexpr uint64_t kCodeMask = (uint64_t{1} << kCodeBits) - 1;

struct Mark {
  char32_t code = 0;
  uint8_t combining = 0;  // canonical combining class
};

uint8_t CombiningClass(char32_t c) {
  const auto code = static_cast<uint32_t>(c);
  const auto after = std::upper_bound(
      kCombiningRanges.begin(), kCombiningRanges.end(), code,
      [](uint32_t wanted, uint32_t entry) { return wanted < entry >> 8; });
  if (after == kCombiningRanges.begin()) return 0;
  return static_cast<uint8_t>(*(after - 1) & 255);
}

// Depth: a decomposition begins with a smaller one at most three times.
void Decompose(char32_t c, std::vector<Mark>& out) {
  if (c - kSyllables < kNumSyllables) {
    const char32_t index = c - kSyllables;
    out.push_back({kLeads + index / (kNumVowels * kNumTrails), 0});
    out.push_back({kVowels + index / kNumTrails % kNumVowels, 0});
    if (index % kNumTrails != 0) {
      out.push_back({kTrails + index % kNumTrails, 0});
    }
    return;
  }
  const uint64_t key = static_cast<uint64_t>(c) << (2 * kCodeBits);
  const auto it =
      std::lower_bound(kDecompositions.begin(), kDecompositions.end(), key);
  if (it == kDecompositions.end() ||
      *it >> (2 * kCodeBits) != static_cast<uint64_t>(c)) {
    out.push_back({c, CombiningClass(c)});
    return;
  }
  Decompose(static_cast<char32_t>(*it >> kCodeBits & kCodeMask), out);
  const auto second = static_cast<char32_t>(*it & kCodeMask);
  if (second != 0) out.push_back({second, CombiningClass(second)});
}

// Marks behind a character by their class; those of one class stay in order.
void Order(std::vector<Mark>& marks) {
  for (auto it = marks.begin(); it != marks.end();) {
    if (it->combining == 0) {
      ++it;
      continue;
    }
    const auto end = std::find_if(
        it, marks.end(), [](const Mark& mark) { return mark.combining == 0; });
    std::stable_sort(it, end, [](const Mark& a, const Mark& b) {
      return a.combining < b.combining;
    });
    it = end;
  }
}

// The one character that two make, or 0.
char32_t Composed(char32_t first, char32_t second) {
  if (first - kLeads < kNumLeads && second - kVowels < kNumVowels) {
    return kSyllables +
           ((first - kLeads) * kNumVowels + (second - kVowels)) * kNumTrails;
  }
  if (first - kSyllables < kNumSyllables &&
      (first - kSyllables) % kNumTrails == 0 && second > kTrails &&
      second - kTrails < kNumTrails) {
    return first + (second - kTrails);
  }
  const uint64_t key = static_cast<uint64_t>(first) << (2 * kCodeBits) |
                       static_cast<uint64_t>(second) << kCodeBits;
  const auto it =
      std::lower_bound(kCompositions.begin(), kCompositions.end(), key);
  if (it == kCompositions.end() || *it >> kCodeBits != key >> kCodeBits) {
    return 0;
  }
  return static_cast<char32_t>(*it & kCodeMask);
}

// Joins each mark to the character before it where nothing stands between them
// that keeps them apart: a mark of the same class or a greater one.
void Compose(std::vector<Mark>& marks) {
  size_t kept = 0;
  size_t starter = marks.size();  // none yet
  for (const Mark& mark : marks) {
    const bool reaches =
        starter < kept &&
        (kept == starter + 1 || marks[kept - 1].combining < mark.combining);
    const char32_t one = reaches ? Composed(marks[starter].code, mark.code) : 0;
    if (one != 0) {
      marks[starter].code = one;
      continue;
    }
    if (mark.combining == 0) starter = kept;
    marks[kept++] = mark;
  }
  marks.resize(kept);
}

void AppendUtf8(char32_t c, std::string& out) {
  const auto add = [&out](char32_t byte) {
    out.push_back(static_cast<char>(static_cast<unsigned char>(byte)));
  };
  if (c < 0x80) {
    add(c);
    return;
  }
  if (c < 0x800) {
    add(0xc0 | c >> 6);
  } else {
    if (c < 0x10000) {
      add(0xe0 | c >> 12);
    } else {
      add(0xf0 | c >> 18);
      add(0x80 | (c >> 12 & 0x3f));
    }
    add(0x80 | (c >> 6 & 0x3f));
  }
  add(0x80 | (c & 0x3f));
}

}  // namespace

bool MayChangeInNfc(std::string_view text) {
  // U+0300 is CC 80 in UTF-8, and greater characters have greater first bytes.
  static_assert(kFirstThatMayChange == 0x300);
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0xcc;
  });
}

std::string ToNfc(std::string_view text) {
  std::vector<Mark> marks;
  marks.reserve(text.size());
  for (size_t place = 0; place < text.size();) {
    const Utf8Char c = Utf8At(text, place);
    Decompose(c.code, marks);
    place += c.size;
  }
  Order(marks);
  Compose(marks);
  std::string out;
  out.reserve(text.size());
  for (const Mark& mark : marks) AppendUtf8(mark.code, out);
  return out;
}

}  // namespace inference
