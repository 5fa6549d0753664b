// SPDX-License-Identifier: Apache-2.0
// Expected ids of the Mistral vocabularies: spm_encode 0.1.97.
#include "inference/text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "inference/text/stream_decoder.h"
#include "tests/support/temp_dir.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::PieceType;
using verify::StrCat;
using verify::TokenizerModel;
using verify::TokenizerPiece;
using Ids = std::vector<TokenId>;

std::string Golden(std::string_view name) {
  return tests::ReadFile(
      StrCat(LODESTONE_SOURCE_DIR, "/tests/golden/tokenizers/", name));
}

Tokenizer Load(const std::string& bytes) {
  auto model = verify::ReadTokenizerModel(verify::AsBytes(bytes));
  EXPECT_TRUE(model) << model.error().ToString();
  auto tokenizer = Tokenizer::Create(*model);
  EXPECT_TRUE(tokenizer) << tokenizer.error().ToString();
  return std::move(tokenizer).value();
}

const Tokenizer& V1() {
  static const Tokenizer tokenizer = Load(Golden("mistral-v1.model"));
  return tokenizer;
}
const Tokenizer& V3() {
  static const Tokenizer tokenizer = Load(Golden("mistral-v3.model"));
  return tokenizer;
}

std::string StreamAll(const Tokenizer& tokenizer, const Ids& ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const TokenId id : ids) {
    const std::string part = decoder.Next(id);
    EXPECT_TRUE(verify::IsValidUtf8(part));
    text += part;
  }
  return text + decoder.Finish();
}

// <unk> <s> </s>, then pieces of the test's own.
TokenizerModel Small(std::vector<TokenizerPiece> more) {
  TokenizerModel model;
  model.remove_extra_whitespaces = false;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown},
                  {"<s>", 0, PieceType::kControl},
                  {"</s>", 0, PieceType::kControl}};
  for (TokenizerPiece& piece : more) model.pieces.push_back(std::move(piece));
  return model;
}

TEST(TokenizerTest, EncodesWithMistralV1AsTheReferenceDoes) {
  const std::vector<std::pair<std::string, Ids>> cases = {
      {"", {}},
      {"hello", {6312, 28709}},
      {" hello", {28705, 6312, 28709}},
      {"  hello", {259, 6312, 28709}},
      {" ", {259}},
      {"12345", {28705, 28740, 28750, 28770, 28781, 28782}},
      {"\n", {28705, 13}},
      {"\xf0\x9f\x99\x82", {28705, 29340}},
      {"\xf0\x93\x80\x80", {28705, 243, 150, 131, 131}},
      {"\tif x:\t\treturn", {28705, 12, 335, 1318, 28747, 12, 12, 807}},
      {"<s>", {523, 28713, 28767}},
      {"a b", {264, 287}},
      {"a  b", {264, 28705, 287}},
      {"a   b", {264, 259, 287}},
      {"a    b", {264, 2287, 287}},
      {"a     b", {264, 260, 287}},
      {StrCat("a", std::string(8, ' '), "b"), {264, 5390, 287}},
      {StrCat("a", std::string(9, ' '), "b"), {264, 273, 287}},
      {StrCat("a", std::string(16, ' '), "b"), {264, 1417, 28705, 287}},
      {StrCat("a", std::string(17, ' '), "b"), {264, 359, 287}},
      {StrCat("a", std::string(20, ' '), "b"), {264, 359, 2287, 287}},
      {StrCat("a", std::string(33, ' '), "b"), {264, 359, 359, 287}},
  };
  for (const auto& [text, ids] : cases) {
    EXPECT_EQ(V1().Encode(text), ids) << "\"" << text << "\"";
    EXPECT_EQ(V1().Decode(ids), text);
    EXPECT_EQ(StreamAll(V1(), ids), text);
  }
}

TEST(TokenizerTest, EncodesWithMistralV3AsTheReferenceDoes) {
  EXPECT_EQ(V3().Encode("[INST]"), (Ids{1501, 17057, 29561}));
  EXPECT_EQ(V3().Encode("a"), (Ids{1032}));
  EXPECT_EQ(V3().Encode("\n"), (Ids{29473, 781}));
  // Normal pieces stand 768 later than in v1.
  EXPECT_EQ(V3().Encode("hello"), (Ids{6312 + 768, 28709 + 768}));
}

