// SPDX-License-Identifier: Apache-2.0
#include "inference/text/load_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/checkpoint/checkpoint.h"

namespace inference {
namespace {

using verify::Checkpoint;
using verify::ErrorCode;

TEST(LoadTokenizerTest, ReadsTheFileBesideTheWeights) {
  const tests::TempDir dir;
  dir.Write("consolidated.safetensors",
            tests::SafetensorsFile(tests::TinyTensors(tests::TinyConfig())));
  const std::string path =
      dir.Write("tokenizer.model", tests::TinyTokenizer(40));
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().ToString();
  auto model = LoadTokenizerModel(*checkpoint);
  ASSERT_TRUE(model) << model.error().ToString();
  EXPECT_EQ(model->pieces.size(), 40u);

  dir.Write("tokenizer.model", "not a tokenizer");
  model = LoadTokenizerModel(*checkpoint);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(model.error().id, "E-TOKENIZER");
  EXPECT_NE(model.error().message.find(path), std::string::npos);

  std::filesystem::remove(path);
  model = LoadTokenizerModel(*checkpoint);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(model.error().id, "E-TOKENIZER");
  EXPECT_FALSE(model.error().hint.empty());
}

}  // namespace
}  // namespace inference
