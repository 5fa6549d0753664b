// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/tokenizer_json.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/expect_error.h"
#include "verify/base/base64.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;

constexpr std::string_view kId = "E-TOKENIZER";

// Five letters, two merges, one added token that repeats one and one that does
// not.
Json Small() {
  return Json::parse(R"({
    "version": "1.0", "truncation": null,
    "added_tokens": [
      {"id": 0, "content": "<unk>", "special": true},
      {"id": 8, "content": "<tool>", "special": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "Metaspace", "replacement": "_"},
    "post_processor": null,
    "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"},
                                                 {"type": "Fuse"}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true,
      "vocab": {"<unk>": 0, "t": 1, "h": 2, "e": 3, "a": 4, "\u00e9": 5,
                "th": 6, "the": 7},
      "merges": ["t h", ["th", "e"]]}})");
}

Result<TokenVocabulary> Read(const Json& json) {
  return ReadTokenizerJson(json.dump());
}

void ExpectCorrupt(const Json& json, std::string_view part) {
  ExpectError(Read(json), ErrorCode::kCorrupt, part, kId);
}

TEST(TokenizerJsonTest, ReadsTokensMergesAndFlags) {
  const auto read = Read(Small());
  ASSERT_TRUE(read) << read.error().ToString();
  ASSERT_EQ(read->tokens.size(), 9u);
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(read->tokens[i].id, i);
  EXPECT_EQ(read->tokens[5].text, "\xc3\xa9");
  EXPECT_TRUE(read->tokens[0].is_special);
  EXPECT_TRUE(read->tokens[8].is_added);
  EXPECT_FALSE(read->tokens[8].is_special);
  EXPECT_EQ(read->max_id(), 8u);
  const std::vector<std::pair<uint32_t, uint32_t>> merges = {{1, 2}, {6, 3}};
  EXPECT_EQ(read->merges, merges);
  EXPECT_EQ(read->unknown_id, 0u);
  EXPECT_TRUE(read->byte_fallback);
  EXPECT_FALSE(read->is_byte_level);
  EXPECT_EQ(read->pattern, SplitPattern::kNone);
}

TEST(TokenizerJsonTest, KnowsPatternsOfPublishedModels) {
  // As in the tokenizer.json of Llama 3 and of Qwen2.
  const std::string llama =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
      R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  std::string qwen = llama;
  qwen.replace(qwen.find("{1,3}"), 5, "");
  Json json = Small();
  const auto pattern = [&](const std::string& text) {
    json["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"Regex", text}}}},
          {{"type", "ByteLevel"}, {"use_regex", false}}}}};
    const auto read = Read(json);
    EXPECT_TRUE(read) << read.error().ToString();
    EXPECT_TRUE(!read || read->is_byte_level);
    return read ? read->pattern : SplitPattern::kNone;
  };
  EXPECT_EQ(pattern(llama), SplitPattern::kLlama3);
  EXPECT_EQ(pattern(qwen), SplitPattern::kQwen2);
  json["pre_tokenizer"] = {{"type", "ByteLevel"}};
  EXPECT_EQ(Read(json)->pattern, SplitPattern::kGpt2);
}

TEST(TokenizerJsonTest, C20NeverCompilesAPattern) {
  Json json = Small();
  const auto set = [&](const std::string& pattern) {
    json["pre_tokenizer"] = {{"type", "Split"},
                             {"pattern", {{"Regex", pattern}}}};
  };
  for (const char* bomb : {"(a+)+$", "([a-z]+)*x", "(a{1,1000}){1,1000}",
                           "((a|b)+c?)*d", "(x+x+)+y", "(.*)*x"}) {
    set(bomb);
    ExpectCorrupt(json, "repeats a repetition");
  }
  set(std::string(5000, 'a'));
  ExpectError(Read(json), ErrorCode::kLimit, "at most 4096", kId);
  // A repetition in a class or behind a backslash is none.
  for (const char* unknown : {"([*+])+", "(\\+\\*)+", "(\\p{L})+", "(a|a)*b"}) {
    set(unknown);
    ExpectError(Read(json), ErrorCode::kUnsupported, "none of those known",
                kId);
  }
}

