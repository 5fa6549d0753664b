// SPDX-License-Identifier: Apache-2.0
#include "inference/text/text_splitter.h"

#include <algorithm>
#include <optional>

#include "inference/text/unicode_class.h"

namespace inference {
namespace {

using verify::SplitPattern;

struct Char {
  char32_t code = 0;
  size_t size = 0;  // 0: the end of the text
  CharClass kind = CharClass::kOther;

  explicit operator bool() const { return size > 0; }
  bool IsNewline() const { return code == '\r' || code == '\n'; }
  bool IsLetter() const {
    return kind == CharClass::kUpper || kind == CharClass::kLower ||
           kind == CharClass::kLetter;
  }
  bool IsNumber() const { return kind == CharClass::kNumber; }
  bool IsSpace() const { return kind == CharClass::kSpace; }
  // [^\s\p{L}\p{N}]
  bool IsSymbol() const {
    return size > 0 && !IsLetter() && !IsNumber() && !IsSpace();
  }
  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
  bool IsHead() const { return kind == CharClass::kUpper || IsUncased(); }
  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  bool IsTail() const { return kind == CharClass::kLower || IsUncased(); }
  bool IsUncased() const {
    return kind == CharClass::kLetter || kind == CharClass::kMark;
  }
};

// Each alternative of a pattern is a function: where the match that begins at
// a place ends, or nothing.
class Matcher {
 public:
  using Match = std::optional<size_t>;

  explicit Matcher(std::string_view text) : text_(text) {}

  Char At(size_t place) const {
    const Utf8Char c = Utf8At(text_, place);
    return {c.code, c.size, c.size == 0 ? CharClass::kOther : ClassOf(c.code)};
  }

  // Past the characters for which `is` holds, at most `most` of them.
  template <typename Is>
  size_t Run(size_t place, Is is, size_t most = SIZE_MAX) const {
    for (size_t count = 0; count < most; ++count) {
      const Char c = At(place);
      if (!c || !is(c)) break;
      place += c.size;
    }
    return place;
  }
  template <typename Is>
  Match RunOfOne(size_t place, Is is, size_t most = SIZE_MAX) const {
    const size_t end = Run(place, is, most);
    if (end == place) return std::nullopt;
    return end;
  }

  // 's|'t|'re|'ve|'m|'ll|'d
  Match Contraction(size_t place, bool any_case) const {
    if (At(place).code != '\'' || !At(place)) return std::nullopt;
    const size_t second = place + 1;
    const char32_t a = Letter(second, any_case);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') {
      return second + At(second).size;
    }
    const char32_t b = Letter(second + 1, any_case);
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') ||
        (a == 'l' && b == 'l')) {
      return second + 2;
    }
    return std::nullopt;
  }

  //  ?X+
  template <typename Is>
  Match SpaceAndRun(size_t place, Is is) const {
    if (At(place).code == ' ') {
      if (const Match end = RunOfOne(place + 1, is)) return end;
    }
    return RunOfOne(place, is);
  }

  // [^\r\n\p{L}\p{N}]?\p{L}+
  Match Letters(size_t place) const {
    const auto is_letter = [](const Char& c) { return c.IsLetter(); };
    if (const Char first = At(place); IsBeforeLetters(first)) {
      return RunOfOne(place + first.size, is_letter);
    }
    return RunOfOne(place, is_letter);
  }

  // [^\r\n\p{L}\p{N}]?H*T+C?|[^\r\n\p{L}\p{N}]?H+T*C?, where C is a
  // contraction or nothing.
  Match CasedLetters(size_t place, bool contractions) const {
    const Char first = At(place);
    const bool has_prefix = IsBeforeLetters(first);
    const size_t behind = place + first.size;
    Match end;
    if (has_prefix) end = HeadsThenTails(behind);
    if (!end) end = HeadsThenTails(place);
    const auto is_head = [](const Char& c) { return c.IsHead(); };
    // Tails behind the heads would have matched above.
    if (!end && has_prefix) end = RunOfOne(behind, is_head);
    if (!end) end = RunOfOne(place, is_head);
    if (!end || !contractions) return end;
    if (const Match longer = Contraction(*end, true)) return longer;
    return end;
  }

  //  ?[^\s\p{L}\p{N}]+[\r\n]*, with a slash [\r\n/]*
  Match Symbols(size_t place, bool slash) const {
    const Match end =
        SpaceAndRun(place, [](const Char& c) { return c.IsSymbol(); });
    if (!end) return end;
    return Run(*end, [slash](const Char& c) {
      return c.IsNewline() || (slash && c.code == '/');
    });
  }

