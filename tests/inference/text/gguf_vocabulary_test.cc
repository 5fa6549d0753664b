// SPDX-License-Identifier: Apache-2.0
// Vocabularies written as GGUF metadata: what is read back gives the same ids.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/convert/gguf_metadata.h"
#include "inference/convert/gguf_writer.h"
#include "inference/text/byte_letters.h"
#include "inference/text/tokenizer.h"
#include "inference/text/vocabulary_files.h"
#include "tests/support/expect_error.h"
#include "tests/support/test_random.h"
#include "verify/base/base64.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/text.h"
#include "verify/checkpoint/gguf_reader.h"
#include "verify/checkpoint/tokenizer_json.h"

namespace inference {
namespace {

using tests::ExpectError;
using verify::ErrorCode;
using verify::Json;
using verify::Result;
using verify::StrCat;
using verify::TokenVocabulary;

constexpr uint64_t kRows = 600;

// The metadata as a file, and that file as a vocabulary again.
Result<TokenVocabulary> Reread(const TokenVocabulary& vocabulary,
                               uint64_t rows = kRows) {
  GgufHeader header;
  header.AddString("general.architecture", "llama");
  RETURN_IF_ERROR(AddTokenizerMetadata(header, vocabulary, rows));
  const std::string bytes = header.Bytes();
  ASSIGN_OR_RETURN(const verify::GgufFile file,
                   verify::ReadGguf(verify::MemorySource(
                       verify::AsBytes(std::string_view(bytes)))));
  return verify::TokenVocabularyFromGguf(file);
}

Tokenizer Make(const TokenVocabulary& vocabulary) {
  auto tokenizer = Tokenizer::Create(vocabulary);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return std::move(tokenizer).value();
}

// Words of two letters, blanks, digits, signs and all else: what overlaps.
std::string RandomText(tests::TestRandom& random, size_t length) {
  constexpr std::string_view kCommon = "aabb  ab c1-\n";
  std::string text;
  for (size_t i = 0; i < length; ++i) {
    text.push_back((random.NextU32() % 20) == 0
                       ? static_cast<char>((random.NextU32() % 256))
                       : kCommon[(random.NextU32() % kCommon.size())]);
  }
  return text;
}

void ExpectSame(const TokenVocabulary& vocabulary) {
  const auto read = Reread(vocabulary);
  ASSERT_TRUE(read) << read.error().ToString();
  const Tokenizer before = Make(vocabulary);
  const Tokenizer after = Make(*read);
  EXPECT_EQ(after.bos_id(), before.bos_id());
  EXPECT_EQ(after.eos_id(), before.eos_id());
  EXPECT_EQ(after.adds_bos(), before.adds_bos());
  EXPECT_EQ(after.is_byte_level(), before.is_byte_level());
  EXPECT_EQ(after.vocab_size(), kRows);
  for (TokenId id = 0; id < static_cast<TokenId>(before.vocab_size()); ++id) {
    EXPECT_EQ(after.PieceBytes(id), before.PieceBytes(id)) << id;
    EXPECT_EQ(after.IsControl(id), before.IsControl(id)) << id;
  }
  tests::TestRandom random(17);
  for (size_t i = 0; i < 4000; ++i) {
    const std::string text = RandomText(random, 1 + i % 40);
    const auto ids = before.Encode(text);
    ASSERT_EQ(after.Encode(text), ids) << verify::EscapeForTerminal(text);
    ASSERT_EQ(after.EncodeMarked(text + "<s>" + text),
              before.EncodeMarked(text + "<s>" + text));
    ASSERT_EQ(after.Decode(ids), before.Decode(ids));
  }
}

// The files that stand for the metadata, as a vocabulary again.
void ExpectSameInFiles(const TokenVocabulary& vocabulary,
                       std::string_view name) {
  const auto read = Reread(vocabulary, vocabulary.max_id() + 1);
  ASSERT_TRUE(read) << read.error().ToString();
  const auto files = FilesOfVocabulary(*read);
  ASSERT_TRUE(files) << files.error().ToString();
  ASSERT_EQ(files->front().name, name);
  const std::string& text = files->front().content;
  const auto again = name == "tekken.json" ? verify::ReadTekkenJson(text)
                                           : verify::ReadTokenizerJson(text);
  ASSERT_TRUE(again) << again.error().ToString();
  const Tokenizer before = Make(vocabulary);
  const Tokenizer after = Make(*again);
  EXPECT_EQ(after.vocab_size(), before.vocab_size());
  tests::TestRandom random(23);
  for (size_t i = 0; i < 4000; ++i) {
    const std::string random_text = RandomText(random, 1 + i % 40);
    const auto ids = before.Encode(random_text);
    ASSERT_EQ(after.Encode(random_text), ids)
        << verify::EscapeForTerminal(random_text);
    ASSERT_EQ(after.Decode(ids), before.Decode(ids));
  }
}

// Strings of a and b up to eight bytes that are two tokens joined, so that most
// can be made in several ways which overlap.
std::vector<std::string> Joined(size_t count) {
  tests::TestRandom random(5);
  std::vector<std::string> tokens = {"a", "b", " "};
  while (tokens.size() < count + 3) {
    const std::string token = tokens[(random.NextU32() % tokens.size())] +
                              tokens[(random.NextU32() % tokens.size())];
    if (token.size() > 8 || token.find(' ', 1) != std::string::npos ||
        std::find(tokens.begin(), tokens.end(), token) != tokens.end()) {
      continue;
    }
    tokens.push_back(token);
  }
  tokens.erase(tokens.begin(), tokens.begin() + 3);
  return tokens;
}

// Pattern as Mistral publishes it (docs/formats/tokenizer.md).
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?)"
    R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|)"
    R"(\s+(?!\S)|\s+)";