TEST(TokenizerJsonTest, C20BoundsWhatIsCounted) {
  const auto limited = [](const std::string& text, std::string_view part) {
    ExpectError(ReadTokenizerJson(text), ErrorCode::kLimit, part, kId);
  };
  std::string added = R"({"added_tokens":[)";
  for (size_t i = 0; i <= kMaxAddedTokens; ++i) {
    added += StrCat(R"({"id":)", i, R"(,"content":"x)", i, R"("},)");
  }
  limited(added, "added tokens");
  std::string merges = R"({"model":{"merges":[)";
  for (size_t i = 0; i <= kMaxJsonMerges; ++i) merges += R"("a a",)";
  limited(merges, "merges");
  std::string vocabulary = R"({"model":{"vocab":{)";
  for (size_t i = 0; i <= kMaxJsonTokens; ++i) {
    vocabulary += StrCat("\"", i, "\":", i, ",");
  }
  limited(vocabulary, "tokens");
  limited(std::string(kMaxTokenizerJsonBytes + 1, ' '), "bytes");
}

TEST(TokenizerJsonTest, C20BoundsDepth) {
  for (const std::string start :
       {R"({"model":)", R"({"normalizer":[)", R"([)"}) {
    std::string text;
    while (text.size() < 300'000) text += start;
    const auto read = ReadTokenizerJson(text);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::kLimit) << start;
  }
  ExpectError(ReadTokenizerJson(StrCat(R"({"model":{"vocab":{"x":)",
                                       std::string(100'000, '['))),
              ErrorCode::kCorrupt, "id is a list", kId);
}

TEST(TokenizerJsonTest, C20RefusesContradictions) {
  Json json = Small();
  json["model"]["vocab"]["x"] = 7;
  ExpectCorrupt(json, "id 7");
  json = Small();
  json["added_tokens"][1]["id"] = 6;
  ExpectCorrupt(json, "id 6");
  json = Small();
  json["added_tokens"][1]["content"] = "th";
  ExpectCorrupt(json, "has the ids 6 and 8");
  json = Small();
  json["added_tokens"].push_back(json["added_tokens"][1]);
  ExpectCorrupt(json, "id 8");
  json = Small();
  json["model"]["unk_token"] = "<none>";
  ExpectCorrupt(json, "unk_token");
  for (const Json& merge :
       {Json("a e"), Json("zz h"), Json("th"), Json("t  h"), Json(" h"),
        Json({"t"}), Json({"t", "h", "e"}), Json(7), Json::object(),
        Json({1, 2}), Json("t h")}) {
    json = Small();
    json["model"]["merges"].push_back(merge);
    ExpectCorrupt(json, "merge");
  }
  for (const Json& id : {Json(-1), Json(1.5), Json("8"), Json(nullptr),
                         Json(uint64_t{1} << 32), Json::array()}) {
    json = Small();
    json["model"]["vocab"]["x"] = id;
    ExpectCorrupt(json, "id");
  }
}

TEST(TokenizerJsonTest, RefusesWhatStandsTwice) {
  std::string text = Small().dump();
  const std::string_view token = R"("the":7)";
  text.replace(text.find(token), token.size(), R"("\u0074h":7)");
  ExpectError(ReadTokenizerJson(text), ErrorCode::kCorrupt, "has the ids", kId);
  for (const std::string_view twice :
       {R"({"model":{},"model":{}})", R"({"model":{"vocab":{},"vocab":{}}})",
        R"({"added_tokens":[],"added_tokens":[]})",
        R"({"added_tokens":[{"id":1,"id":1}]})"}) {
    ExpectError(ReadTokenizerJson(twice), ErrorCode::kCorrupt, "twice",
                "E-JSON-DUPLICATE");
  }
}

TEST(TokenizerJsonTest, RefusesOtherForms) {
  for (const std::string_view text :
       {"[]", "7", "{}", R"({"model":[]})", R"({"model":{}})",
        R"({"model":{"vocab":{"a":0}}})", R"({"model":{"vocab":[1]}})",
        R"({"model":{"vocab":{"a":0},"merges":{}}})",
        R"({"model":{"vocab":{},"merges":[]}})",
        R"({"model":{"vocab":{"":0},"merges":[]}})",
        R"({"model":{"vocab":{"a":0},"merges":[]},"added_tokens":{}})",
        R"({"model":{"vocab":{"a":0},"merges":[]},"added_tokens":[1]})",
        R"({"model":{"vocab":{"a":0},"merges":[]},"added_tokens":[{}]})",
        R"({"model":{"vocab":{"a":0},"merges":[]},"normalizer":7})",
        R"({"model":{"vocab":{"a":0},"merges":[]},"decoder":{}})"}) {
    ExpectError(ReadTokenizerJson(text), ErrorCode::kCorrupt, "", kId);
  }
  for (const char* type : {"Unigram", "WordPiece", "Evil"}) {
    Json json = Small();
    json["model"]["type"] = type;
    ExpectError(Read(json), ErrorCode::kUnsupported, type, kId);
  }
  Json json = Small();
  json["decoder"] = {{"type", "Evil"}};
  ExpectError(Read(json), ErrorCode::kUnsupported, "Evil", kId);
  json = Small();
  json["model"]["dropout"] = 0.1;
  ExpectError(Read(json), ErrorCode::kUnsupported, "dropout", kId);
}

TEST(TokenizerJsonTest, RefusesEveryTruncation) {
  const std::string text = Small().dump();
  for (size_t size = 0; size < text.size(); ++size) {
    ASSERT_FALSE(ReadTokenizerJson(std::string_view(text).substr(0, size)));
  }
}

// 256 bytes and two more tokens behind three special ones.
Json SmallTekken() {
  Json json;
  json["config"] = {
      {"pattern",
       R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
       R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?)"
       R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)"
       R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
      {"default_vocab_size", 260},
      {"default_num_special_tokens", 3},
      {"version", "v3"}};
  json["special_tokens"] = {{{"rank", 1}, {"token_str", "<s>"}}};
  for (int rank = 0; rank < 258; ++rank) {
    const std::string bytes =
        rank < 256 ? std::string(1, static_cast<char>(rank))
                   : std::string(2, static_cast<char>(rank - 256));
    json["vocab"].push_back({{"rank", rank},
                             {"token_bytes", Base64Encode(AsBytes(bytes))},
                             {"token_str", nullptr}});
  }
  return json;
}

TEST(TekkenJsonTest, ReadsSpecialsAndRanks) {
  const auto read = ReadTekkenJson(SmallTekken().dump());
  ASSERT_TRUE(read) << read.error().ToString();
  // 3 special tokens and the first 257 others; the file has one more.
  ASSERT_EQ(read->tokens.size(), 260u);
  EXPECT_EQ(read->tokens[0].text, "<SPECIAL_0>");
  EXPECT_EQ(read->tokens[1].text, "<s>");
  EXPECT_EQ(read->tokens[3 + 65].text, "A");
  EXPECT_EQ(read->tokens[3 + 65].id, 68u);
  EXPECT_EQ(read->max_id(), 259u);
  EXPECT_EQ(read->pattern, SplitPattern::kTekken);
}

TEST(TekkenJsonTest, C20RefusesWhatContradictsItself) {
  const auto expect = [](const Json& json, std::string_view part) {
    ExpectError(ReadTekkenJson(json.dump()), ErrorCode::kCorrupt, part, kId);
  };
  Json json = SmallTekken();
  json["vocab"][256]["token_bytes"] = json["vocab"][65]["token_bytes"];
  expect(json, "has the ids");
  json = SmallTekken();
  json["vocab"][7]["rank"] = 8;
  expect(json, "has rank 8");
  json = SmallTekken();
  std::swap(json["vocab"][7]["token_bytes"], json["vocab"][8]["token_bytes"]);
  expect(json, "not the byte 7");
  json = SmallTekken();
  json["vocab"][7]["token_bytes"] = "!";
  expect(json, "no base64");
  json = SmallTekken();
  json["special_tokens"].push_back(json["special_tokens"][0]);
  expect(json, "stands twice");
  json = SmallTekken();
  json["special_tokens"][0]["rank"] = 3;
  expect(json, "rank");
  for (const char* key : {"default_vocab_size", "default_num_special_tokens"}) {
    for (const Json& lie : {Json(-1), Json(0), Json(1u << 30), Json("x")}) {
      json = SmallTekken();
      json["config"][key] = lie;
      expect(json, "");
    }
  }
  json = SmallTekken();
  json["config"]["pattern"] = "(a+)+";
  expect(json, "repeats a repetition");
  expect(Json::array(), "needs");
}

}  // namespace
}  // namespace verify
