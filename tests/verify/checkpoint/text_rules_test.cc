// SPDX-License-Identifier: Apache-2.0
// Components as published tokenizer.json files have them.
#include "verify/checkpoint/text_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "verify/checkpoint/tokenizer_json.h"

namespace verify {
namespace {

using Prefix = TextRules::Prefix;

TokenVocabulary Rules(std::string_view json) {
  TokenVocabulary vocabulary;
  const auto begin = ReadTextRules(Json::parse(json), vocabulary);
  EXPECT_TRUE(begin) << begin.error().ToString();
  return vocabulary;
}

TEST(TextRulesTest, ReadsThoseDerivedFromSentencePiece) {
  const auto older = Rules(R"({
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "pre_tokenizer": null,
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"},
      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}})");
  EXPECT_EQ(older.rules.prefix, Prefix::kAlways);
  EXPECT_TRUE(older.rules.marks_spaces);
  EXPECT_FALSE(older.rules.cuts_at_marks);
  EXPECT_FALSE(older.rules.prefix_once);
  EXPECT_TRUE(older.rules.drops_first_space);
  EXPECT_EQ(older.rules.unsupported, "");

  const auto newer = Rules(R"({
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
                      "prepend_scheme": "first", "split": false}})");
  EXPECT_EQ(newer.rules.prefix, Prefix::kUnlessThere);
  EXPECT_TRUE(newer.rules.prefix_once);
  EXPECT_TRUE(newer.rules.marks_spaces);
  EXPECT_FALSE(newer.rules.cuts_at_marks);

  // Before there were schemes.
  const auto oldest = Rules(R"({
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
                      "add_prefix_space": false}})");
  EXPECT_EQ(oldest.rules.prefix, Prefix::kNone);
  EXPECT_TRUE(oldest.rules.cuts_at_marks);
}

TEST(TextRulesTest, ReadsThoseOfBytes) {
  const auto gpt2 = Rules(R"({
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,
                      "trim_offsets": true, "use_regex": true},
    "decoder": {"type": "ByteLevel"}})");
  EXPECT_TRUE(gpt2.is_byte_level);
  EXPECT_EQ(gpt2.pattern, SplitPattern::kGpt2);
  EXPECT_EQ(gpt2.rules.prefix, Prefix::kNone);
  EXPECT_EQ(gpt2.rules.unsupported, "");
  EXPECT_EQ(Rules(R"({"pre_tokenizer": {"type": "ByteLevel"}})").rules.prefix,
            Prefix::kUnlessThere);
}

TEST(TextRulesTest, ReturnsWhatBeginsAPrompt) {
  TokenVocabulary vocabulary;
  const auto begin = ReadTextRules(Json::parse(R"({
    "post_processor": {"type": "Sequence", "processors": [
      {"type": "ByteLevel"},
      {"type": "TemplateProcessing",
       "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}},
                  {"Sequence": {"id": "A", "type_id": 0}}]}]}})"),
                                   vocabulary);
  ASSERT_TRUE(begin);
  EXPECT_EQ(*begin, "<|begin|>");
}

TEST(TextRulesTest, NamesWhatItCannotExpress) {
  const auto unsupported = [](std::string_view json) {
    return Rules(json).rules.unsupported;
  };
  EXPECT_EQ(unsupported(R"({"normalizer": {"type": "NFD"}})"),
            "normalizer NFD");
  EXPECT_EQ(unsupported(R"({"normalizer": {"type": "NFC"}})"), "");
  EXPECT_TRUE(Rules(R"({"normalizer": {"type": "NFC"}})").rules.nfc);
  EXPECT_EQ(unsupported(R"({"normalizer": {"type": "Replace",
              "pattern": {"String": "  "}, "content": "▁"}})"),
            "normalizer Replace");
  EXPECT_EQ(unsupported(R"({"pre_tokenizer": {"type": "Metaspace",
              "replacement": "_"}})"),
            "pre-tokenizer Metaspace");
  EXPECT_EQ(unsupported(R"({"pre_tokenizer": {"type": "Split",
              "pattern": {"String": " "}, "behavior": "Isolated"}})"),
            "pre-tokenizer Split");
  EXPECT_EQ(unsupported(R"({"pre_tokenizer": {"type": "WhitespaceSplit"}})"),
            "pre-tokenizer WhitespaceSplit");
  // Only the first is named.
  EXPECT_EQ(unsupported(R"({"normalizer": {"type": "Lowercase"},
                            "pre_tokenizer": {"type": "Digits"}})"),
            "normalizer Lowercase");
}

}  // namespace
}  // namespace verify
