// SPDX-License-Identifier: Apache-2.0
#include "inference/text/vocabulary_files.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "inference/text/byte_letters.h"
#include "verify/base/base64.h"
#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/checkpoint/split_pattern.h"

namespace inference {
namespace {

using verify::Result;
using verify::SplitPattern;
using verify::StrCat;
using verify::TextRules;
using verify::TokenVocabulary;
using verify::VocabularyToken;
using OrderedJson = nlohmann::ordered_json;

constexpr uint32_t kNumBytes = 256;

verify::Unexpected CannotSay(std::string_view what) {
  return verify::Fail(verify::ErrorCode::kUnsupported,
                      StrCat("tokenizer: ", what))
      .Id("E-TOKENIZER")
      .Hint("convert from the files that this GGUF was made of");
}

const VocabularyToken* Find(const TokenVocabulary& vocabulary,
                            std::optional<uint32_t> id) {
  if (!id.has_value()) return nullptr;
  const auto it =
      std::lower_bound(vocabulary.tokens.begin(), vocabulary.tokens.end(), *id,
                       [](const VocabularyToken& token, uint32_t wanted) {
                         return token.id < wanted;
                       });
  return it == vocabulary.tokens.end() || it->id != *id ? nullptr : &*it;
}

// Quoted, and escaped where JSON needs it; texts were read as UTF-8.
std::string Quote(const std::string& text) { return OrderedJson(text).dump(); }

OrderedJson PreTokenizer(const TokenVocabulary& vocabulary) {
  const bool cuts_itself = vocabulary.pattern == SplitPattern::kGpt2;
  const OrderedJson bytes = {
      {"type", "ByteLevel"},
      {"add_prefix_space",
       vocabulary.rules.prefix == TextRules::Prefix::kUnlessThere},
      {"trim_offsets", true},
      {"use_regex", cuts_itself}};
  if (cuts_itself) return bytes;
  const OrderedJson split = {
      {"type", "Split"},
      {"pattern", {{"Regex", verify::SplitPatternText(vocabulary.pattern)}}},
      {"behavior", "Isolated"},
      {"invert", false}};
  return {{"type", "Sequence"},
          {"pretokenizers", OrderedJson::array({split, bytes})}};
}

// Puts the token that begins a prompt in front of it.
OrderedJson PostProcessor(const TokenVocabulary& vocabulary) {
  const VocabularyToken* const begin = Find(vocabulary, vocabulary.begin_id);
  if (!vocabulary.adds_begin || begin == nullptr) {
    return {{"type", "ByteLevel"},
            {"add_prefix_space", true},
            {"trim_offsets", false},
            {"use_regex", true}};
  }
  const auto token = [&](int text) -> OrderedJson {
    return {{"SpecialToken", {{"id", begin->text}, {"type_id", text}}}};
  };
  const auto sequence = [](const char* name, int text) -> OrderedJson {
    return {{"Sequence", {{"id", name}, {"type_id", text}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", OrderedJson::array({token(0), sequence("A", 0)})},
          {"pair", OrderedJson::array({token(0), sequence("A", 0), token(1),
                                       sequence("B", 1)})},
          {"special_tokens",
           {{begin->text,
             {{"id", begin->text},
              {"ids", OrderedJson::array({begin->id})},
              {"tokens", OrderedJson::array({begin->text})}}}}}};
}

// Put together as text: an object of a hundred thousand keys that keeps their
// order would look through all of them for each.
std::string TokenizerJsonText(const TokenVocabulary& vocabulary) {
  std::string added;
  std::string vocab;
  for (const VocabularyToken& token : vocabulary.tokens) {
    vocab +=
        StrCat(vocab.empty() ? "\n" : ",\n", Quote(token.text), ": ", token.id);
    if (!token.is_added) continue;
    const OrderedJson item = {{"id", token.id},
                              {"content", token.text},
                              {"single_word", false},
                              {"lstrip", false},
                              {"rstrip", false},
                              {"normalized", false},
                              {"special", token.is_special}};
    added += StrCat(added.empty() ? "\n" : ",\n", item.dump());
  }
  std::string merges;
  for (const auto& [left, right] : vocabulary.merges) {
    const VocabularyToken* const a = Find(vocabulary, left);
    const VocabularyToken* const b = Find(vocabulary, right);
    CHECK(a != nullptr && b != nullptr);
    merges += StrCat(merges.empty() ? "\n" : ",\n",
                     Quote(StrCat(a->text, " ", b->text)));
  }
  const VocabularyToken* const unknown =
      Find(vocabulary, vocabulary.unknown_id);
  const OrderedJson decoder = {{"type", "ByteLevel"},
                               {"add_prefix_space", true},
                               {"trim_offsets", true},
                               {"use_regex", true}};
  return StrCat(
      "{\n\"version\": \"1.0\",\n\"truncation\": null,\n\"padding\": null,\n"
      "\"added_tokens\": [",
      added, "\n],\n\"normalizer\": null,\n\"pre_tokenizer\": ",
      PreTokenizer(vocabulary).dump(),
      ",\n\"post_processor\": ", PostProcessor(vocabulary).dump(),
      ",\n\"decoder\": ", decoder.dump(),
      ",\n\"model\": {\n\"type\": \"BPE\",\n\"dropout\": null,\n"
      "\"unk_token\": ",
      unknown == nullptr ? "null" : Quote(unknown->text),
      ",\n\"continuing_subword_prefix\": null,\n"
      "\"end_of_word_suffix\": null,\n\"fuse_unk\": false,\n"
      "\"byte_fallback\": false,\n\"ignore_merges\": ",
      vocabulary.ignore_merges ? "true" : "false", ",\n\"vocab\": {", vocab,
      "\n},\n\"merges\": [", merges, "\n]\n}\n}\n");
}

std::string TokenizerConfigText(const TokenVocabulary& vocabulary) {
  OrderedJson json = {{"add_bos_token", vocabulary.adds_begin}};
  if (const auto* const begin = Find(vocabulary, vocabulary.begin_id)) {
    json["bos_token"] = begin->text;
  }
  if (const auto* const end = Find(vocabulary, vocabulary.end_id)) {
    json["eos_token"] = end->text;
  }
  json["clean_up_tokenization_spaces"] = false;
  json["tokenizer_class"] = "PreTrainedTokenizerFast";
  return json.dump(2) + "\n";
}

// Special tokens first, then the 256 bytes, then what is made of them.
Result<std::string> TekkenJsonText(const TokenVocabulary& vocabulary) {
  const std::vector<VocabularyToken>& tokens = vocabulary.tokens;
  const auto first = std::find_if(
      tokens.begin(), tokens.end(),
      [](const VocabularyToken& token) { return !token.is_added; });
  const auto num_specials = static_cast<uint32_t>(first - tokens.begin());
  if (num_specials == 0 || tokens.size() != vocabulary.max_id() + 1 ||
      tokens.size() < num_specials + kNumBytes) {
    return CannotSay("its ids are not in the order of tekken.json");
  }
  OrderedJson specials = OrderedJson::array();
  for (uint32_t id = 0; id < num_specials; ++id) {
    specials.push_back({{"rank", id},
                        {"token_str", tokens[id].text},
                        {"is_control", tokens[id].is_special}});
  }
  OrderedJson vocab = OrderedJson::array();
  for (uint32_t id = num_specials; id < tokens.size(); ++id) {
    const auto bytes = BytesOfLetters(tokens[id].text);
    if (tokens[id].is_added || !bytes.has_value()) {
      return CannotSay(
          StrCat("token ", id, " stands where tekken.json has bytes"));
    }
    const bool is_text = verify::IsValidUtf8(*bytes);
    vocab.push_back(
        {{"rank", id - num_specials},
         {"token_bytes", verify::Base64Encode(verify::AsBytes(*bytes))},
         {"token_str", is_text ? OrderedJson(*bytes) : OrderedJson(nullptr)}});
  }
  const OrderedJson json = {
      {"config",
       {{"pattern", verify::SplitPatternText(vocabulary.pattern)},
        {"num_vocab_tokens", vocab.size()},
        {"default_vocab_size", tokens.size()},
        {"default_num_special_tokens", num_specials},
        {"version", vocabulary.version.empty() ? "v3" : vocabulary.version}}},
      {"vocab", std::move(vocab)},
      {"special_tokens", std::move(specials)}};
  return json.dump(1) + "\n";
}

bool SameToken(const VocabularyToken& a, const VocabularyToken& b) {
  return a.id == b.id && a.text == b.text && a.is_added == b.is_added &&
         a.is_special == b.is_special;
}

// Whether `read` gives the same ids for every text.
bool SameVocabulary(const TokenVocabulary& a, const TokenVocabulary& read) {
  return std::equal(a.tokens.begin(), a.tokens.end(), read.tokens.begin(),
                    read.tokens.end(), SameToken) &&
         a.merges == read.merges && a.ignore_merges == read.ignore_merges &&
         a.pattern == read.pattern && read.is_byte_level &&
         a.rules.prefix == read.rules.prefix &&
         read.rules.unsupported.empty() && a.adds_begin == read.adds_begin &&
         (!a.adds_begin || a.begin_id == read.begin_id);
}

// tekken.json has bytes where GGUF has letters, and no list of merges: which
// there are follows from the tokens.
bool SameTekken(const TokenVocabulary& a, const TokenVocabulary& read) {
  if (a.tokens.size() != read.tokens.size() || !read.is_tekken ||
      a.adds_begin != read.adds_begin || a.begin_id != read.begin_id ||
      a.end_id != read.end_id || !a.ignore_merges) {
    return false;
  }
  for (size_t i = 0; i < a.tokens.size(); ++i) {
    const VocabularyToken& now = read.tokens[i];
    const VocabularyToken& was = a.tokens[i];
    if (now.id != was.id || now.is_added != was.is_added ||
        (now.is_added ? now.text : LettersOfBytes(now.text)) != was.text) {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<std::vector<VocabularyFile>> FilesOfVocabulary(
    const TokenVocabulary& vocabulary) {
  CHECK(vocabulary.is_byte_level);
  if (vocabulary.pattern == SplitPattern::kNone) {
    return CannotSay("it is not known how it cuts texts");
  }
  std::vector<VocabularyFile> files;
  if (vocabulary.ranks_by_token) {
    ASSIGN_OR_RETURN(std::string text, TekkenJsonText(vocabulary));
    ASSIGN_OR_RETURN(const TokenVocabulary read, verify::ReadTekkenJson(text));
    if (!SameTekken(vocabulary, read)) {
      return CannotSay("tekken.json would say something else");
    }
    files.push_back({"tekken.json", std::move(text)});
    return files;
  }
  std::string text = TokenizerJsonText(vocabulary);
  ASSIGN_OR_RETURN(const TokenVocabulary read, verify::ReadTokenizerJson(text));
  if (!SameVocabulary(vocabulary, read)) {
    return CannotSay("tokenizer.json would say something else");
  }
  files.push_back({"tokenizer.json", std::move(text)});
  files.push_back({"tokenizer_config.json", TokenizerConfigText(vocabulary)});
  return files;
}

}  // namespace inference
