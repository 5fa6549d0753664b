// SPDX-License-Identifier: Apache-2.0
#include "inference/tensor/stored_matrix.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"

namespace inference {
namespace {

using tests::TinyTensor;
using verify::Checkpoint;
using verify::ModelConfig;
using verify::NameScheme;
using verify::TensorRole;

// A checkpoint of one tensor, of bf16 that count from 0.
struct OneTensor {
  OneTensor(const std::string& name, const std::vector<uint64_t>& shape) {
    TinyTensor tensor{name, verify::DType::kBF16, shape, {}};
    uint64_t count = 1;
    for (const uint64_t dim : shape) count *= dim;
    tensor.data.resize(2 * count);
    for (uint64_t i = 0; i < count; ++i) {
      const auto value = static_cast<uint16_t>(i);
      std::memcpy(tensor.data.data() + 2 * i, &value, 2);
    }
    auto opened = Checkpoint::Open(
        dir.Write("w", tests::SafetensorsFile({std::move(tensor)})));
    EXPECT_TRUE(opened) << opened.error().ToString();
    checkpoint.emplace(std::move(*opened));
  }

  tests::TempDir dir;
  std::optional<Checkpoint> checkpoint;
};

ModelConfig Config(NameScheme names) {
  ModelConfig config;
  config.names = names;
  config.num_experts = 3;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  return config;
}

// The numbers as they stand in the file, row by row of the matrix.
std::vector<uint16_t> Numbers(const StoredMatrix& matrix) {
  std::vector<uint16_t> out;
  for (uint64_t r = 0; r < matrix.rows; ++r) {
    for (uint64_t c = 0; c < matrix.cols; ++c) {
      uint16_t value = 0;
      std::memcpy(&value,
                  matrix.bytes.data() +
                      2 * (r * matrix.row_stride + c * matrix.col_stride),
                  2);
      out.push_back(value);
    }
  }
  return out;
}

// Three experts of ff 2 and dim 2 below each other; expert 1 holds 4 to 7.
TEST(StoredMatrixTest, FindsAnExpertOfAStack) {
  const struct {
    NameScheme names;
    const char* tensor;
    std::vector<uint64_t> shape;
    TensorRole role;
    std::vector<uint16_t> expected;
  } cases[] = {
      {NameScheme::kMistralStacked,
       "layers.0.block_sparse_moe.w1",
       {6, 2},
       TensorRole::kFfnGate,
       {4, 5, 6, 7}},
      {NameScheme::kMistralStacked,
       "layers.0.block_sparse_moe.w2",
       {6, 2},
       TensorRole::kFfnDown,
       {4, 6, 5, 7}},
      {NameScheme::kGguf,
       "blk.0.ffn_down_exps.weight",
       {3, 2, 2},
       TensorRole::kFfnDown,
       {4, 5, 6, 7}},
      {NameScheme::kGgufByExpert,
       "blk.0.ffn_down.1.weight",
       {2, 2},
       TensorRole::kFfnDown,
       {0, 1, 2, 3}},
      {NameScheme::kMistral,
       "layers.0.feed_forward.experts.1.w2.weight",
       {2, 2},
       TensorRole::kFfnDown,
       {0, 1, 2, 3}},
  };
  for (const auto& c : cases) {
    const OneTensor one(c.tensor, c.shape);
    const auto matrix =
        FindStoredMatrix(*one.checkpoint, Config(c.names), c.role, 0, 1);
    ASSERT_TRUE(matrix) << matrix.error().ToString();
    EXPECT_EQ(Numbers(*matrix), c.expected) << c.tensor;
    EXPECT_EQ(matrix->bytes.size(), 8u);
    const TensorView view = matrix->View();
    EXPECT_EQ(view.has_rows(), matrix->col_stride == 1);
    std::vector<std::byte> gathered(4);
    if (view.has_rows()) {
      std::memcpy(gathered.data(), view.Row(1).data(), 4);
    } else {
      GatherRows(view, 1, 1, gathered.data());
    }
    uint16_t last = 0;
    std::memcpy(&last, gathered.data() + 2, 2);
    EXPECT_EQ(last, c.expected[3]);
  }
}

TEST(StoredMatrixTest, RefusesAStackThatDoesNotDivide) {
  const OneTensor one("layers.0.block_sparse_moe.w1", {5, 2});
  const auto matrix =
      FindStoredMatrix(*one.checkpoint, Config(NameScheme::kMistralStacked),
                       TensorRole::kFfnGate, 0, 1);
  ASSERT_FALSE(matrix);
  EXPECT_EQ(matrix.error().id, "E-STRUCTURE");
}

TEST(StoredMatrixTest, SaysWhichRowsAreHalfRotated) {
  const OneTensor one("model.layers.0.self_attn.k_proj.weight", {8, 2});
  ModelConfig config = Config(NameScheme::kHuggingFace);
  config.rope_style = verify::RopeStyle::kHalf;
  const auto matrix =
      FindStoredMatrix(*one.checkpoint, config, TensorRole::kAttentionK, 0, -1);
  ASSERT_TRUE(matrix);
  EXPECT_EQ(matrix->half_rotated_heads, 2u);
}

}  // namespace
}  // namespace inference
