// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/convert_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace inference {
namespace {

using verify::DType;
using verify::TensorInfo;

const TensorInfo kF32Tensor = [] {
  TensorInfo tensor;
  tensor.name = "t";
  tensor.dtype = DType::kF32;
  return tensor;
}();

StoredMatrix Matrix(uint64_t rows, uint64_t cols) {
  StoredMatrix matrix;
  matrix.tensor = &kF32Tensor;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.row_stride = cols;
  return matrix;
}

// Tensors one after the other from offset 100 on, each padded to 32.
std::vector<PlannedTensor> Tensors(
    const std::vector<std::vector<StoredMatrix>>& sources) {
  std::vector<PlannedTensor> tensors;
  uint64_t at = 100;
  for (const auto& matrices : sources) {
    PlannedTensor tensor;
    tensor.form.dtype = DType::kF32;
    tensor.sources = matrices;
    tensor.offset = at;
    for (const StoredMatrix& matrix : matrices) {
      tensor.bytes += matrix.rows * matrix.cols * 4;
    }
    tensor.padded_bytes = (tensor.bytes + 31) / 32 * 32;
    at += tensor.padded_bytes;
    tensors.push_back(tensor);
  }
  return tensors;
}

TEST(CutUnitsTest, PutsSmallTensorsTogether) {
  // 8, 8 and 40 bytes: 32 + 32 + 64 with their padding.
  const auto units = CutUnits(
      Tensors({{Matrix(1, 2)}, {Matrix(1, 2)}, {Matrix(1, 10)}}), {1000});
  ASSERT_TRUE(units);
  ASSERT_EQ(units->size(), 1u);
  const Unit& unit = units->front();
  EXPECT_EQ(unit.offset, 100u);
  EXPECT_EQ(unit.bytes, 128u);
  ASSERT_EQ(unit.rows.size(), 3u);
  EXPECT_EQ(unit.rows[1].at, 32u);
  EXPECT_EQ(unit.rows[2].at, 64u);
  EXPECT_EQ(unit.rows[2].tensor, 2u);
}

TEST(CutUnitsTest, CutsLargeTensorsBetweenRows) {
  // Two experts of 5 rows of 40 bytes; two rows and no third in a unit of 100.
  const auto units = CutUnits(Tensors({{Matrix(5, 10), Matrix(5, 10)}}), {100});
  ASSERT_TRUE(units);
  ASSERT_EQ(units->size(), 5u);
  uint64_t at = 100;
  for (const Unit& unit : *units) {
    EXPECT_EQ(unit.offset, at);
    at += unit.bytes;
  }
  EXPECT_EQ(at, 100u + 416);  // 400 and the padding
  EXPECT_EQ((*units)[0].bytes, 80u);
  // The last row of the first expert and the first of the second.
  ASSERT_EQ((*units)[2].rows.size(), 2u);
  EXPECT_EQ((*units)[2].rows[0].first, 4u);
  EXPECT_EQ((*units)[2].rows[1].source, 1u);
  EXPECT_EQ((*units)[2].rows[1].first, 0u);
  EXPECT_EQ((*units)[2].rows[1].at, 40u);
  EXPECT_EQ((*units)[4].bytes, 96u);
}

TEST(CutUnitsTest, TakesARowThatIsLongerThanAUnit) {
  const auto units = CutUnits(Tensors({{Matrix(3, 100)}}), {64});
  ASSERT_TRUE(units);
  ASSERT_EQ(units->size(), 3u);
  EXPECT_EQ((*units)[1].bytes, 400u);
}

TEST(CutUnitsTest, KeepsRowsThatShareLinesTogether) {
  StoredMatrix across = Matrix(70, 10);
  across.row_stride = 1;
  across.col_stride = 70;
  const auto units = CutUnits(Tensors({{Matrix(1, 2)}, {across}}), {100});
  ASSERT_TRUE(units);
  ASSERT_EQ(units->size(), 4u);  // the small one; 32, 32 and 6 rows
  EXPECT_EQ((*units)[1].rows[0].count, 32u);
  EXPECT_EQ((*units)[3].rows[0].count, 6u);
}

TEST(CutUnitsTest, KeepsMatricesApartIfAsked) {
  StoredMatrix across = Matrix(70, 10);
  across.row_stride = 1;
  across.col_stride = 70;
  const auto units = CutUnits(
      Tensors({{Matrix(1, 2)}, {Matrix(5, 10), Matrix(5, 10)}, {across}}),
      {.bytes = 1000, .one_matrix = true});
  ASSERT_TRUE(units);
  ASSERT_EQ(units->size(), 4u);
  for (size_t i = 0; i < units->size(); ++i) {
    ASSERT_EQ((*units)[i].rows.size(), 1u) << i;
  }
  EXPECT_EQ((*units)[2].rows[0].source, 1u);
  // Past the size asked for: 70 rows of 40 bytes.
  EXPECT_EQ((*units)[3].rows[0].count, 70u);
}

TEST(CutUnitsTest, BeginsAnewInEachFile) {
  auto tensors = Tensors({{Matrix(1, 2)}, {Matrix(1, 2)}});
  tensors[1].file = 1;
  tensors[1].offset = 8;
  const auto units = CutUnits(tensors, {1000});
  ASSERT_TRUE(units);
  ASSERT_EQ(units->size(), 2u);
  EXPECT_EQ((*units)[1].file, 1u);
  EXPECT_EQ((*units)[1].offset, 8u);
}

TEST(DigestOfTest, TellsPlansApart) {
  ConvertPlan plan;
  plan.files.push_back({"a", "head", 500});
  plan.tensors = Tensors({{Matrix(5, 10)}});
  plan.units = *CutUnits(plan.tensors, {100});
  const auto digest = DigestOf(plan, {"1 2 3"});
  EXPECT_EQ(DigestOf(plan, {"1 2 3"}), digest);
  EXPECT_NE(DigestOf(plan, {"1 2 4"}), digest);
  const auto differs = [&](auto change) {
    ConvertPlan other = plan;
    change(other);
    return DigestOf(other, {"1 2 3"}) != digest;
  };
  EXPECT_TRUE(differs([](ConvertPlan& p) { p.files[0].head = "HEAD"; }));
  EXPECT_TRUE(
      differs([](ConvertPlan& p) { p.tensors[0].form.dtype = DType::kBF16; }));
  EXPECT_TRUE(differs(
      [](ConvertPlan& p) { p.tensors[0].form.non_finite = NonFinite::kKeep; }));
  EXPECT_TRUE(
      differs([](ConvertPlan& p) { p.tensors[0].sources[0].col_stride = 2; }));
  EXPECT_TRUE(
      differs([](ConvertPlan& p) { p.units = *CutUnits(p.tensors, {40}); }));
}

}  // namespace
}  // namespace inference