TokenVocabulary Tekken(const std::vector<std::string>& tokens) {
  Json json;
  json["config"] = {{"pattern", kTekken},
                    {"default_vocab_size", 20 + 256 + tokens.size()},
                    {"default_num_special_tokens", 20},
                    {"version", "v3"}};
  size_t rank = 0;
  const auto add = [&](std::string_view bytes) {
    json["vocab"].push_back(
        {{"rank", rank++},
         {"token_bytes", verify::Base64Encode(verify::AsBytes(bytes))},
         {"token_str", nullptr}});
  };
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    add(std::string_view(&c, 1));
  }
  for (const std::string& token : tokens) add(token);
  auto vocabulary = verify::ReadTekkenJson(json.dump());
  EXPECT_TRUE(vocabulary) << vocabulary.error().ToString();
  return *vocabulary;
}

TEST(GgufVocabularyTest, TekkenReadsBackTheSame) {
  ExpectSame(Tekken(Joined(150)));
}

TEST(GgufVocabularyTest, EveryPairOfTekkenIsAMerge) {
  const auto read = Reread(Tekken({"ab", "ba", "aba"}));
  ASSERT_TRUE(read) << read.error().ToString();
  // a and b are 20 + their bytes, the three 276 to 278: ab, ba, then aba as
  // a + ba and ab + a.
  const uint32_t a = 20 + 'a';
  const uint32_t b = 20 + 'b';
  EXPECT_EQ(read->merges, (std::vector<std::pair<uint32_t, uint32_t>>{
                              {a, b}, {b, a}, {a, 277}, {276, a}}));
  EXPECT_TRUE(read->ranks_by_token);
  EXPECT_EQ(read->tokens[0].text, "<unk>");
  EXPECT_EQ(read->tokens[279].text, "[PAD279]");
}

// A tokenizer.json of bytes with the merges of `tokens` in any order.
Json ByteLevel(const std::vector<std::string>& tokens,
               std::string_view pattern) {
  Json json;
  Json& model = json["model"];
  model["type"] = "BPE";
  std::vector<std::string> known;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    model["vocab"][LettersOfBytes(text)] = byte;
    known.push_back(text);
  }
  model["merges"] = Json::array();
  size_t id = 256;
  for (const std::string& token : tokens) {
    model["vocab"][LettersOfBytes(token)] = id++;
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto has = [&](const std::string& part) {
        return std::find(known.begin(), known.end(), part) != known.end();
      };
      const std::string left = token.substr(0, cut);
      const std::string right = token.substr(cut);
      if (!has(left) || !has(right)) continue;
      model["merges"].push_back(
          StrCat(LettersOfBytes(left), " ", LettersOfBytes(right)));
    }
    known.push_back(token);
  }
  json["added_tokens"] = {
      {{"id", id}, {"content", "<s>"}, {"special", true}},
      {{"id", id + 1}, {"content", "-1-"}, {"special", false}}};
  if (pattern.empty()) {
    json["pre_tokenizer"] = {{"type", "ByteLevel"},
                             {"add_prefix_space", false}};
  } else {
    json["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers",
                              {{{"type", "Split"},
                                {"pattern", {{"Regex", pattern}}},
                                {"behavior", "Isolated"},
                                {"invert", false}},
                               {{"type", "ByteLevel"},
                                {"add_prefix_space", false},
                                {"use_regex", false}}}}};
  }
  json["decoder"] = {{"type", "ByteLevel"}};
  return json;
}

TokenVocabulary Read(const Json& json) {
  auto vocabulary = verify::ReadTokenizerJson(json.dump());
  EXPECT_TRUE(vocabulary) << vocabulary.error().ToString();
  return *vocabulary;
}

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)"
    R"(\s+(?!\S)|\s+)";

