// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/importance.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/tiny_checkpoint.h"

namespace inference {
namespace {

using tests::ExpectError;
using verify::DType;
using verify::ErrorCode;
using verify::TensorRole;
using verify::TensorSpec;

TensorSpec SpecOf(TensorRole role, std::vector<uint64_t> shape) {
  TensorSpec spec;
  spec.role = role;
  spec.name = "t";
  spec.shape = std::move(shape);
  return spec;
}

ImportanceMatrix MatrixOf(ImportanceEntry entry) {
  ImportanceMatrix matrix;
  matrix.entries["t"] = std::move(entry);
  return matrix;
}

// By hand, with 32 tokens of what is known before: 64 tokens of both experts
// together say (1, 0.5). So the first has (1.5, 0.25) and the second (0.5,
// 0.75), each and a quarter of its mean.
TEST(ImportanceTest, DrawsExpertsThatShareTheirInputTowardsEachOther) {
  const auto matrix =
      MatrixOf({.cols = 2, .sums = {64, 0, 0, 32}, .counts = {32, 32}});
  for (const TensorRole role : {TensorRole::kFfnGate, TensorRole::kFfnUp}) {
    const TensorSpec spec = SpecOf(role, {2, 4, 2});
    EXPECT_EQ(ColumnWeights(matrix, spec, 0),
              (std::vector<float>{1.71875f, 0.46875f}));
    EXPECT_EQ(ColumnWeights(matrix, spec, 1),
              (std::vector<float>{0.65625f, 0.90625f}));
  }
}

// Hidden units of one expert are nothing to those of another.
TEST(ImportanceTest, DrawsOthersTowardsTheMeanOfTheirColumns) {
  const auto matrix =
      MatrixOf({.cols = 2, .sums = {64, 0, 0, 32}, .counts = {32, 32}});
  const TensorSpec spec = SpecOf(TensorRole::kFfnDown, {2, 4, 2});
  EXPECT_EQ(ColumnWeights(matrix, spec, 0), (std::vector<float>{1.75f, 0.75f}));
  EXPECT_EQ(ColumnWeights(matrix, spec, 1),
            (std::vector<float>{0.375f, 0.875f}));
}

TEST(ImportanceTest, AnExpertWithoutTokensHasTheWeightsOfTheOthers) {
  const auto matrix =
      MatrixOf({.cols = 2, .sums = {64, 16, 0, 0}, .counts = {32, 0}});
  EXPECT_EQ(ColumnWeights(matrix, SpecOf(TensorRole::kFfnUp, {2, 4, 2}), 1),
            (std::vector<float>{2.3125f, 0.8125f}));
  // Nothing is known of its hidden units: all alike.
  EXPECT_EQ(ColumnWeights(matrix, SpecOf(TensorRole::kFfnDown, {2, 4, 2}), 1),
            (std::vector<float>{1.25f, 1.25f}));
}

TEST(ImportanceTest, NothingIsKnownWithoutAnEntryOrWithZeros) {
  const auto matrix = MatrixOf({.cols = 2, .sums = {0, 0}, .counts = {5}});
  const TensorSpec spec = SpecOf(TensorRole::kAttentionQ, {4, 2});
  EXPECT_TRUE(ColumnWeights(matrix, spec, 0).empty());
  EXPECT_TRUE(ColumnWeights(ImportanceMatrix(), spec, 0).empty());
}

TEST(ImportanceTest, WeighsTypesWhoseScalesAreSearched) {
  for (const DType dtype :
       {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ4K,
        DType::kQ5K, DType::kQ6K, DType::kIQ4NL, DType::kMXFP4}) {
    EXPECT_TRUE(UsesImportance(dtype));
  }
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16,
                            DType::kQ8_0, DType::kQ2K, DType::kI32}) {
    EXPECT_FALSE(UsesImportance(dtype));
  }
}

TEST(ImportanceTest, BelongsToOneModel) {
  const auto config = tests::TinyConfig();
  ImportanceMatrix matrix;
  ExpectError(CheckImportance(matrix, config), ErrorCode::kMismatch, "none of",
              "E-IMATRIX");
  ImportanceEntry& entry = matrix.entries["blk.1.ffn_down_exps.weight"];
  entry = {.cols = 96, .sums = std::vector<float>(288, 1), .counts = {1, 1, 1}};
  EXPECT_TRUE(CheckImportance(matrix, config));
  matrix.entries["of.another.tool"] = {.cols = 1, .sums = {1}, .counts = {1}};
  EXPECT_TRUE(CheckImportance(matrix, config));
  entry.cols = 64;
  ExpectError(CheckImportance(matrix, config), ErrorCode::kMismatch,
              "3 times 64 columns, the model has 3 times 96", "E-IMATRIX");
  entry = {.cols = 96, .sums = std::vector<float>(96, 1), .counts = {1}};
  ExpectError(CheckImportance(matrix, config), ErrorCode::kMismatch,
              "1 times 96", "E-IMATRIX");
}

TEST(ImportanceTest, EveryNumberTellsMatricesApart) {
  const auto matrix = MatrixOf({.cols = 2, .sums = {1, 2}, .counts = {3}});
  auto other = matrix;
  EXPECT_EQ(DigestOf(matrix), DigestOf(other));
  other.entries["t"].sums[1] = 2.5f;
  EXPECT_NE(DigestOf(matrix), DigestOf(other));
  other = matrix;
  other.entries["t"].counts[0] = 4;
  EXPECT_NE(DigestOf(matrix), DigestOf(other));
}

}  // namespace
}  // namespace inference
