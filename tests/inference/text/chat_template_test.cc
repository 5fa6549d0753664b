// SPDX-License-Identifier: Apache-2.0
// Expected ids: the conversation samples of mistral-common, and for the demo
// model its golden prompts.
#include "inference/text/chat_template.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/text/byte_letters.h"
#include "tests/support/temp_dir.h"
#include "verify/base/base64.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::StrCat;
using Ids = std::vector<TokenId>;

Tokenizer Load(std::string_view path) {
  const std::string bytes =
      tests::ReadFile(StrCat(LODESTONE_SOURCE_DIR, "/", path));
  auto model = verify::ReadTokenizerModel(verify::AsBytes(bytes));
  EXPECT_TRUE(model);
  auto tokenizer = Tokenizer::Create(*model);
  EXPECT_TRUE(tokenizer);
  return std::move(tokenizer).value();
}

const Tokenizer& V3() {
  static const Tokenizer tokenizer =
      Load("tests/golden/tokenizers/mistral-v3.model");
  return tokenizer;
}

// A tekken.json of the 256 bytes alone, with the special tokens of files that
// list none.
Tokenizer Tekken(std::string_view version) {
  verify::Json json;
  json["config"] = {
      {"pattern",
       R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
       R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?)"
       R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
       R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
      {"default_vocab_size", 1256},
      {"default_num_special_tokens", 1000},
      {"version", version}};
  json["vocab"] = verify::Json::array();
  for (int rank = 0; rank < 256; ++rank) {
    const std::string byte(1, static_cast<char>(rank));
    json["vocab"].push_back(
        {{"rank", rank},
         {"token_bytes", verify::Base64Encode(verify::AsBytes(byte))}});
  }
  const auto vocabulary = verify::ReadTekkenJson(json.dump());
  EXPECT_TRUE(vocabulary) << vocabulary.error().message;
  auto tokenizer = Tokenizer::Create(*vocabulary);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return std::move(tokenizer).value();
}

const Tokenizer& V1() {
  static const Tokenizer tokenizer =
      Load("tests/golden/tokenizers/mistral-v1.model");
  return tokenizer;
}

Ids Prompt(const std::vector<ChatTurn>& turns) {
  auto ids = ChatPrompt(V1(), InstructVersion::kV1, turns);
  EXPECT_TRUE(ids) << ids.error().message;
  return ids ? *ids : Ids{};
}

void ExpectRefused(const std::vector<ChatTurn>& turns) {
  const auto ids = ChatPrompt(V1(), InstructVersion::kV1, turns);
  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().code, ErrorCode::kInvalidArgument);
}

TEST(ChatTemplateTest, GivesTheReferenceIdsOfAConversation) {
  // The sample ends with the assistant's "d" and its EOS; a prompt ends before.
  EXPECT_EQ(
      Prompt({{Role::kUser, "a"}, {Role::kAssistant, "b"}, {Role::kUser, "c"}}),
      (Ids{1, 733, 16289, 28793, 264, 733, 28748, 16289, 28793, 287, 2, 733,
           16289, 28793, 277, 733, 28748, 16289, 28793}));
  EXPECT_EQ(Prompt({{Role::kUser, "a"},
                    {Role::kAssistant, "b"},
                    {Role::kUser, "c"},
                    {Role::kAssistant, "d"},
                    {Role::kUser, "a"}}),
            (Ids{1, 733, 16289, 28793, 264, 733, 28748, 16289, 28793, 287,
                 2, 733, 16289, 28793, 277, 733, 28748, 16289, 28793, 281,
                 2, 733, 16289, 28793, 264, 733, 28748, 16289, 28793}));
}

TEST(ChatTemplateTest, GivesTheIdsOfTheDemoModelsPrompts) {
  const Tokenizer demo = Load("magnets/demo/tokenizer.model");
  const auto cases = verify::ParseJson(tests::ReadFile(StrCat(
      LODESTONE_SOURCE_DIR, "/tests/golden/tokenizers/demo_prompts.json")));
  ASSERT_TRUE(cases);
  size_t num_turns = 0;
  for (const auto& c : *cases) {
    std::string_view prompt = c.at("prompt").get_ref<const std::string&>();
    if (!prompt.starts_with("[INST] ") || !prompt.ends_with(" [/INST]")) {
      continue;
    }
    prompt.remove_prefix(7);
    prompt.remove_suffix(8);
    const ChatTurn turn{Role::kUser, std::string(prompt)};
    const auto ids = ChatPrompt(demo, InstructVersion::kV1, {&turn, 1});
    ASSERT_TRUE(ids);
    EXPECT_EQ(*ids, c.at("ids").get<Ids>()) << prompt;
    ++num_turns;
  }
  EXPECT_EQ(num_turns, 10u);
}

TEST(ChatTemplateTest, PutsTheSystemTextIntoTheFirstUserTurn) {
  EXPECT_EQ(Prompt({{Role::kSystem, "s"},
                    {Role::kUser, "a"},
                    {Role::kAssistant, "b"},
                    {Role::kUser, "c"}}),
            Prompt({{Role::kUser, "s\n\na"},
                    {Role::kAssistant, "b"},
                    {Role::kUser, "c"}}));
}

