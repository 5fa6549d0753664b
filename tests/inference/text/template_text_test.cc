// SPDX-License-Identifier: Apache-2.0
#include "inference/text/template_text.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace inference {
namespace {

using verify::StrCat;

Tokenizer Golden(const char* name, std::string_view release) {
  const std::string path =
      StrCat(LODESTONE_SOURCE_DIR, "/tests/golden/tokenizers/", name);
  const auto bytes = verify::ReadSmallFile(path, verify::kMaxTokenizerBytes);
  EXPECT_TRUE(bytes);
  const auto model = verify::ReadTokenizerModel(*bytes);
  EXPECT_TRUE(model);
  auto tokenizer = Tokenizer::Create(*model, release);
  EXPECT_TRUE(tokenizer);
  return *std::move(tokenizer);
}

TEST(TemplateTextTest, IsKnownAgainByEveryLetter) {
  const std::pair<InstructVersion, std::string_view> releases[] = {
      {InstructVersion::kV1, "v1"},
      {InstructVersion::kV2, "v2"},
      {InstructVersion::kV3, "v3"},
      {InstructVersion::kV3Tekken, "v3"},  // its tokens tell it from v3
      {InstructVersion::kV7, "v7"}};
  for (const auto& [version, release] : releases) {
    std::string text = TemplateText(version);
    EXPECT_EQ(ReleaseOfTemplate(text), release);
    text.push_back(' ');
    EXPECT_EQ(ReleaseOfTemplate(text), std::nullopt);
    text.pop_back();
    text[text.size() / 2] ^= 1;
    EXPECT_EQ(ReleaseOfTemplate(text), std::nullopt);
  }
  EXPECT_EQ(ReleaseOfTemplate(""), std::nullopt);
}

TEST(TemplateTextTest, IsKnownOfVocabulariesThatSayIt) {
  const Tokenizer v3 = Golden("mistral-v3.model", "");
  EXPECT_EQ(KnownInstructVersion(v3), InstructVersion::kV3);
  EXPECT_EQ(KnownInstructVersion(Golden("mistral-v3.model", "v2")),
            InstructVersion::kV2);
  EXPECT_EQ(KnownInstructVersion(Golden("mistral-v1.model", "v1")),
            InstructVersion::kV1);
  // Of base models and others, too.
  EXPECT_EQ(KnownInstructVersion(Golden("mistral-v1.model", "")), std::nullopt);
  EXPECT_EQ(KnownInstructVersion(Golden("mistral-v3.model", "v99")),
            std::nullopt);
}

}  // namespace
}  // namespace inference
