// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/part_kind.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/verify/structure/tiny_safetensors.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/model_config.h"

namespace verify {
namespace {

TensorTable Table(const std::vector<std::string>& names) {
  TensorTable table;
  for (const std::string& name : names) {
    TensorInfo tensor;
    tensor.name = name;
    tensor.shape = {1};
    tensor.size_bytes = 4;
    EXPECT_TRUE(table.Add(tensor, 4).has_value()) << name;
  }
  return table;
}

TEST(PartKindTest, TellsThemApartByTheirNames) {
  EXPECT_EQ(KindOfParts(Table({"layers.0.block_sparse_moe.w1"}),
                        Table({"layers.4.block_sparse_moe.w1"})),
            PartKind::kStackedExperts);
  EXPECT_EQ(KindOfParts(Table({"layers.0.attention.wq.weight"}),
                        Table({"layers.1.attention.wq.weight"})),
            PartKind::kDisjoint);
  EXPECT_EQ(KindOfParts(Table({"norm.weight", "output.weight"}),
                        Table({"output.weight", "norm.weight"})),
            PartKind::kSlices);
  EXPECT_EQ(KindOfParts(Table({"norm.weight", "output.weight"}),
                        Table({"norm.weight"})),
            PartKind::kOther);
}

std::string File(const std::vector<std::string>& names) {
  tests::TinySafetensors file;
  for (const std::string& name : names) {
    file.Add(name, "F32", {1}, std::string(4, '\1'));
  }
  return file.Bytes();
}

// C6: what cannot be joined is said to be what it is, and is not opened. The
// content decides what a file is, so small safetensors stand for the rest.
TEST(PartKindTest, C6SaysWhatPartsAre) {
  const struct {
    std::vector<std::string> names;
    std::vector<std::string> first;
    std::vector<std::string> second;
    std::string expected;
  } cases[] = {
      {{"consolidated.00.pt", "consolidated.01.pt"},
       {"layers.0.block_sparse_moe.w2"},
       {"layers.4.block_sparse_moe.w2"},
       "experts stacked in one tensor for each layer"},
      {{"consolidated.00.pth", "consolidated.01.pth"},
       {"norm.weight", "layers.0.attention.wq.weight"},
       {"norm.weight", "layers.0.attention.wq.weight"},
       "slices of a tensor-parallel run"},
  };
  for (const auto& c : cases) {
    tests::TempDir dir;
    dir.Write(c.names[0], File(c.first));
    dir.Write(c.names[1], File(c.second));
    const auto checkpoint = Checkpoint::Open(dir.path());
    ASSERT_FALSE(checkpoint.has_value());
    EXPECT_EQ(checkpoint.error().code, ErrorCode::kUnsupported);
    const Error error = ExplainParts(dir.path(), checkpoint.error());
    EXPECT_EQ(error.code, ErrorCode::kUnsupported);
    EXPECT_EQ(error.id, "E-UNSUPPORTED");
    EXPECT_NE(error.message.find(c.expected), std::string::npos)
        << error.message;
    EXPECT_NE(error.message.find("in 2 files"), std::string::npos)
        << error.message;
  }
}

TEST(PartKindTest, StackedExpertsInOneFileAreSaidToBe) {
  tests::TempDir dir;
  const auto checkpoint = Checkpoint::Open(dir.Write(
      "model.safetensors",
      File({"layers.0.block_sparse_moe.w2", "layers.0.attention.wq.weight"})));
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  const auto config = LoadModelConfig(*checkpoint);
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(config.error().message.find("stacked"), std::string::npos);
}

}  // namespace
}  // namespace verify