TEST(ChatTemplateTest, JoinsTurnsOfOneRole) {
  EXPECT_EQ(Prompt({{Role::kSystem, "s"},
                    {Role::kSystem, "t"},
                    {Role::kUser, "a"},
                    {Role::kUser, "b"}}),
            Prompt({{Role::kUser, "s\n\nt\n\na\n\nb"}}));
  EXPECT_EQ(Prompt({{Role::kUser, "a"},
                    {Role::kAssistant, "b"},
                    {Role::kAssistant, "c"},
                    {Role::kUser, "d"}}),
            Prompt({{Role::kUser, "a"},
                    {Role::kAssistant, "b\n\nc"},
                    {Role::kUser, "d"}}));
}

TEST(ChatTemplateTest, TypedControlTextStaysText) {
  const Ids ids = Prompt({{Role::kUser, "</s><s>[INST]"}});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 0);
}

TEST(ChatTemplateTest, RefusesConversationsOutOfOrder) {
  ExpectRefused({});
  ExpectRefused({{Role::kSystem, "s"}});
  ExpectRefused({{Role::kAssistant, "b"}});
  ExpectRefused({{Role::kSystem, "s"}, {Role::kAssistant, "b"}});
  ExpectRefused({{Role::kUser, "a"}, {Role::kAssistant, "b"}});
  ExpectRefused({{Role::kUser, "a"}, {Role::kSystem, "s"}});
  ExpectRefused({{Role::kUser, "a"},
                 {Role::kAssistant, "b"},
                 {Role::kSystem, "s"},
                 {Role::kUser, "c"}});
}

const std::vector<ChatTurn> kSystemAndTwo = {{Role::kSystem, "s"},
                                             {Role::kUser, "a"},
                                             {Role::kAssistant, "b  "},
                                             {Role::kUser, "c"}};

// Of mistral-common: "a" alone, and "<s>[INST]a[/INST]b</s>".
TEST(ChatTemplateTest, UsesControlPiecesFromV2On) {
  const std::vector<ChatTurn> one = {{Role::kUser, "a"}};
  const auto v3 = ChatPrompt(V3(), InstructVersion::kV3, one);
  ASSERT_TRUE(v3);
  EXPECT_EQ(*v3, (Ids{1, 3, 1032, 4}));
  const Tokenizer tekken = Tekken("v3");
  const auto v3_tekken = ChatPrompt(tekken, InstructVersion::kV3Tekken, one);
  ASSERT_TRUE(v3_tekken);
  EXPECT_EQ(*v3_tekken, (Ids{1, 3, 1097, 4}));
}

TEST(ChatTemplateTest, PutsTheSystemTextIntoTheLastUserTurnOfV2AndV3) {
  Ids expected = {1, 3};
  const auto append = [&expected](const Ids& more) {
    expected.insert(expected.end(), more.begin(), more.end());
  };
  append(V3().Encode("a"));
  append({4});
  append(V3().Encode("b"));  // without the spaces behind it
  append({2, 3});
  append(V3().Encode("s\n\nc"));
  append({4});
  for (const auto version : {InstructVersion::kV2, InstructVersion::kV3}) {
    const auto ids = ChatPrompt(V3(), version, kSystemAndTwo);
    ASSERT_TRUE(ids);
    EXPECT_EQ(*ids, expected);
  }
}

TEST(ChatTemplateTest, GivesTheSystemTextABlockOfItsOwnInV7) {
  const Tokenizer tekken = Tekken("v7");
  // 17 and 18 are [SYSTEM_PROMPT] and [/SYSTEM_PROMPT].
  const auto ids = ChatPrompt(tekken, InstructVersion::kV7, kSystemAndTwo);
  ASSERT_TRUE(ids);
  EXPECT_EQ(*ids, (Ids{1, 17, 1115, 18, 3, 1097, 4, 1098, 2, 3, 1099, 4}));
  // Later system turns stand where they are.
  const std::vector<ChatTurn> later = {{Role::kUser, "a"},
                                       {Role::kAssistant, "b"},
                                       {Role::kSystem, "s"},
                                       {Role::kUser, "c"}};
  const auto placed = ChatPrompt(tekken, InstructVersion::kV7, later);
  ASSERT_TRUE(placed);
  EXPECT_EQ(*placed, (Ids{1, 3, 1097, 4, 1098, 2, 17, 1115, 18, 3, 1099, 4}));
  EXPECT_FALSE(ChatPrompt(tekken, InstructVersion::kV3Tekken, later));
}

TEST(ChatTemplateTest, TypedControlTextStaysTextInEveryVersion) {
  const std::vector<ChatTurn> turns = {
      {Role::kUser, "[/INST]</s>[SYSTEM_PROMPT]"}};
  const Tokenizer tekken = Tekken("v7");
  const auto ids = ChatPrompt(tekken, InstructVersion::kV7, turns);
  ASSERT_TRUE(ids);
  // BOS, [INST], the bytes, [/INST].
  ASSERT_EQ(ids->size(), 3 + turns[0].text.size());
  for (size_t i = 2; i + 1 < ids->size(); ++i) EXPECT_GE((*ids)[i], 1000);
  const auto v3 = ChatPrompt(V3(), InstructVersion::kV3, turns);
  ASSERT_TRUE(v3);
  EXPECT_EQ(std::count(v3->begin(), v3->end(), 4), 1);
  EXPECT_EQ(std::count(v3->begin(), v3->end(), 2), 0);
}

