// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/saved_turns.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/expect_error.h"

namespace cli {
namespace {

using inference::ChatTurn;
using inference::Role;
using verify::ErrorCode;

TEST(SavedTurnsTest, AreJsonAsTheFormatSays) {
  EXPECT_EQ(WriteTurns({{Role::kSystem, "Be brief."},
                        {Role::kUser, "\"Hi\"\n"},
                        {Role::kAssistant, ""}}),
            "{\"turns\":[{\"role\":\"system\",\"text\":\"Be brief.\"},"
            "{\"role\":\"user\",\"text\":\"\\\"Hi\\\"\\n\"},"
            "{\"role\":\"assistant\",\"text\":\"\"}]}");
  EXPECT_EQ(WriteTurns({}), "{\"turns\":[]}");
}

TEST(SavedTurnsTest, ComeBack) {
  const std::vector<ChatTurn> turns = {{Role::kUser, "Grüße, \xe2\x82\xac"},
                                       {Role::kAssistant, std::string(1, '\0')},
                                       {Role::kSystem, "x"}};
  const auto read = ReadTurns(WriteTurns(turns));
  ASSERT_TRUE(read) << read.error().ToString();
  ASSERT_EQ(read->size(), turns.size());
  for (size_t i = 0; i < turns.size(); ++i) {
    EXPECT_EQ((*read)[i].role, turns[i].role);
    EXPECT_EQ((*read)[i].text, turns[i].text);
  }
  const auto none = ReadTurns("");
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
}

// U+FFFD, which is what the tokenizer makes of it.
TEST(SavedTurnsTest, BytesThatAreNoTextAreReplaced) {
  const auto read = ReadTurns(WriteTurns({{Role::kUser, "a\xff"}}));
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)[0].text, "a\xef\xbf\xbd");
}

TEST(SavedTurnsTest, AllElseIsRefused) {
  for (const char* note :
       {"x", "[]", "{}", "null", "{\"turns\":{}}", "{\"turns\":[],\"v\":1}",
        "{\"turns\":[1]}", "{\"turns\":[{\"role\":\"user\"}]}",
        "{\"turns\":[{\"role\":\"user\",\"text\":1}]}",
        "{\"turns\":[{\"role\":\"tool\",\"text\":\"\"}]}",
        "{\"turns\":[{\"role\":\"user\",\"text\":\"\",\"x\":0}]}",
        "{\"turns\":[[[[[[]]]]]]}", "{\"turns\":[]}x"}) {
    const auto read = ReadTurns(note);
    ASSERT_FALSE(read) << note;
    EXPECT_EQ(read.error().id, "E-SESSION") << note;
    EXPECT_NE(read.error().message.find("session"), std::string::npos) << note;
  }
}

}  // namespace
}  // namespace cli
