// SPDX-License-Identifier: Apache-2.0
#include "inference/tensor/stored_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/sliced_tensors.h"
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

// A model in two files of a tensor-parallel run is the model in one, row by
// row, for products and as numbers.
TEST(StoredMatrixTest, SlicesAreTheWhole) {
  const ModelConfig config = tests::TinyConfig();
  const auto model = tests::TinyTensors(config);
  const tests::TempDir one;
  const auto whole = Checkpoint::Open(
      one.Write("consolidated.safetensors", tests::SafetensorsFile(model)));
  ASSERT_TRUE(whole);
  for (const int embedding_dim : {0, 1}) {
    const tests::TempDir dir;
    const auto files = tests::Sliced(model, 4, embedding_dim);
    for (size_t i = 0; i < files.size(); ++i) {
      dir.Write("consolidated.0" + std::to_string(i) + ".pth",
                tests::SafetensorsFile(files[i]));
    }
    const auto sliced = Checkpoint::Open(dir.path());
    ASSERT_TRUE(sliced) << sliced.error().ToString();
    for (const auto& spec : verify::ExpectedTensors(config, config.names)) {
      const auto find = [&](const Checkpoint& checkpoint) {
        auto matrix = FindStoredMatrix(checkpoint, config, spec.role,
                                       spec.layer, spec.expert);
        EXPECT_TRUE(matrix) << matrix.error().ToString();
        return *matrix;
      };
      const StoredMatrix a = find(*whole);
      const StoredMatrix b = find(*sliced);
      ASSERT_EQ(b.rows, a.rows) << spec.name;
      ASSERT_EQ(b.cols, a.cols) << spec.name;
      const TensorView view = b.View();
      EXPECT_FALSE(view.empty());
      EXPECT_EQ(view.row_bytes, a.View().row_bytes);
      if (!view.has_rows()) {
        EXPECT_EQ(b.Spans().size(), 4u);
        std::vector<std::byte> rows((a.rows - 1) * view.row_bytes);
        GatherRows(view, 1, a.rows - 1, rows.data());
        EXPECT_TRUE(std::equal(
            rows.begin(), rows.end(),
            a.bytes.begin() + static_cast<std::ptrdiff_t>(view.row_bytes),
            a.bytes.end()))
            << spec.name;
      }
      for (uint64_t r = 0; r < a.rows; ++r) {
        const RowBytes expected = a.View().Row(r);
        const RowBytes row = view.Row(r);
        ASSERT_TRUE(std::equal(row.begin(), row.end(), expected.begin(),
                               expected.end()))
            << spec.name << " row " << r;
      }
      std::vector<float> x(a.rows * a.cols);
      std::vector<float> y(x.size());
      DecodeRows(a, 0, a.rows, x);
      DecodeRows(b, 0, b.rows, y);
      EXPECT_EQ(x, y) << spec.name;
      DecodeRows(b, a.rows - 1, 1, std::span(y).first(a.cols));
      const auto cols = static_cast<std::ptrdiff_t>(a.cols);
      EXPECT_TRUE(std::equal(y.begin(), y.begin() + cols, x.end() - cols));
    }
  }
}

TEST(StoredMatrixTest, DecodesATransposedMatrix) {
  const OneTensor one("layers.0.block_sparse_moe.w2", {6, 2});
  const auto matrix =
      FindStoredMatrix(*one.checkpoint, Config(NameScheme::kMistralStacked),
                       TensorRole::kFfnDown, 0, 1);
  ASSERT_TRUE(matrix);
  std::vector<float> rows(4);
  DecodeRows(*matrix, 0, 2, rows);
  // bf16 of the bits 4, 6, 5, 7: subnormals, 2^-133 each.
  EXPECT_EQ(rows,
            (std::vector<float>{0x4p-133f, 0x6p-133f, 0x5p-133f, 0x7p-133f}));
}

// A safetensors file of one matrix of e4m3 and its scales.
struct Fp8Matrix {
  Fp8Matrix(const std::string& bytes, std::vector<uint64_t> shape,
            const std::string& scale_name, std::vector<uint64_t> scale_shape,
            const std::vector<float>& scales) {
    const auto list = [](const std::vector<uint64_t>& dims) {
      std::string text;
      for (const uint64_t dim : dims) {
        text += (text.empty() ? "" : ",") + std::to_string(dim);
      }
      return "[" + text + "]";
    };
    std::string data(4 * scales.size(), '\0');
    std::memcpy(data.data(), scales.data(), data.size());
    const std::string header =
        "{\"" + scale_name +
        "\":{\"dtype\":\"F32\",\"shape\":" + list(scale_shape) +
        ",\"data_offsets\":[0," + std::to_string(data.size()) + "]},\"" +
        kName + "\":{\"dtype\":\"F8_E4M3\",\"shape\":" + list(shape) +
        ",\"data_offsets\":[" + std::to_string(data.size()) + "," +
        std::to_string(data.size() + bytes.size()) + "]}}";
    std::string file(8, '\0');
    const uint64_t length = header.size();
    std::memcpy(file.data(), &length, 8);
    auto opened = Checkpoint::Open(
        dir.Write("model.safetensors", file + header + data + bytes));
    EXPECT_TRUE(opened) << opened.error().ToString();
    checkpoint.emplace(std::move(*opened));
  }

