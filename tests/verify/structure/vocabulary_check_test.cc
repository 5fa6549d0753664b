// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/vocabulary_check.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::TempDir;

constexpr const char* kJson =
    R"({"model":{"type":"BPE","vocab":{"<unk>":0,"a":1,"b":2},"merges":[]}})";

TokenizerModel Model(const std::string& second) {
  TokenizerModel model;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown},
                  {"a", 0, PieceType::kNormal},
                  {second, 0, PieceType::kNormal}};
  return model;
}

TEST(VocabularyCheckTest, ReadsWhatIsThere) {
  const TempDir dir;
  auto files = CheckVocabularyFiles(dir.path(), 3, nullptr);
  ASSERT_TRUE(files);
  EXPECT_TRUE(files->empty());
  dir.Write("tokenizer.json", kJson);
  files = CheckVocabularyFiles(dir.path(), 3, nullptr);
  ASSERT_TRUE(files) << files.error().ToString();
  ASSERT_EQ(files->size(), 1u);
  EXPECT_TRUE((*files)[0].is_read);
  EXPECT_NE((*files)[0].detail.find("3 tokens"), std::string::npos);
}

TEST(VocabularyCheckTest, C20RefusesIdsOutsideOfTheModel) {
  const TempDir dir;
  dir.Write("tokenizer.json", kJson);
  ExpectError(CheckVocabularyFiles(dir.path(), 2, nullptr), ErrorCode::kCorrupt,
              "tokenizer.json", "E-TOKENIZER");
}

TEST(VocabularyCheckTest, C20FindsTokensExchangedAgainstTheModelFile) {
  const TempDir dir;
  dir.Write("tokenizer.json", kJson);
  const TokenizerModel same = Model("b");
  EXPECT_TRUE(CheckVocabularyFiles(dir.path(), 3, &same));
  const TokenizerModel other = Model("c");
  ExpectError(CheckVocabularyFiles(dir.path(), 3, &other), ErrorCode::kCorrupt,
              "tokenizer.model", "E-TOKENIZER");
}

TEST(VocabularyCheckTest, PassesOverOtherFormsBesideAModelFile) {
  const TempDir dir;
  dir.Write("tokenizer.json",
            R"({"model":{"type":"Unigram","vocab":{"a":0},"merges":[]}})");
  const TokenizerModel model = Model("b");
  const auto files = CheckVocabularyFiles(dir.path(), 3, &model);
  ASSERT_TRUE(files) << files.error().ToString();
  EXPECT_FALSE(files->at(0).is_read);
  ExpectError(CheckVocabularyFiles(dir.path(), 3, nullptr),
              ErrorCode::kUnsupported, "Unigram", "E-TOKENIZER");
  // What is broken is refused in any case.
  dir.Write("tokenizer.json", "{");
  EXPECT_FALSE(CheckVocabularyFiles(dir.path(), 3, &model));
}

}  // namespace
}  // namespace verify
