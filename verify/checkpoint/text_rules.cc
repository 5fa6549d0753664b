// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/text_rules.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "verify/base/text.h"
#include "verify/checkpoint/split_pattern.h"
#include "verify/checkpoint/tokenizer_check.h"
#include "verify/checkpoint/vocabulary_builder.h"

namespace verify {
namespace {

constexpr size_t kMaxComponents = 64;
constexpr std::string_view kMark = "\xe2\x96\x81";  // "▁"

// What a normalizer, pre-tokenizer, post-processor or decoder may be.
constexpr std::array<std::string_view, 22> kKnownComponents = {
    "Sequence",
    "ByteLevel",
    "Metaspace",
    "Split",
    "Replace",
    "Prepend",
    "Strip",
    "ByteFallback",
    "Fuse",
    "NFC",
    "NFKC",
    "NFD",
    "NFKD",
    "Lowercase",
    "Digits",
    "Whitespace",
    "Precompiled",
    "Punctuation",
    "TemplateProcessing",
    "WhitespaceSplit",
    "StripAccents",
    "Nmt"};

Unexpected Corrupt(std::string_view what) {
  return TokenizerError(ErrorCode::kCorrupt, what);
}

// A text or flag of a component; `absent` if it is not there or no such thing.
std::string_view TextOf(const Json& value, std::string_view key,
                        std::string_view absent = {}) {
  const auto it = value.find(key);
  if (it == value.end() || !it->is_string()) return absent;
  return it->get_ref<const std::string&>();
}
bool FlagOf(const Json& value, std::string_view key, bool absent) {
  const auto it = value.find(key);
  if (it == value.end() || !it->is_boolean()) return absent;
  return it->get<bool>();
}

class ComponentReader {
 public:
  explicit ComponentReader(TokenVocabulary& vocabulary)
      : vocabulary_(vocabulary), rules_(vocabulary.rules) {}

  enum class Role { kNormalizer, kPreTokenizer, kPostProcessor, kDecoder };
  static std::string_view NameOf(Role role) {
    constexpr std::array<std::string_view, 4> kNames = {
        "normalizer", "pre-tokenizer", "post-processor", "decoder"};
    return kNames[static_cast<size_t>(role)];
  }

  // The depth is that of JSON, which is bounded.
  Result<void> Read(const Json& value, Role role) {
    if (value.is_null()) return {};
    if (!value.is_object()) {
      return Corrupt(StrCat("the ", NameOf(role), " is no object"));
    }
    if (++num_components_ > kMaxComponents) {
      return TokenizerError(
          ErrorCode::kLimit,
          StrCat("more than ", kMaxComponents, " components"));
    }
    const auto type = value.find("type");
    if (type == value.end() || !type->is_string()) {
      return Corrupt(StrCat("the ", NameOf(role), " has no \"type\""));
    }
    const auto& name = type->get_ref<const std::string&>();
    if (std::find(kKnownComponents.begin(), kKnownComponents.end(), name) ==
        kKnownComponents.end()) {
      return TokenizerError(ErrorCode::kUnsupported,
                            StrCat("the ", NameOf(role), " is of the type ",
                                   TokenName(name), ", which is not known"));
    }
    RETURN_IF_ERROR(ReadPattern(value));
    const auto charsmap = value.find("precompiled_charsmap");
    if (charsmap != value.end() && charsmap->is_string() &&
        charsmap->get_ref<const std::string&>().size() > kMaxCharsmapBytes) {
      return TokenizerError(
          ErrorCode::kLimit,
          StrCat("a character map of more than ", kMaxCharsmapBytes, " bytes"));
    }
    if (name == "ByteLevel") vocabulary_.is_byte_level = true;
    if (name != "Sequence") Apply(name, value, role);
    for (const std::string_view list :
         {"normalizers", "pretokenizers", "processors", "decoders"}) {
      const auto parts = value.find(list);
      if (parts == value.end()) continue;
      if (!parts->is_array()) return Corrupt(StrCat("\"", list, "\" is none"));
      for (const Json& part : *parts) RETURN_IF_ERROR(Read(part, role));
    }
    return {};
  }

  std::string begin_text;  // of the token that begins a prompt

 private:
  // The pattern of a component, compared with those known: `pattern_`.
  Result<void> ReadPattern(const Json& value) {
    pattern_ = SplitPattern::kNone;
    literal_ = {};
    const auto pattern = value.find("pattern");
    if (pattern == value.end() || pattern->is_null()) return {};
    const bool fits = pattern->is_object() && pattern->size() == 1 &&
                      pattern->front().is_string();
    if (!fits) return Corrupt("a pattern that is no text");
    const auto& text = pattern->front().get_ref<const std::string&>();
    if (pattern->contains("String")) {
      literal_ = text;
      if (text.size() <= kMaxPatternBytes) return {};
      return TokenizerError(ErrorCode::kLimit,
                            StrCat("a text to look for of more than ",
                                   kMaxPatternBytes, " bytes"));
    }
    ASSIGN_OR_RETURN(pattern_, RecognisePattern(text));
    return {};
  }

