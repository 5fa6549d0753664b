// SPDX-License-Identifier: Apache-2.0
// Vocabularies small enough to encode by hand; and Mistral's v1, written as a
// tokenizer.json, against SentencePiece.
#include "inference/text/bpe_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/text/byte_letters.h"
#include "inference/text/tokenizer.h"
#include "tests/support/sentencepiece_json.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_random.h"
#include "verify/base/base64.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Json;
using verify::StrCat;
using Ids = std::vector<TokenId>;

// Bytes 33-126, 161-172 and 174-255 stand for themselves; the others, in
// ascending order, for U+0100 and on. All are of one or two bytes in UTF-8.
std::string LetterOf(int byte) {
  int code = byte;
  if (byte < 33) {
    code = 256 + byte;
  } else if (byte >= 127 && byte <= 160) {
    code = 256 + 33 + (byte - 127);
  } else if (byte == 173) {
    code = 256 + 33 + 34;
  }
  if (code < 128) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | code >> 6),
          static_cast<char>(0x80 | (code & 63))};
}

// Ids 0 to 255 are the bytes, then "th" 256, "the" 257, " t" 258, " the" 259,
// "in" 260, "ing" 261; added: "<|end|>" 262 special, "<tool>" 263, "  " 264.
Json ByteLevel() {
  Json json;
  Json& model = json["model"];
  model["type"] = "BPE";
  for (int byte = 0; byte < 256; ++byte) model["vocab"][LetterOf(byte)] = byte;
  const std::string space = LetterOf(' ');
  int id = 256;
  for (const std::string& text :
       {std::string("th"), std::string("the"), StrCat(space, "t"),
        StrCat(space, "the"), std::string("in"), std::string("ing")}) {
    model["vocab"][text] = id++;
  }
  model["merges"] = {"t h", "th e", StrCat(space, " t"), StrCat(space, " the"),
                     "i n", "in g"};
  json["added_tokens"] = {
      {{"id", 262}, {"content", "<|end|>"}, {"special", true}},
      {{"id", 263}, {"content", "<tool>"}, {"special", false}},
      {{"id", 264}, {"content", "  "}, {"special", false}}};
  json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  json["decoder"] = {{"type", "ByteLevel"}};
  return json;
}

Tokenizer Make(const Json& json) {
  const auto vocabulary = verify::ReadTokenizerJson(json.dump());
  EXPECT_TRUE(vocabulary) << vocabulary.error().message;
  auto tokenizer = Tokenizer::Create(*vocabulary);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return std::move(tokenizer).value();
}

void ExpectRefused(const Json& json, ErrorCode code, std::string_view part) {
  const auto vocabulary = verify::ReadTokenizerJson(json.dump());
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  const auto tokenizer = Tokenizer::Create(*vocabulary);
  ASSERT_FALSE(tokenizer) << part;
  EXPECT_EQ(tokenizer.error().code, code);
  EXPECT_EQ(tokenizer.error().id, "E-TOKENIZER");
  EXPECT_NE(tokenizer.error().message.find(part), std::string::npos)
      << tokenizer.error().message;
}