TEST(TokenizerTest, EncodesAndDecodesTheDemoModelsPrompts) {
  const Tokenizer demo = Load(tests::ReadFile(
      StrCat(LODESTONE_SOURCE_DIR, "/magnets/demo/tokenizer.model")));
  const auto cases = verify::ParseJson(Golden("demo_prompts.json"));
  ASSERT_TRUE(cases);
  ASSERT_EQ(cases->size(), 13u);
  for (const auto& c : *cases) {
    const auto prompt = c.at("prompt").get<std::string>();
    auto ids = c.at("ids").get<Ids>();
    EXPECT_EQ(ids.front(), demo.bos_id());
    EXPECT_EQ(demo.Decode(ids), prompt);
    ids.erase(ids.begin());
    EXPECT_EQ(demo.Encode(prompt), ids) << prompt;
    EXPECT_EQ(demo.Decode(c.at("greedy").get<Ids>()),
              c.at("text").get<std::string>());
  }
}

TEST(TokenizerTest, KnowsItsSpecialPieces) {
  EXPECT_EQ(V1().vocab_size(), 32000u);
  EXPECT_EQ(V1().bos_id(), 1);
  EXPECT_EQ(V1().eos_id(), 2);
  EXPECT_TRUE(V1().IsControl(1));
  EXPECT_FALSE(V1().IsControl(0));
  EXPECT_FALSE(V1().IsControl(3));
  EXPECT_TRUE(V1().IsByte(3));
  EXPECT_FALSE(V1().IsByte(259));
  EXPECT_TRUE(V3().IsControl(3));
  for (const TokenId outside : {-1, 32000, 2147483647}) {
    EXPECT_FALSE(V1().IsControl(outside));
    EXPECT_FALSE(V1().IsByte(outside));
    EXPECT_EQ(V1().PieceBytes(outside), "");
  }
  EXPECT_EQ(V1().PieceBytes(1), "");
  EXPECT_EQ(V1().PieceBytes(13), "\n");  // <0x0A>
  EXPECT_EQ(V1().PieceBytes(28705), " ");
  EXPECT_EQ(V1().PieceBytes(264), " a");
}

TEST(TokenizerTest, ReplacesInvalidUtf8ByteByByte) {
  const Ids one = V1().Encode("a\xef\xbf\xbd");
  EXPECT_EQ(V1().Encode("a\xff"), one);
  const Ids two = V1().Encode(
      "a\xef\xbf\xbd\xef\xbf\xbd"
      "b");
  EXPECT_EQ(V1().Encode("a\xe2\x82"
                        "b"),
            two);
  EXPECT_EQ(V1().Encode("a\xc0\x80"
                        "b"),
            two);
  // A surrogate half is three bytes that are no character.
  EXPECT_EQ(V1().Encode("\xed\xa0\x80"),
            V1().Encode("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"));
  EXPECT_EQ(V1().Decode(V1().Encode(std::string("a\0b", 3))),
            std::string("a\0b", 3));
}

