// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/tensor_table.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/expect_error.h"

namespace verify {
namespace {

using tests::ExpectError;

TensorInfo Tensor(std::string name, std::vector<uint64_t> shape,
                  uint64_t offset, uint64_t size_bytes) {
  TensorInfo tensor;
  tensor.name = std::move(name);
  tensor.shape = std::move(shape);
  tensor.offset = offset;
  tensor.size_bytes = size_bytes;
  return tensor;
}

TEST(TensorTableTest, MultipliesShapes) {
  EXPECT_EQ(NumElements({}), 1u);
  EXPECT_EQ(NumElements({3, 4}), 12u);
  EXPECT_EQ(NumElements({1ull << 32, 1ull << 32}), std::nullopt);
  // A zero hides no overflow: the product is zero, and nothing else.
  EXPECT_EQ(NumElements({1ull << 63, 4, 0}), 0u);
  EXPECT_EQ(ShapeText({32000, 4096}), "[32000, 4096]");
  EXPECT_EQ(ShapeText({}), "[]");
}

TEST(TensorTableTest, FindsByName) {
  TensorTable table;
  ASSERT_TRUE(table.Add(Tensor("a", {2, 3}, 8, 24), 32));
  ASSERT_TRUE(table.Add(Tensor("empty", {0, 3}, 32, 0), 32));
  ASSERT_TRUE(table.Add(Tensor("scalar", {}, 0, 4), 32));
  ASSERT_NE(table.Find("a"), nullptr);
  EXPECT_EQ(table.Find("a")->offset, 8u);
  EXPECT_EQ(table.Find("b"), nullptr);
  EXPECT_EQ(table.size(), 3u);
}

TEST(TensorTableTest, TakesTransposedTensor) {
  TensorTable table;
  TensorInfo tensor = Tensor("t", {2, 3}, 0, 24);
  tensor.strides = {1, 2};
  EXPECT_TRUE(table.Add(tensor, 24));
  tensor.name = "wide";
  tensor.strides = {1, 4};  // last element: 1 + 2 * 4 = 9, so 40 bytes
  ExpectError(table.Add(tensor, 24), ErrorCode::kCorrupt, "takes 40");
}

TEST(TensorTableTest, RefusesWhatDoesNotFit) {
  TensorTable table;
  ExpectError(table.Add(Tensor("a", {2}, 0, 7), 100), ErrorCode::kCorrupt,
              "7 bytes declared, f32 [2] takes 8");
  ExpectError(table.Add(Tensor("a", {2}, 96, 8), 100), ErrorCode::kCorrupt,
              "the file has 100");
  ExpectError(table.Add(Tensor("a", {2}, ~uint64_t{0} - 3, 8), 100),
              ErrorCode::kCorrupt, "the file has 100");
  ExpectError(table.Add(Tensor("a", {1ull << 62, 2}, 0, 8), 100),
              ErrorCode::kCorrupt, "has no size");
  TensorInfo row = Tensor("q", {2, 16}, 0, 34);
  row.dtype = DType::kQ8_0;  // 32 elements, but no whole block per row
  ExpectError(table.Add(row, 100), ErrorCode::kCorrupt, "has no size");
  row.shape = {1, 32};
  row.strides = {32, 1};
  ExpectError(table.Add(row, 100), ErrorCode::kCorrupt, "has no size");
  TensorInfo strides = Tensor("s", {2, 2}, 0, 16);
  strides.strides = {2};
  ExpectError(table.Add(strides, 100), ErrorCode::kCorrupt, "1 strides for 2");
  strides.strides = {1ull << 63, 1ull << 63};
  ExpectError(table.Add(strides, 100), ErrorCode::kCorrupt, "has no size");
}

TEST(TensorTableTest, RefusesNames) {
  TensorTable table;
  ASSERT_TRUE(table.Add(Tensor("a", {1}, 0, 4), 4));
  ExpectError(table.Add(Tensor("a", {1}, 0, 4), 4), ErrorCode::kCorrupt,
              "stands twice");
  ExpectError(table.Add(Tensor("", {1}, 0, 4), 4), ErrorCode::kCorrupt,
              "empty");
  ExpectError(table.Add(Tensor("a\x1b[2J", {1}, 0, 4), 4), ErrorCode::kCorrupt,
              "\\x1b");
  ExpectError(table.Add(Tensor("\xff", {1}, 0, 4), 4), ErrorCode::kCorrupt,
              "UTF-8");
  ExpectError(table.Add(Tensor(std::string(4097, 'n'), {1}, 0, 4), 4),
              ErrorCode::kLimit, "4097 bytes");
  ExpectError(table.Add(Tensor("d", std::vector<uint64_t>(9, 1), 0, 4), 4),
              ErrorCode::kLimit, "9 dimensions");
}

}  // namespace
}  // namespace verify