TEST(ByteLettersTest, MapsEveryByte) {
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(BytesOfLetters(LetterOf(byte)),
              std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(BytesOfLetters("\xc4\xa0the"), " the");  // "Ġthe"
  EXPECT_FALSE(BytesOfLetters(" ").has_value());
  EXPECT_FALSE(BytesOfLetters("\xc5\x84").has_value());  // U+0144
}

TEST(BpeEncoderTest, MergesWithinWords) {
  const Tokenizer tokenizer = Make(ByteLevel());
  EXPECT_EQ(tokenizer.Encode("the"), (Ids{257}));
  // " the" is " " and "the": "th" and "the" come before " t".
  EXPECT_EQ(tokenizer.Encode("the the"), (Ids{257, 259}));
  EXPECT_EQ(tokenizer.Encode(" t"), (Ids{258}));
  EXPECT_EQ(tokenizer.Encode("thing"), (Ids{256, 261}));
  EXPECT_EQ(tokenizer.Encode("\xc3\xa9\n"), (Ids{0xc3, 0xa9, '\n'}));
  EXPECT_EQ(tokenizer.Encode(""), (Ids{}));
  EXPECT_EQ(tokenizer.vocab_size(), 265u);
  EXPECT_EQ(tokenizer.PieceBytes(259), " the");
  EXPECT_TRUE(tokenizer.is_byte_level());
  EXPECT_EQ(tokenizer.bos_id(), -1);
  EXPECT_FALSE(tokenizer.adds_bos());
  EXPECT_EQ(tokenizer.EncodePrompt("the"), (Ids{257}));
}

TEST(BpeEncoderTest, SpecialTokensTypedAreText) {
  const Tokenizer tokenizer = Make(ByteLevel());
  const Ids typed = tokenizer.Encode("the<|end|>");
  EXPECT_EQ(typed, (Ids{257, '<', '|', 'e', 'n', 'd', '|', '>'}));
  EXPECT_EQ(tokenizer.Decode(typed), "the<|end|>");
  // A prompt of the program's own may have them; they decode to nothing.
  const Ids marked = tokenizer.EncodeMarked("the<|end|> the");
  EXPECT_EQ(marked, (Ids{257, 262, 259}));
  EXPECT_EQ(tokenizer.Decode(marked), "the the");
  EXPECT_TRUE(tokenizer.IsControl(262));
  EXPECT_EQ(tokenizer.ControlId("<|end|>"), 262);
  EXPECT_FALSE(tokenizer.ControlId("<tool>").has_value());
  // What is no special token is part of the vocabulary.
  EXPECT_EQ(tokenizer.Encode("the<tool>the"), (Ids{257, 263, 257}));
  EXPECT_EQ(tokenizer.Encode("a  b   c"), (Ids{'a', 264, 'b', 264, ' ', 'c'}));
  EXPECT_EQ(tokenizer.Decode(Ids{'a', 264, 'b'}), "a  b");
}

// A special token that the merges would make stays apart.
TEST(BpeEncoderTest, MakesNoSpecialTokenOfText) {
  Json json = ByteLevel();
  json["added_tokens"].push_back(
      {{"id", 257}, {"content", "the"}, {"special", true}});
  EXPECT_EQ(Make(json).Encode("the"), (Ids{256, 'e'}));
}

TEST(BpeEncoderTest, TakesWordsWholeIfToldSo) {
  Json json = ByteLevel();
  json["model"]["vocab"]["xyz"] = 265;
  EXPECT_EQ(Make(json).Encode("xyz"), (Ids{'x', 'y', 'z'}));
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(Make(json).Encode("xyz the"), (Ids{265, 259}));
  EXPECT_EQ(Make(json).Encode("xyzx"), (Ids{'x', 'y', 'z', 'x'}));
}

TEST(BpeEncoderTest, PutsASpaceInFrontUnlessThereIsOne) {
  Json json = ByteLevel();
  json["pre_tokenizer"]["add_prefix_space"] = true;
  const Tokenizer tokenizer = Make(json);
  EXPECT_EQ(tokenizer.Encode("the"), (Ids{259}));
  EXPECT_EQ(tokenizer.Encode(" the"), (Ids{259}));
}

// "e" and an acute are one character of two bytes, as in Qwen 2 and OLMoE.
TEST(BpeEncoderTest, NormalisesFirst) {
  Json json = ByteLevel();
  EXPECT_EQ(Make(json).Encode("e\xcc\x81"), (Ids{'e', 0xcc, 0x81}));
  json["normalizer"] = {{"type", "NFC"}};
  EXPECT_EQ(Make(json).Encode("e\xcc\x81"), (Ids{0xc3, 0xa9}));
}

TEST(BpeEncoderTest, KnowsTheTokenThatBeginsAPrompt) {
  Json json = ByteLevel();
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<|end|>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}}};
  const Tokenizer tokenizer = Make(json);
  EXPECT_EQ(tokenizer.bos_id(), 262);
  EXPECT_EQ(tokenizer.EncodePrompt("the"), (Ids{262, 257}));
}

TEST(BpeEncoderTest, DecodingGivesBackEveryText) {
  const Tokenizer tokenizer = Make(ByteLevel());
  tests::TestRandom random(11);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const size_t size = random.NextU32() % 40;
    for (size_t i = 0; i < size; ++i) {
      switch (random.NextU32() % 4) {
        case 0:
          text += "the ing  <|end|>\xe2\x96\x81";
          break;
        case 1:
          text += "\xf0\x9f\x99\x82";
          break;
        default:
          text.push_back(static_cast<char>(random.NextU32() % 128));
      }
    }
    ASSERT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
  }
  // Bytes that are no character count as U+FFFD, each.
  EXPECT_EQ(tokenizer.Encode("a\xe2\x82"),
            tokenizer.Encode("a\xef\xbf\xbd\xef\xbf\xbd"));
}

TEST(BpeEncoderTest, EncodesAWordOfAMillionLetters) {
  const Tokenizer tokenizer = Make(ByteLevel());
  std::string text;
  while (text.size() < 1000000) text += "thing";
  const Ids ids = tokenizer.Encode(text);
  ASSERT_EQ(ids.size(), 400000u);
  EXPECT_EQ(ids[0], 256);
  EXPECT_EQ(ids[399999], 261);
}