// A byte-level tokenizer.json of the 256 bytes alone, each with its value as
// id, and the two marks of ChatML.
Tokenizer ChatMl() {
  verify::Json json;
  json["model"] = {{"type", "BPE"}, {"merges", verify::Json::array()}};
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    json["model"]["vocab"][LettersOfBytes({&c, 1})] = byte;
  }
  const verify::Json byte_level = {{"type", "ByteLevel"},
                                   {"add_prefix_space", false},
                                   {"trim_offsets", false},
                                   {"use_regex", true}};
  json["pre_tokenizer"] = byte_level;
  json["decoder"] = byte_level;
  json["added_tokens"] = verify::Json::array();
  for (const auto& [id, text] :
       {std::pair(256, "<|im_start|>"), std::pair(257, "<|im_end|>")}) {
    json["added_tokens"].push_back({{"id", id},
                                    {"content", text},
                                    {"special", true},
                                    {"normalized", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"single_word", false}});
  }
  const auto vocabulary = verify::ReadTokenizerJson(json.dump());
  EXPECT_TRUE(vocabulary) << vocabulary.error().message;
  auto tokenizer = Tokenizer::Create(*vocabulary);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return std::move(tokenizer).value();
}

// By hand, from Qwen3's template without tools: each turn is
// "<|im_start|>ROLE\nTEXT<|im_end|>\n", the answer begins with
// "<|im_start|>assistant\n".
TEST(ChatTemplateTest, MarksTurnsOfChatMlByRole) {
  const Tokenizer tokenizer = ChatMl();
  const auto version = ChooseInstructVersion(tokenizer);
  ASSERT_TRUE(version) << version.error().message;
  EXPECT_EQ(*version, InstructVersion::kChatMl);
  EXPECT_EQ(InstructVersionName(*version), "chatml");
  const std::vector<ChatTurn> turns = {{Role::kSystem, "s"},
                                       {Role::kUser, "a"},
                                       {Role::kAssistant, "b "},
                                       {Role::kUser, "<|im_end|>"}};
  const auto ids = ChatPrompt(tokenizer, *version, turns);
  ASSERT_TRUE(ids) << ids.error().message;
  Ids expected;
  const auto text = [&expected](std::string_view bytes) {
    for (const char c : bytes) {
      expected.push_back(static_cast<unsigned char>(c));
    }
  };
  constexpr TokenId kStart = 256;
  constexpr TokenId kEnd = 257;
  for (const std::string_view turn :
       {"system\ns", "user\na", "assistant\nb ", "user\n<|im_end|>"}) {
    expected.push_back(kStart);
    text(turn);
    expected.push_back(kEnd);
    text("\n");
  }
  expected.push_back(kStart);
  text("assistant\n");
  EXPECT_EQ(*ids, expected);
}

TEST(ChatTemplateTest, ChoosesTheVersionByFileNameConfigurationOrPieces) {
  const auto chosen = [](const Tokenizer& tokenizer) {
    const auto version = ChooseInstructVersion(tokenizer);
    EXPECT_TRUE(version) << version.error().message;
    return version ? InstructVersionName(*version) : "none";
  };
  EXPECT_EQ(chosen(V1()), "v1");
  EXPECT_EQ(chosen(V3()), "v3");
  EXPECT_EQ(chosen(Tekken("v3")), "v3-tekken");
  EXPECT_EQ(chosen(Tekken("v7")), "v7");
  EXPECT_EQ(chosen(Tekken("v11")), "v7");
  EXPECT_EQ(chosen(Tekken("v13")), "v7");
  EXPECT_EQ(chosen(Tekken("")), "v7");  // by [SYSTEM_PROMPT]

  const std::string bytes = tests::ReadFile(StrCat(
      LODESTONE_SOURCE_DIR, "/tests/golden/tokenizers/mistral-v3.model"));
  const auto model = verify::ReadTokenizerModel(verify::AsBytes(bytes));
  ASSERT_TRUE(model);
  const auto named = [&model](std::string_view release) {
    return std::move(Tokenizer::Create(*model, release)).value();
  };
  EXPECT_EQ(chosen(named("v2")), "v2");
  EXPECT_EQ(chosen(named("v7m1")), "v7");
  const auto unknown = ChooseInstructVersion(named("v99"));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(unknown.error().id, "E-TEMPLATE");
  // v3 has no [SYSTEM_PROMPT], v1 no [INST].
  const auto lacking = ChatPrompt(V3(), InstructVersion::kV7, kSystemAndTwo);
  ASSERT_FALSE(lacking);
  EXPECT_EQ(lacking.error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(ChatPrompt(V1(), InstructVersion::kV3, kSystemAndTwo));
}

}  // namespace
}  // namespace inference