  // \s*[\r\n]+: up to the last newline among the blanks.
  Match BlanksToNewline(size_t place) const {
    Match end;
    for (Char c = At(place); c && c.IsSpace(); c = At(place)) {
      place += c.size;
      if (c.IsNewline()) end = place;
    }
    return end;
  }

  // \s+(?!\S)|\s+: the blanks without the last, which goes to the word behind
  // them; all of them at the end of the text, or if there is only one.
  Match Blanks(size_t place) const {
    size_t end = place;
    size_t last = place;
    for (Char c = At(end); c && c.IsSpace(); c = At(end)) {
      last = end;
      end += c.size;
    }
    if (end == place) return std::nullopt;
    return end == text_.size() || last == place ? end : last;
  }

 private:
  // [^\r\n\p{L}\p{N}]
  static bool IsBeforeLetters(const Char& c) {
    return c && !c.IsNewline() && !c.IsLetter() && !c.IsNumber();
  }

  // As a small ASCII letter. Whatever the case, "ſ" (U+017F) is an "s".
  char32_t Letter(size_t place, bool any_case) const {
    const Char c = At(place);
    if (!any_case) return c.code;
    if (c.code >= 'A' && c.code <= 'Z') return c.code - 'A' + 'a';
    return c.code == 0x17f ? U's' : c.code;
  }

  // H*T+. What is both stands in the heads first and is given back one by one
  // if no tail follows, so that the match ends behind the last such character.
  Match HeadsThenTails(size_t place) const {
    Match given_back;
    size_t end = place;
    for (Char c = At(end); c && c.IsHead(); c = At(end)) {
      end += c.size;
      if (c.IsTail()) given_back = end;
    }
    const auto tails = RunOfOne(end, [](const Char& c) { return c.IsTail(); });
    return tails ? tails : given_back;
  }

  std::string_view text_;
};

Matcher::Match Gpt2(const Matcher& m, size_t place) {
  if (const auto end = m.Contraction(place, false)) return end;
  const auto letters = [](const Char& c) { return c.IsLetter(); };
  const auto numbers = [](const Char& c) { return c.IsNumber(); };
  const auto symbols = [](const Char& c) { return c.IsSymbol(); };
  if (const auto end = m.SpaceAndRun(place, letters)) return end;
  if (const auto end = m.SpaceAndRun(place, numbers)) return end;
  if (const auto end = m.SpaceAndRun(place, symbols)) return end;
  return m.Blanks(place);
}

// What the newer patterns have in common behind letters.
Matcher::Match NumbersSymbolsBlanks(const Matcher& m, size_t place,
                                    size_t most_digits, bool slash) {
  const auto numbers = [](const Char& c) { return c.IsNumber(); };
  if (const auto end = m.RunOfOne(place, numbers, most_digits)) return end;
  if (const auto end = m.Symbols(place, slash)) return end;
  if (const auto end = m.BlanksToNewline(place)) return end;
  return m.Blanks(place);
}

Matcher::Match Llama3(const Matcher& m, size_t place, size_t most_digits) {
  if (const auto end = m.Contraction(place, true)) return end;
  if (const auto end = m.Letters(place)) return end;
  return NumbersSymbolsBlanks(m, place, most_digits, false);
}

Matcher::Match O200k(const Matcher& m, size_t place, size_t most_digits,
                     bool contractions) {
  if (const auto end = m.CasedLetters(place, contractions)) return end;
  return NumbersSymbolsBlanks(m, place, most_digits, true);
}

}  // namespace

size_t WordEnd(SplitPattern pattern, std::string_view text, size_t begin) {
  const Matcher matcher(text);
  Matcher::Match end;
  switch (pattern) {
    case SplitPattern::kNone:
      return text.size();
    case SplitPattern::kGpt2:
      end = Gpt2(matcher, begin);
      break;
    case SplitPattern::kLlama3:
      end = Llama3(matcher, begin, 3);
      break;
    case SplitPattern::kQwen2:
      end = Llama3(matcher, begin, 1);
      break;
    case SplitPattern::kO200k:
      end = O200k(matcher, begin, 3, true);
      break;
    case SplitPattern::kTekken:
      end = O200k(matcher, begin, 1, false);
      break;
  }
  // Every character belongs to some alternative; what does not is a word.
  return end.value_or(begin + matcher.At(begin).size);
}

}  // namespace inference
