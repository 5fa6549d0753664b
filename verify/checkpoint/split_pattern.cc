// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/split_pattern.h"

#include <array>
#include <vector>

#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_check.h"

namespace verify {
namespace {

struct KnownPattern {
  std::string_view text;
  SplitPattern pattern;
};

// As their publishers write them.
constexpr std::array kKnown = {
    KnownPattern{R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|)"
                 R"( ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
                 SplitPattern::kGpt2},
    KnownPattern{R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)"
                 R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)"
                 R"(\s+(?!\S)|\s+)",
                 SplitPattern::kLlama3},
    KnownPattern{R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)"
                 R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)"
                 R"(\s+(?!\S)|\s+)",
                 SplitPattern::kQwen2},
    KnownPattern{R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
                 R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
                 R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+)"
                 R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
                 R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|)"
                 R"(\s+(?!\S)|\s+)",
                 SplitPattern::kO200k},
    KnownPattern{
        R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
        R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?)"
        R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
        R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|)"
        R"(\s+(?!\S)|\s+)",
        SplitPattern::kTekken},
};

// A group that repeats without bound or by a count and is itself repeated:
// "(a+)+". Characters of classes and escapes are passed over.
bool RepeatsARepetition(std::string_view pattern) {
  std::vector<bool> groups;  // whether each open one has a repetition inside
  bool last_group_repeats = false;  // of the group that has just ended
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const bool counts = c == '{' && i + 1 < pattern.size() &&
                        pattern[i + 1] >= '0' && pattern[i + 1] <= '9';
    if (c == '*' || c == '+' || counts) {
      if (last_group_repeats) return true;
      if (!groups.empty()) groups.back() = true;
    }
    last_group_repeats = false;
    if (c == '\\') {
      ++i;
    } else if (c == '[') {
      for (++i; i < pattern.size() && pattern[i] != ']'; ++i) {
        if (pattern[i] == '\\') ++i;
      }
    } else if (c == '(') {
      groups.push_back(false);
    } else if (c == ')' && !groups.empty()) {
      last_group_repeats = groups.back();
      groups.pop_back();
      if (last_group_repeats && !groups.empty()) groups.back() = true;
    }
  }
  return false;
}

}  // namespace

std::string_view SplitPatternName(SplitPattern pattern) {
  switch (pattern) {
    case SplitPattern::kNone:
      return "none";
    case SplitPattern::kGpt2:
      return "gpt2";
    case SplitPattern::kLlama3:
      return "llama3";
    case SplitPattern::kQwen2:
      return "qwen2";
    case SplitPattern::kO200k:
      return "o200k";
    case SplitPattern::kTekken:
      return "tekken";
  }
  return "unknown";
}

std::string_view SplitPatternText(SplitPattern pattern) {
  for (const KnownPattern& known : kKnown) {
    if (known.pattern == pattern) return known.text;
  }
  return {};
}

Result<SplitPattern> RecognisePattern(std::string_view pattern) {
  for (const KnownPattern& known : kKnown) {
    if (known.text == pattern) return known.pattern;
  }
  if (pattern.size() > kMaxPatternBytes) {
    return TokenizerError(ErrorCode::kLimit,
                          StrCat("a pattern of ", pattern.size(),
                                 " bytes, at most ", kMaxPatternBytes));
  }
  if (RepeatsARepetition(pattern)) {
    return TokenizerError(
        ErrorCode::kCorrupt,
        StrCat("the pattern \"", EscapeForTerminal(pattern, 64),
               "\" repeats a repetition: some texts would take for ever"));
  }
  return TokenizerError(
      ErrorCode::kUnsupported,
      StrCat("the pattern \"", EscapeForTerminal(pattern, 64),
             "\" is none of those known, and no pattern of a file is used"));
}

}  // namespace verify