TEST(TokenizerTest, DecodesByteRunsAndOddIds) {
  // <0xXX> is id 3 + XX in v1.
  const auto byte = [](int value) { return static_cast<TokenId>(3 + value); };
  EXPECT_EQ(V1().Decode(Ids{byte(0xe2), byte(0x82), byte(0xac)}),
            "\xe2\x82\xac");
  // An unfinished character: one U+FFFD for each byte.
  EXPECT_EQ(V1().Decode(Ids{byte(0xe2), byte(0x82)}),
            "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(V1().Decode(Ids{byte(0xe2), byte(0x82), 264}),
            "\xef\xbf\xbd\xef\xbf\xbd a");
  EXPECT_EQ(V1().Decode(Ids{byte(0xff), byte(0x41)}),
            "\xef\xbf\xbd"
            "A");
  EXPECT_EQ(V1().Decode(Ids{byte(0xf4), byte(0x90), byte(0x80), byte(0x80)}),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  // Control pieces vanish, ids outside are skipped, <unk> is " ⁇ ".
  EXPECT_EQ(V1().Decode(Ids{1, 264, 2, -7, 99999, 287}), "a b");
  EXPECT_EQ(V1().Decode(Ids{0}), " \xe2\x81\x87 ");
  // One leading space only: that of "▁", not that of a byte.
  EXPECT_EQ(V1().Decode(Ids{28705, 264}), " a");
  EXPECT_EQ(V1().Decode(Ids{259}), " ");
  EXPECT_EQ(V1().Decode(Ids{byte(0x20), 264}), "  a");
  EXPECT_EQ(V1().Decode(Ids{}), "");
}

TEST(TokenizerTest, StreamsWholeCharactersAndAgreesWithDecode) {
  StreamDecoder decoder(V1());
  EXPECT_EQ(decoder.Next(264), "a");
  EXPECT_EQ(decoder.Next(3 + 0xf0), "");
  EXPECT_EQ(decoder.Next(3 + 0x93), "");
  EXPECT_EQ(decoder.Next(3 + 0x80), "");
  EXPECT_EQ(decoder.Next(3 + 0x80), "\xf0\x93\x80\x80");
  EXPECT_EQ(decoder.Next(3 + 0xe2), "");
  EXPECT_EQ(decoder.Next(264), "\xef\xbf\xbd a");
  EXPECT_EQ(decoder.Next(3 + 0xe2), "");
  EXPECT_EQ(decoder.Finish(), "\xef\xbf\xbd");
  EXPECT_EQ(decoder.Finish(), "");

  // Byte pieces, controls and pieces with spaces in arbitrary order.
  uint32_t state = 12345;
  for (int round = 0; round < 200; ++round) {
    Ids ids;
    for (int i = 0; i < 40; ++i) {
      state = state * 1664525u + 1013904223u;
      const uint32_t kind = (state >> 8) % 4;
      const uint32_t value = state >> 16;
      ids.push_back(static_cast<TokenId>(kind < 2    ? value % 320
                                         : kind == 2 ? 131 + value % 128
                                                     : value % 32100));
    }
    ASSERT_EQ(StreamAll(V1(), ids), V1().Decode(ids));
  }
}

// The same text whole and in parts: texts over 256 KiB are split where no
// piece of the vocabulary can stand.
TEST(TokenizerTest, EncodesLongTextsInParts) {
  const std::string unit =
      "The quick brown fox  jumps over\n\tthe lazy dog; 12345 "
      "\xc3\xa9t\xc3\xa9 "
      "\xe4\xb8\xad\xe6\x96\x87.";
  std::string text;
  while (text.size() < (300u << 10)) text += unit;
  const Ids ids = V1().Encode(text);
  EXPECT_EQ(V1().Decode(ids), text);
  // The ids repeat with the text, so a wrong cut would show as a difference.
  const Ids first = V1().Encode(unit + unit);
  const Ids longer = V1().Encode(unit + unit + unit);
  const size_t period = longer.size() - first.size();
  const size_t count = text.size() / unit.size();
  ASSERT_EQ(ids.size(), first.size() + (count - 2) * period);
  ASSERT_TRUE(std::equal(longer.begin(), longer.end(), ids.begin()));
  for (size_t i = longer.size(); i < ids.size(); ++i) {
    ASSERT_EQ(ids[i], ids[i - period]) << i;
  }
}

TEST(TokenizerTest, LeavesNoDummyPrefixWhereTheModelHasNone) {
  TokenizerModel model = Small({{"\xe2\x96\x81", -1, PieceType::kNormal},
                                {"a", -2, PieceType::kNormal},
                                {"\xe2\x96\x81"
                                 "a",
                                 -1, PieceType::kNormal}});
  auto with = Tokenizer::Create(model);
  ASSERT_TRUE(with);
  EXPECT_EQ(with->Encode("a a"), (Ids{5, 5}));
  EXPECT_EQ(with->Decode(Ids{5, 5}), "a a");
  model.add_dummy_prefix = false;
  auto without = Tokenizer::Create(model);
  ASSERT_TRUE(without);
  EXPECT_EQ(without->Encode("a a"), (Ids{4, 5}));
  EXPECT_EQ(without->Decode(Ids{5, 5}), " a a");
  // Removing extra spaces: " a  a " is "a a".
  model.add_dummy_prefix = true;
  model.remove_extra_whitespaces = true;
  auto removing = Tokenizer::Create(model);
  ASSERT_TRUE(removing);
  EXPECT_EQ(removing->Encode("  a  a "), (Ids{5, 5}));
  EXPECT_EQ(removing->Decode(Ids{3, 3, 5}), "a");
  EXPECT_EQ(removing->Encode("   "), (Ids{}));
}

TEST(TokenizerTest, UnigramTakesTheBestPath) {
  TokenizerModel model = Small({{"a", -3, PieceType::kNormal},
                                {"b", -3, PieceType::kNormal},
                                {"ab", -4, PieceType::kNormal},
                                {"\xe2\x96\x81", -1, PieceType::kNormal}});
  model.algorithm = TokenizerModel::Algorithm::kUnigram;
  auto tokenizer = Tokenizer::Create(model);
  ASSERT_TRUE(tokenizer) << tokenizer.error().ToString();
  // "ab" costs 4, "a" "b" 6.
  EXPECT_EQ(tokenizer->Encode("abb"), (Ids{6, 5, 4}));
}

TEST(TokenizerTest, RefusesWhatTheLibraryCannotTakeSafely) {
  const auto refused = [](const TokenizerModel& model, ErrorCode code) {
    const auto tokenizer = Tokenizer::Create(model);
    ASSERT_FALSE(tokenizer);
    EXPECT_EQ(tokenizer.error().code, code) << tokenizer.error().message;
    EXPECT_EQ(tokenizer.error().id, "E-TOKENIZER");
  };
  TokenizerModel model = Small({});
  model.algorithm = TokenizerModel::Algorithm::kWord;
  refused(model, ErrorCode::kUnsupported);

  model = Small({});
  model.precompiled_charsmap = std::string(64, '\xff');
  refused(model, ErrorCode::kUnsupported);

  refused(Small({{"\n", 0, PieceType::kControl}}), ErrorCode::kUnsupported);
  refused(Small({{"\xe4\xb8\xad", 0, PieceType::kControl}}),
          ErrorCode::kUnsupported);

  refused(Small({{std::string(1025, 'x'), 0, PieceType::kUnused}}),
          ErrorCode::kLimit);
  refused(Small({{std::string(1025, 'x'), 0, PieceType::kUserDefined}}),
          ErrorCode::kLimit);
  EXPECT_TRUE(Tokenizer::Create(
      Small({{std::string(1025, 'x'), 0, PieceType::kNormal}})));

  // Each a prefix of the next.
  std::vector<TokenizerPiece> nested;
  for (size_t size = 2; size < 51; ++size) {
    nested.push_back({std::string(size, 'x'), 0, PieceType::kUserDefined});
  }
  refused(Small(nested), ErrorCode::kLimit);
  nested.pop_back();
  auto tokenizer = Tokenizer::Create(Small(nested));
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->Encode(std::string(100, 'x')).size(), 4u);

  // A unigram model without any piece that text can match.
  model = Small({});
  model.algorithm = TokenizerModel::Algorithm::kUnigram;
  refused(model, ErrorCode::kCorrupt);
}