TEST(BpeEncoderTest, RefusesWhatItWouldEncodeOtherwise) {
  Json json = ByteLevel();
  json["normalizer"] = {{"type", "NFD"}};
  ExpectRefused(json, ErrorCode::kUnsupported, "normalizer NFD");

  json = ByteLevel();
  json["model"]["vocab"].erase(LetterOf(200));
  ExpectRefused(json, ErrorCode::kUnsupported, "no token for the byte 200");

  json = ByteLevel();
  json["added_tokens"][1]["lstrip"] = true;
  ExpectRefused(json, ErrorCode::kUnsupported, "<tool>");

  json = ByteLevel();
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Digits"}, {"individual_digits", true}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}}}}};
  ExpectRefused(json, ErrorCode::kUnsupported, "pre-tokenizer Digits");

  json = ByteLevel();
  json["model"]["vocab"]["far"] = (1 << 20) - 1;
  ExpectRefused(json, ErrorCode::kLimit, "1048575");
}

// Tekken: every two tokens that make a token are joined, the least id first.
// Ranks 0 to 255 are the bytes, 256 "ab", 257 "bc", 258 "abc", 259 "xyz".
TEST(BpeEncoderTest, EncodesWithTekken) {
  Json json;
  json["config"] = {
      {"pattern",
       R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
       R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?)"
       R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
       R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
      {"default_vocab_size", 1260},
      {"default_num_special_tokens", 1000}};
  json["vocab"] = Json::array();
  const auto add = [&json](std::string_view bytes) {
    json["vocab"].push_back(
        {{"rank", json["vocab"].size()},
         {"token_bytes", verify::Base64Encode(verify::AsBytes(bytes))}});
  };
  for (int byte = 0; byte < 256; ++byte) {
    add(std::string(1, static_cast<char>(byte)));
  }
  for (const std::string_view text : {"ab", "bc", "abc", "xyz"}) add(text);
  const auto vocabulary = verify::ReadTekkenJson(json.dump());
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  const auto tokenizer = Tokenizer::Create(*vocabulary);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->Encode("abc"), (Ids{1258}));
  // "ab" before "bc", so that what is left is "c".
  EXPECT_EQ(tokenizer->Encode("aabcc"), (Ids{1097, 1258, 1099}));
  // No two tokens make "xyz", but as a word it is taken whole.
  EXPECT_EQ(tokenizer->Encode("xyz"), (Ids{1259}));
  EXPECT_EQ(tokenizer->Encode("xyzx"), (Ids{1120, 1121, 1122, 1120}));
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->EncodePrompt("a"), (Ids{1, 1097}));
  EXPECT_EQ(tokenizer->ControlId("[INST]"), 3);
  EXPECT_EQ(tokenizer->Encode("[INST]").size(), 6u);
  EXPECT_EQ(tokenizer->EncodeMarked("[INST]a[/INST]"), (Ids{3, 1097, 4}));
  EXPECT_EQ(tokenizer->Decode(Ids{1, 3, 1097, 4, 1258, 2}), "aabc");
}

TEST(BpeEncoderTest, AgreesWithSentencePieceOnMistralV1) {
  const auto model =
      verify::ReadTokenizerModel(verify::AsBytes(tests::ReadFile(StrCat(
          LODESTONE_SOURCE_DIR, "/tests/golden/tokenizers/mistral-v1.model"))));
  ASSERT_TRUE(model);
  const auto reference = Tokenizer::Create(*model);
  ASSERT_TRUE(reference);
  Json json = tests::FromSentencePiece(*model);
  Json first = json;
  tests::AddMistralRules(json);
  const Tokenizer tokenizer = Make(json);
  for (const std::string_view text :
       {"", "hello", " hello", " ", "12345", "\n", "\xf0\x9f\x99\x82",
        "\xf0\x93\x80\x80", "\tif x:\t\treturn", "<s>", "</s>[INST] a [/INST]",
        "The quick brown fox jumps over the lazy dog.", "\xff\xfe",
        "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xd0\xbc\xd0\xb8",
        "\xe4\xb8\xad\xe6\x96\x87 na\xc3\xafve \xe2\x96\x81x", "<0x41>"}) {
    const Ids ids = tokenizer.Encode(text);
    EXPECT_EQ(ids, reference->Encode(text)) << text;
    EXPECT_EQ(tokenizer.Decode(ids), reference->Decode(ids)) << text;
  }
  EXPECT_EQ(tokenizer.Encode("hello"), (Ids{6312, 28709}));

  // The newer form: a prefix at the very start only, and unless it is there.
  first["pre_tokenizer"] = {{"type", "Metaspace"},
                            {"replacement", "\xe2\x96\x81"},
                            {"prepend_scheme", "first"},
                            {"split", false}};
  const Tokenizer newer = Make(first);
  EXPECT_EQ(newer.Encode("hello"), (Ids{6312, 28709}));
  EXPECT_EQ(newer.Encode(" hello"), (Ids{6312, 28709}));
  const Ids marked = newer.EncodeMarked("hello</s>hello");
  ASSERT_GE(marked.size(), 4u);
  EXPECT_EQ(marked[0], 6312);
  EXPECT_EQ(marked[2], 2);
  EXPECT_NE(marked[3], 6312);  // no prefix behind </s>
}

}  // namespace
}  // namespace inference
