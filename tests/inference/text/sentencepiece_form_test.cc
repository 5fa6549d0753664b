// SPDX-License-Identifier: Apache-2.0
// Mistral's v1 as a tokenizer.json, and that as a SentencePiece model again:
// the published model is the reference.
#include "inference/text/sentencepiece_form.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/text/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/sentencepiece_json.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_random.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using tests::ExpectError;
using verify::ErrorCode;
using verify::Json;
using verify::TokenizerModel;
using verify::TokenVocabulary;

TokenizerModel MistralV1() {
  auto model =
      verify::ReadTokenizerModel(verify::AsBytes(tests::ReadFile(verify::StrCat(
          LODESTONE_SOURCE_DIR, "/tests/golden/tokenizers/mistral-v1.model"))));
  EXPECT_TRUE(model);
  return std::move(model).value();
}

TokenVocabulary Read(const Json& json) {
  auto vocabulary = verify::ReadTokenizerJson(json.dump());
  EXPECT_TRUE(vocabulary) << vocabulary.error().ToString();
  vocabulary->begin_id = 1;
  vocabulary->end_id = 2;
  vocabulary->adds_begin = true;
  return std::move(vocabulary).value();
}

TEST(SentencePieceFormTest, GivesTheModelBack) {
  const TokenizerModel original = MistralV1();
  Json json = tests::FromSentencePiece(original);
  tests::AddMistralRules(json);
  const auto model = SentencePieceFormOf(Read(json));
  ASSERT_TRUE(model) << model.error().ToString();
  ASSERT_EQ(model->pieces.size(), original.pieces.size());
  for (size_t id = 0; id < original.pieces.size(); ++id) {
    EXPECT_EQ(model->pieces[id].text, original.pieces[id].text);
    EXPECT_EQ(model->pieces[id].type, original.pieces[id].type) << id;
  }
  EXPECT_EQ(model->byte_fallback, original.byte_fallback);
  EXPECT_EQ(model->add_dummy_prefix, original.add_dummy_prefix);
  EXPECT_EQ(model->remove_extra_whitespaces, original.remove_extra_whitespaces);
  EXPECT_EQ(model->unk_id, original.unk_id);
  EXPECT_EQ(model->bos_id, original.bos_id);
  EXPECT_EQ(model->eos_id, original.eos_id);

  const auto expected = Tokenizer::Create(original);
  const auto made = Tokenizer::Create(*model);
  ASSERT_TRUE(expected && made);
  tests::TestRandom random(3);
  constexpr std::string_view kCommon =
      "etaoin shrdlu  \n\t.,;(){}=-_/0123456789ETAOIN\xc3\xa9";
  for (size_t i = 0; i < 3000; ++i) {
    std::string text;
    for (size_t k = 0; k <= i % 60; ++k) {
      text.push_back(random.NextU32() % 30 == 0
                         ? static_cast<char>(random.NextU32() % 256)
                         : kCommon[random.NextU32() % kCommon.size()]);
    }
    ASSERT_EQ(made->Encode(text), expected->Encode(text))
        << verify::EscapeForTerminal(text);
  }
}

TEST(SentencePieceFormTest, RefusesWhatNoModelDoes) {
  // <unk> <s> </s>, the bytes, then a, b, the mark and what they make.
  Json good;
  const auto add = [&good](const std::string& text) {
    const size_t id = good["model"]["vocab"].size();
    good["model"]["vocab"][text] = id;
  };
  for (const char* const text : {"<unk>", "<s>", "</s>"}) {
    good["added_tokens"].push_back({{"id", good["model"]["vocab"].size()},
                                    {"content", text},
                                    {"special", true}});
    add(text);
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    add(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">");
  }
  for (const char* const text : {"a", "b", "\xe2\x96\x81", "ab", "aba"}) {
    add(text);
  }
  good["model"]["merges"] = {"a b", "ab a"};
  good["model"]["type"] = "BPE";
  good["model"]["byte_fallback"] = true;
  good["model"]["unk_token"] = "<unk>";
  tests::AddMistralRules(good);
  const auto model = SentencePieceFormOf(Read(good));
  ASSERT_TRUE(model) << model.error().ToString();
  // Of the two that are made, the earlier is better than the later.
  EXPECT_GT(model->pieces[262].score, model->pieces[263].score);
  EXPECT_GT(model->pieces[263].score, model->pieces[259].score);

  const auto refused = [](const TokenVocabulary& vocabulary,
                          std::string_view part) {
    ExpectError(SentencePieceFormOf(vocabulary), ErrorCode::kUnsupported, part,
                "E-TOKENIZER");
  };
  Json bad = good;
  bad["model"]["vocab"]["bb"] = 264;
  refused(Read(bad), "\"bb\" is no merge of \"b\" and \"b\"");
  bad = good;
  bad["model"]["vocab"]["ac"] = 264;
  refused(Read(bad), "a character of \"ac\" is no token");
  bad = good;
  bad["model"]["vocab"]["d"] = 265;
  refused(Read(bad), "no token has the id 264");
  bad = good;
  bad["added_tokens"].push_back(
      {{"id", 264}, {"content", "<tool>"}, {"special", false}});
  refused(Read(bad), "the added token \"<tool>\"");
  bad = good;
  bad["model"]["byte_fallback"] = false;
  refused(Read(bad), "no bytes");
  bad = good;
  bad.erase("normalizer");
  refused(Read(bad), "prepared in another way");
  TokenVocabulary endless = Read(good);
  endless.end_id.reset();
  refused(endless, "ends a text");
}

}  // namespace
}  // namespace inference