  void Apply(std::string_view name, const Json& value, Role role) {
    bool expressed = true;
    switch (role) {
      case Role::kNormalizer:
        expressed = Normalizer(name, value);
        break;
      case Role::kPreTokenizer:
        expressed = PreTokenizer(name, value);
        break;
      case Role::kPostProcessor:
        if (name == "TemplateProcessing") PromptTemplate(value);
        break;
      case Role::kDecoder:
        Decoder(name, value);
        break;
    }
    if (!expressed && rules_.unsupported.empty()) {
      rules_.unsupported = StrCat(NameOf(role), " ", name);
    }
  }

  bool Normalizer(std::string_view name, const Json& value) {
    if (name == "NFC") {
      rules_.nfc = true;
      return true;
    }
    if (name == "Prepend") {
      rules_.prefix = TextRules::Prefix::kAlways;
      prepends_mark_ = true;
      return TextOf(value, "prepend") == kMark;
    }
    if (name == "Replace") {
      rules_.marks_spaces = true;
      return literal_ == " " && TextOf(value, "content") == kMark;
    }
    return false;
  }

  bool PreTokenizer(std::string_view name, const Json& value) {
    if (name == "Metaspace") {
      rules_.marks_spaces = true;
      rules_.cuts_at_marks = FlagOf(value, "split", true);
      const std::string_view scheme =
          TextOf(value, "prepend_scheme",
                 FlagOf(value, "add_prefix_space", true) ? "always" : "never");
      if (scheme != "never") rules_.prefix = TextRules::Prefix::kUnlessThere;
      rules_.prefix_once = scheme == "first";
      return TextOf(value, "replacement", kMark) == kMark && !prepends_mark_;
    }
    if (name == "ByteLevel") {
      const bool is_cut = vocabulary_.pattern != SplitPattern::kNone;
      const bool cuts = FlagOf(value, "use_regex", true);
      if (cuts && !is_cut) vocabulary_.pattern = SplitPattern::kGpt2;
      const bool prefixes = FlagOf(value, "add_prefix_space", true);
      if (prefixes) rules_.prefix = TextRules::Prefix::kUnlessThere;
      return !is_cut || (!cuts && !prefixes);
    }
    if (name == "Split" && pattern_ != SplitPattern::kNone) {
      const bool is_cut = vocabulary_.pattern != SplitPattern::kNone;
      vocabulary_.pattern = pattern_;
      // The patterns match every character, so that what matches and what is
      // cut around it are the same words.
      const std::string_view behaviour = TextOf(value, "behavior", "Isolated");
      const bool inverted = FlagOf(value, "invert", false);
      return !is_cut &&
             (inverted ? behaviour == "Removed" : behaviour == "Isolated");
    }
    return false;
  }

  // {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": ...}]}
  void PromptTemplate(const Json& value) {
    const auto single = value.find("single");
    if (single == value.end() || !single->is_array() || single->empty()) return;
    const Json& first = single->front();
    if (!first.is_object()) return;
    const auto token = first.find("SpecialToken");
    if (token == first.end() || !token->is_object()) return;
    begin_text = TextOf(*token, "id");
  }

  void Decoder(std::string_view name, const Json& value) {
    if (name == "Strip") {
      const auto start = value.find("start");
      rules_.drops_first_space |= TextOf(value, "content", " ") == " " &&
                                  start != value.end() && *start != Json(0);
    } else if (name == "Metaspace") {
      rules_.drops_first_space |=
          TextOf(value, "prepend_scheme",
                 FlagOf(value, "add_prefix_space", true) ? "always"
                                                         : "never") != "never";
    }
  }

  TokenVocabulary& vocabulary_;
  TextRules& rules_;
  size_t num_components_ = 0;
  bool prepends_mark_ = false;
  SplitPattern pattern_ = SplitPattern::kNone;  // of the one being read
  std::string literal_;                         // likewise
};

}  // namespace

Result<std::string> ReadTextRules(const Json& root,
                                  TokenVocabulary& vocabulary) {
  using Role = ComponentReader::Role;
  ComponentReader components(vocabulary);
  for (const auto& [key, role] :
       {std::pair<std::string_view, Role>{"normalizer", Role::kNormalizer},
        {"pre_tokenizer", Role::kPreTokenizer},
        {"post_processor", Role::kPostProcessor},
        {"decoder", Role::kDecoder}}) {
    const auto it = root.find(key);
    if (it != root.end()) RETURN_IF_ERROR(components.Read(*it, role));
  }
  return std::move(components.begin_text);
}

}  // namespace verify