TEST(GgufVocabularyTest, TokenizerJsonOfBytesReadsBackTheSame) {
  ExpectSame(Read(ByteLevel(Joined(150), "")));
  Json prefixed = ByteLevel(Joined(150), "");
  prefixed["pre_tokenizer"]["add_prefix_space"] = true;
  ExpectSame(Read(prefixed));
  Json llama = ByteLevel(Joined(150), kLlama3);
  llama["model"]["ignore_merges"] = true;
  ExpectSame(Read(llama));
  // Normal form C, as Qwen's and OLMoE's have it: a key of our own.
  Json composed = ByteLevel(Joined(150), "");
  composed["normalizer"] = {{"type", "NFC"}};
  const TokenVocabulary vocabulary = Read(composed);
  ASSERT_TRUE(vocabulary.rules.nfc);
  ExpectSame(vocabulary);
  EXPECT_TRUE(Reread(vocabulary)->rules.nfc);
  EXPECT_FALSE(Reread(Read(llama))->rules.nfc);
}

TEST(GgufVocabularyTest, FilesAreMadeOfTheMetadata) {
  ExpectSameInFiles(Tekken(Joined(150)), "tekken.json");
  ExpectSameInFiles(Read(ByteLevel(Joined(150), "")), "tokenizer.json");
  Json prefixed = ByteLevel(Joined(150), "");
  prefixed["pre_tokenizer"]["add_prefix_space"] = true;
  ExpectSameInFiles(Read(prefixed), "tokenizer.json");
  Json llama = ByteLevel(Joined(150), kLlama3);
  llama["model"]["ignore_merges"] = true;
  ExpectSameInFiles(Read(llama), "tokenizer.json");
}

// What tokenizer.json does not say stands in the file beside it.
TEST(GgufVocabularyTest, FilesNameTheEnds) {
  auto vocabulary = Read(ByteLevel({"ab"}, ""));
  vocabulary.begin_id = vocabulary.end_id = vocabulary.tokens[257].id;
  vocabulary.adds_begin = true;
  const auto files = FilesOfVocabulary(vocabulary);
  ASSERT_TRUE(files) << files.error().ToString();
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ(files->at(1).name, "tokenizer_config.json");
  const Json config = Json::parse(files->at(1).content);
  EXPECT_EQ(config["bos_token"], "<s>");
  EXPECT_EQ(config["eos_token"], "<s>");
  EXPECT_EQ(config["add_bos_token"], true);
  const auto read = verify::ReadTokenizerJson(files->front().content);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->adds_begin);
  EXPECT_EQ(read->begin_id, vocabulary.begin_id);

  TokenVocabulary uncut = vocabulary;
  uncut.pattern = verify::SplitPattern::kNone;
  ExpectError(FilesOfVocabulary(uncut), ErrorCode::kUnsupported, "cuts texts",
              "E-TOKENIZER");
  TokenVocabulary mixed = *Reread(Tekken({"ab"}), 277);
  ASSERT_TRUE(FilesOfVocabulary(mixed));
  mixed.tokens[100].is_added = true;
  ExpectError(FilesOfVocabulary(mixed), ErrorCode::kUnsupported, "tekken.json",
              "E-TOKENIZER");
}

TEST(GgufVocabularyTest, RefusesWhatGgufCannotSay) {
  const auto refused = [](const TokenVocabulary& vocabulary,
                          std::string_view part) {
    ExpectError(Reread(vocabulary), ErrorCode::kUnsupported, part,
                "E-TOKENIZER");
  };
  const TokenVocabulary good = Read(ByteLevel({"ab"}, ""));
  ASSERT_TRUE(Reread(good));
  TokenVocabulary bad = good;
  bad.rules.prefix = verify::TextRules::Prefix::kAlways;
  refused(bad, "spaces");
  bad = good;
  bad.rules.unsupported = "normalizer NFD";
  refused(bad, "normalizer NFD");
  bad = good;
  bad.ignore_merges = true;
  refused(bad, "gpt2");
  bad = good;
  bad.is_byte_level = false;
  refused(bad, "texts and not bytes");
  bad = good;
  bad.tokens.back().is_picky = true;
  refused(bad, "takes blanks");
  // A special token that is spelled like the bytes of another.
  refused(Tekken({"<s>"}), "that of two tokens");
  ExpectError(Reread(good, good.max_id()), ErrorCode::kCorrupt, "rows of",
              "E-TOKENIZER");
  ASSERT_TRUE(Reread(good, good.max_id() + 1));
}

TEST(GgufVocabularyTest, LettersStandForBytes) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    EXPECT_EQ(BytesOfLetters(LettersOfBytes(one)), one);
  }
  EXPECT_EQ(LettersOfBytes(" the\n"), "\xc4\xa0the\xc4\x8a");  // "ĠtheĊ"
}

}  // namespace
}  // namespace inference
