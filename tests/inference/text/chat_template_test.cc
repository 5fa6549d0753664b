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

#include "tests/support/temp_dir.h"
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

const Tokenizer& V1() {
  static const Tokenizer tokenizer =
      Load("tests/golden/tokenizers/mistral-v1.model");
  return tokenizer;
}

Ids Prompt(const std::vector<ChatTurn>& turns) {
  auto ids = ChatPromptV1(V1(), turns);
  EXPECT_TRUE(ids) << ids.error().message;
  return ids ? *ids : Ids{};
}

void ExpectRefused(const std::vector<ChatTurn>& turns) {
  const auto ids = ChatPromptV1(V1(), turns);
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
    const auto ids = ChatPromptV1(demo, {&turn, 1});
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

}  // namespace
}  // namespace inference