  verify::Result<StoredMatrix> Find(uint64_t block) const {
    ModelConfig config = Config(NameScheme::kHuggingFace);
    config.traits.fp8_block = block;
    return FindStoredMatrix(*checkpoint, config, TensorRole::kAttentionOut, 0,
                            -1);
  }

  static constexpr const char* kName = "model.layers.0.self_attn.o_proj.weight";
  tests::TempDir dir;
  std::optional<Checkpoint> checkpoint;
};

// e4m3 by the OCP specification: 0x38 is 1, 0x40 is 2, 0x44 is 3, 0xB8 is -1,
// 0x01 is 2^-9.
TEST(StoredMatrixTest, MultipliesFp8WithTheScalesOfItsBlocks) {
  const std::string name = std::string(Fp8Matrix::kName) + "_scale_inv";
  // [3, 5] in blocks of 2: [2, 3] scales, those at the ends cover less.
  const Fp8Matrix one(
      "\x38\x40\x44\xb8\x38"
      "\x01\x38\x38\x38\x40"
      "\x40\x40\x40\x40\x40",
      {3, 5}, name, {2, 3}, {1, 10, 0.5f, 2, 3, 4});
  const auto matrix = one.Find(2);
  ASSERT_TRUE(matrix) << matrix.error().ToString();
  EXPECT_TRUE(CanDecodeRows(*matrix));
  EXPECT_TRUE(CheckScales(*matrix));
  std::vector<float> rows(15);
  DecodeRows(*matrix, 0, 3, rows);
  EXPECT_EQ(rows, (std::vector<float>{1, 2, 30, -10, 0.5f,    //
                                      0x1p-9f, 1, 10, 10, 1,  //
                                      4, 4, 6, 6, 8}));
  std::vector<float> last(5);
  DecodeRows(*matrix, 2, 1, last);
  EXPECT_EQ(last, (std::vector<float>{4, 4, 6, 6, 8}));
  // Blocks of another size have other scales.
  const auto other = one.Find(3);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().id, "E-STRUCTURE");
}

TEST(StoredMatrixTest, MultipliesFp8WithTheScaleOfItsTensor) {
  const std::string name = std::string(Fp8Matrix::kName) + "_scale";
  const Fp8Matrix one("\x38\x40\x44\xb8", {2, 2}, name, {}, {0.25f});
  const auto matrix = one.Find(0);
  ASSERT_TRUE(matrix) << matrix.error().ToString();
  std::vector<float> rows(4);
  DecodeRows(*matrix, 0, 2, rows);
  EXPECT_EQ(rows, (std::vector<float>{0.25f, 0.5f, 0.75f, -0.25f}));
}

TEST(StoredMatrixTest, RefusesBadScales) {
  const std::string name = std::string(Fp8Matrix::kName) + "_scale_inv";
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {0.0f, -1.0f, kInfinity, std::nanf("")}) {
    const Fp8Matrix one("\x38\x40\x44\xb8", {2, 2}, name, {2, 1}, {1, bad});
    const auto matrix = one.Find(1);
    // [2, 2] in blocks of 1 has [2, 2] scales.
    ASSERT_FALSE(matrix);
    const Fp8Matrix two("\x38\x40\x44\xb8", {2, 2}, name, {2, 2},
                        {1, 1, 1, bad});
    const auto found = two.Find(1);
    ASSERT_TRUE(found) << found.error().ToString();
    const auto checked = CheckScales(*found);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().id, "E-SCALE");
    EXPECT_NE(checked.error().message.find(name), std::string::npos);
    EXPECT_NE(checked.error().message.find("scale 3"), std::string::npos)
        << checked.error().message;
  }
  // Without scales the numbers are not known.
  const Fp8Matrix none("\x38\x40\x44\xb8", {2, 2}, "other", {1}, {1});
  const auto matrix = none.Find(0);
  ASSERT_TRUE(matrix);
  EXPECT_FALSE(CanDecodeRows(*matrix));
}

}  // namespace
}  // namespace inference