// 400 texts that all fall into one bucket of the table that they grow.
TEST(TokenizerTest, RefusesTextsBuiltToCollide) {
  std::unordered_set<std::string> table;
  for (int i = 0; i < 400; ++i) table.insert(std::to_string(i));
  const size_t buckets = table.bucket_count();
  std::vector<TokenizerPiece> pieces;
  for (int i = 0; pieces.size() < 400; ++i) {
    std::string text = StrCat("p", i);
    if (std::hash<std::string>()(text) % buckets != 0) continue;
    pieces.push_back({std::move(text), 0, PieceType::kNormal});
  }
  const auto tokenizer = Tokenizer::Create(Small(std::move(pieces)));
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::kLimit);
}

// An unused piece is never produced: it falls apart into what it was made of.
TEST(TokenizerTest, SplitsUnusedPieces) {
  auto tokenizer =
      Tokenizer::Create(Small({{"\xe2\x96\x81", -1, PieceType::kNormal},
                               {"a", -1, PieceType::kNormal},
                               {"aa", -2, PieceType::kUnused},
                               {"aaaa", -1, PieceType::kNormal}}));
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->Encode("aa"), (Ids{3, 4, 4}));
  EXPECT_EQ(tokenizer->Encode("aaaa"), (Ids{3, 6}));
}

}  // namespace
}  // namespace inference
