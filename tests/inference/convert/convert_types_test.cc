// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "inference/convert/convert.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/checkpoint/checkpoint.h"

namespace inference {
namespace {

using tests::TempDir;
using verify::Checkpoint;
using verify::DType;
using verify::ModelConfig;

TEST(ConvertTypesTest, WritesEveryPackedType) {
  const TempDir dir;
  ModelConfig config = tests::TinyConfig();
  config.ff_dim = 256;  // rows of ffn_down; all others have 64 elements
  dir.Write("in/consolidated.safetensors",
            tests::SafetensorsFile(tests::TinyTensors(config)));
  dir.Write("in/params.json", tests::ParamsJson(config));
  dir.Write("in/tokenizer.model", tests::TinyTokenizer(config.vocab_size));
  const std::string input = dir.File("in");
  // llama.cpp's numbers of file types.
  const std::pair<DType, uint64_t> types[] = {
      {DType::kQ4_0, 2}, {DType::kQ4_1, 3},   {DType::kQ5_0, 8},
      {DType::kQ5_1, 9}, {DType::kQ4K, 14},   {DType::kQ5K, 16},
      {DType::kQ6K, 18}, {DType::kIQ4NL, 25}, {DType::kMXFP4, 38}};
  for (const auto& [to, file_type] : types) {
    const std::string output = dir.File("out.gguf");
    const auto outcome =
        Convert({.input = input, .output = output, .to = to, .overwrite = true},
                verify::CancelToken(), nullptr);
    ASSERT_TRUE(outcome) << outcome.error().ToString();
    const auto result = Checkpoint::Open(output);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->gguf()->Unsigned("general.file_type"), file_type);
    EXPECT_EQ(result->tensors().Find("blk.1.ffn_down_exps.weight")->dtype, to);
    // Too short for super-blocks: q8_0, and said once.
    const bool super = verify::BlockElements(to) == 256;
    EXPECT_EQ(result->tensors().Find("blk.1.attn_q.weight")->dtype,
              super ? DType::kQ8_0 : to);
    EXPECT_EQ(outcome->notes.size(), super ? 1u : 0u);
  }
}

}  // namespace
}  // namespace inference
