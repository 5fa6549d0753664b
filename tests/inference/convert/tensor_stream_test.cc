// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/tensor_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "inference/quant/quantize.h"

namespace inference {
namespace {

using verify::ByteSpan;
using verify::DType;
using verify::ErrorCode;
using verify::Result;
using verify::TensorInfo;

TensorInfo TensorOf(DType dtype) {
  TensorInfo tensor;
  tensor.name = "t";
  tensor.dtype = dtype;
  return tensor;
}

// A matrix of floats, over values that the caller keeps.
struct Strides {
  uint64_t row = 0;
  uint64_t col = 1;
};
StoredMatrix F32Matrix(uint64_t rows, uint64_t cols,
                       std::optional<Strides> strides = std::nullopt) {
  static const TensorInfo kTensor = TensorOf(DType::kF32);
  StoredMatrix matrix;
  matrix.tensor = &kTensor;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.row_stride = strides.has_value() ? strides->row : cols;
  matrix.col_stride = strides.has_value() ? strides->col : 1;
  return matrix;
}

struct Converted {
  Result<void> result;
  std::vector<std::byte> bytes;

  std::vector<float> Floats() const {
    std::vector<float> out(bytes.size() / sizeof(float));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
};

// All rows, `at_once` in a call.
Converted Convert(StoredMatrix matrix, std::span<const float> values,
                  const RowForm& form, uint64_t at_once = UINT64_MAX) {
  matrix.bytes = std::as_bytes(values);
  Converted converted;
  const auto row_bytes = ConvertedRowBytes(matrix, form.dtype);
  if (!row_bytes) {
    converted.result = verify::Unexpected(row_bytes.error());
    return converted;
  }
  converted.bytes.resize(matrix.rows * *row_bytes);
  for (uint64_t first = 0; first < matrix.rows && converted.result;) {
    const uint64_t count = std::min(at_once, matrix.rows - first);
    converted.result =
        ConvertRows(matrix, form, first, count,
                    std::span(converted.bytes)
                        .subspan(first * *row_bytes, count * *row_bytes));
    first += count;
  }
  return converted;
}

Converted Convert(StoredMatrix matrix, std::span<const float> values, DType to,
                  uint64_t at_once = UINT64_MAX) {
  return Convert(matrix, values, RowForm{.dtype = to}, at_once);
}

std::vector<float> Count(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return values;
}

TEST(TensorStreamTest, KeepsRowsInOrder) {
  const auto converted = Convert(F32Matrix(6, 4), Count(24), DType::kF32);
  ASSERT_TRUE(converted.result);
  EXPECT_EQ(converted.Floats(), Count(24));
}

// docs/formats/gguf.md: for a head of 8, Mistral to HF takes rows
// 0 2 4 6 1 3 5 7; here the way back, over two heads of rows of one number.
TEST(TensorStreamTest, PutsHalfRotatedRowsInInterleavedOrder) {
  StoredMatrix matrix = F32Matrix(16, 1);
  matrix.half_rotated_heads = 2;
  std::vector<float> half_rotated;
  for (const float head : {0.0f, 8.0f}) {
    for (const float row : {0.f, 2.f, 4.f, 6.f, 1.f, 3.f, 5.f, 7.f}) {
      half_rotated.push_back(head + row);
    }
  }
  const auto converted = Convert(matrix, half_rotated, DType::kF32);
  ASSERT_TRUE(converted.result);
  EXPECT_EQ(converted.Floats(), Count(16));
}

TEST(TensorStreamTest, GathersTransposedRows) {
  // The transpose of a [3, 4] matrix that counts from 0.
  const auto transposed =
      Convert(F32Matrix(4, 3, Strides{1, 4}), Count(12), DType::kF32);
  ASSERT_TRUE(transposed.result);
  EXPECT_EQ(transposed.Floats(),
            (std::vector<float>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
  // More rows than are gathered at once.
  const auto wide =
      Convert(F32Matrix(100, 2, Strides{1, 100}), Count(200), DType::kF32);
  ASSERT_TRUE(wide.result);
  const std::vector<float> floats = wide.Floats();
  ASSERT_EQ(floats.size(), 200u);
  for (size_t r = 0; r < 100; ++r) {
    EXPECT_EQ(floats[2 * r], static_cast<float>(r));
    EXPECT_EQ(floats[2 * r + 1], static_cast<float>(100 + r));
  }
}

TEST(TensorStreamTest, PassesOverHolesBetweenRows) {
  const auto holes =
      Convert(F32Matrix(2, 4, Strides{6, 1}), Count(10), DType::kF32);
  ASSERT_TRUE(holes.result);
  EXPECT_EQ(holes.Floats(), (std::vector<float>{0, 1, 2, 3, 6, 7, 8, 9}));
}

// The way there: HF's row p of a head is Mistral's row 2 (p mod P) + p / P.
TEST(TensorStreamTest, PutsInterleavedRowsInHalfRotatedOrder) {
  const auto converted =
      Convert(F32Matrix(16, 1), Count(16),
              RowForm{.dtype = DType::kF32, .half_rotated_heads = 2});
  ASSERT_TRUE(converted.result);
  EXPECT_EQ(converted.Floats(),
            (std::vector<float>{0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11,
                                13, 15}));
}

TEST(TensorStreamTest, LeavesRowsThatStandRightAlready) {
  StoredMatrix matrix = F32Matrix(16, 1);
  matrix.half_rotated_heads = 2;
  const auto converted =
      Convert(matrix, Count(16),
              RowForm{.dtype = DType::kF32, .half_rotated_heads = 2});
  ASSERT_TRUE(converted.result);
  EXPECT_EQ(converted.Floats(), Count(16));
}

TEST(TensorStreamTest, GivesTheSameBytesHoweverRowsAreGrouped) {
  std::vector<float> values(60 * 96);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i * 7919 % 4096) / 1024.0f - 2.0f;
  }
  for (const std::optional<Strides>& strides :
       {std::optional<Strides>(), std::optional<Strides>(Strides{1, 60})}) {
    StoredMatrix matrix = F32Matrix(60, 96, strides);
    if (!strides.has_value()) matrix.half_rotated_heads = 3;
    const auto whole = Convert(matrix, values, DType::kQ8_0);
    ASSERT_TRUE(whole.result);
    EXPECT_EQ(whole.bytes.size(), 60u * 3 * 34);
    for (const uint64_t at_once : {1u, 7u, 32u, 59u}) {
      EXPECT_EQ(Convert(matrix, values, DType::kQ8_0, at_once).bytes,
                whole.bytes);
    }
  }
}

TEST(TensorStreamTest, SaysWhichBytesItReads) {
  const auto values = Count(16 * 4);
  StoredMatrix matrix = F32Matrix(16, 4);
  matrix.bytes = std::as_bytes(std::span(values));
  // Rows 3 and 4 of 16 bytes.
  const ByteSpan plain =
      BytesOfRows(matrix, {.dtype = DType::kF32}, 3, 2).at(0);
  EXPECT_EQ(plain.data(), matrix.bytes.data() + 48);
  EXPECT_EQ(plain.size(), 32u);
  // Rows of the second of two heads come from all over it.
  matrix.half_rotated_heads = 2;
  const ByteSpan head = BytesOfRows(matrix, {.dtype = DType::kF32}, 9, 2).at(0);
  EXPECT_EQ(head.data(), matrix.bytes.data() + 128);
  EXPECT_EQ(head.size(), 128u);
  // Those that lie across, from everywhere.
  StoredMatrix across = F32Matrix(4, 16, Strides{1, 4});
  across.bytes = matrix.bytes;
  EXPECT_EQ(BytesOfRows(across, {.dtype = DType::kF32}, 1, 1).at(0).size(),
            256u);
}

TEST(TensorStreamTest, SaysHowManyRowsAreReadTogether) {
  StoredMatrix matrix = F32Matrix(16, 4);  // 16 bytes a row
  const RowForm form = {.dtype = DType::kF32};
  EXPECT_EQ(RowsWithin(matrix, form, 16 * 5 + 15), 5u);
  EXPECT_EQ(RowsWithin(matrix, form, 1), 1u);
  // Rows of a head of four change places with each other.
  matrix.half_rotated_heads = 4;
  EXPECT_EQ(RowsWithin(matrix, form, 16 * 11), 8u);
  EXPECT_EQ(RowsWithin(matrix, form, 1), 4u);
  EXPECT_EQ(RowsWithin(F32Matrix(4, 16, Strides{1, 4}), form, 1), 4u);
}

TEST(TensorStreamTest, KeepsNanAndInfinityWhereAskedAndPossible) {
  std::vector<float> values = Count(32);
  values[3] = std::numeric_limits<float>::quiet_NaN();
  values[4] = -std::numeric_limits<float>::infinity();
  for (const DType to : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto converted =
        Convert(F32Matrix(1, 32), values,
                RowForm{.dtype = to, .non_finite = NonFinite::kKeep});
    ASSERT_TRUE(converted.result);
    std::vector<float> back(32);
    DecodeRow(to, converted.bytes, back);
    EXPECT_TRUE(std::isnan(back[3]));
    EXPECT_EQ(back[4], values[4]);
    EXPECT_EQ(back[5], 5.0f);
  }
  EXPECT_FALSE(
      Convert(F32Matrix(1, 32), values,
              RowForm{.dtype = DType::kQ8_0, .non_finite = NonFinite::kKeep})
          .result);
  // What was finite does not become infinite.
  values[5] = 70000;
  EXPECT_FALSE(
      Convert(F32Matrix(1, 32), values,
              RowForm{.dtype = DType::kF16, .non_finite = NonFinite::kKeep})
          .result);
}

TEST(TensorStreamTest, NamesTheFirstRowThatDoesNotConvert) {
  std::vector<float> values = Count(64 * 32);
  values[40 * 32 + 5] = std::numeric_limits<float>::quiet_NaN();
  values[17 * 32] = std::numeric_limits<float>::infinity();
  for (const DType to : {DType::kF32, DType::kBF16, DType::kQ8_0}) {
    const auto converted = Convert(F32Matrix(64, 32), values, to);
    ASSERT_FALSE(converted.result);
    EXPECT_EQ(converted.result.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(converted.result.error().id, "E-NOT-FINITE");
    EXPECT_NE(converted.result.error().message.find("row 17"),
              std::string::npos);
  }
  // Finite, but beyond half.
  values = Count(32);
  values[3] = 70000;
  EXPECT_TRUE(Convert(F32Matrix(1, 32), values, DType::kBF16).result);
  EXPECT_FALSE(Convert(F32Matrix(1, 32), values, DType::kF16).result);
}

TEST(TensorStreamTest, RefusesWhatIsNotConverted) {
  const auto values = Count(512);
  StoredMatrix matrix = F32Matrix(2, 256);
  const TensorInfo integers = TensorOf(DType::kI32);
  matrix.tensor = &integers;
  const auto converted = Convert(matrix, values, DType::kBF16);
  ASSERT_FALSE(converted.result);
  EXPECT_EQ(converted.result.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(converted.result.error().id, "E-DTYPE");
  // Decoded, but worth nothing without its scales.
  const TensorInfo without_scales = TensorOf(DType::kF8E4M3);
  matrix.tensor = &without_scales;
  EXPECT_FALSE(Convert(matrix, values, DType::kBF16).result);
  // Rows that are no whole blocks.
  EXPECT_FALSE(Convert(F32Matrix(2, 33), values, DType::kQ8_0).result);
}

// Two slices of 8 rows below each other, and side by side.
TEST(BytesOfRowsTest, SlicesGiveTheirRows) {
  const std::vector<std::byte> a(8 * 16);
  const std::vector<std::byte> b(8 * 16);
  StoredMatrix matrix;
  verify::TensorInfo info;
  info.dtype = DType::kF32;
  matrix.tensor = &info;
  matrix.rows = 16;
  matrix.cols = 4;
  matrix.row_stride = 4;
  matrix.slices = {a, b};
  const RowForm form = {.dtype = DType::kF32};
  auto found = BytesOfRows(matrix, form, 6, 4);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].data(), a.data() + 6 * 16);
  EXPECT_EQ(found[0].size(), 2u * 16);
  EXPECT_EQ(found[1].data(), b.data());
  EXPECT_EQ(found[1].size(), 2u * 16);
  found = BytesOfRows(matrix, form, 9, 1);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].data(), b.data() + 16);
  matrix.rows = 8;
  matrix.cols = 8;
  matrix.slices_are_columns = true;
  found = BytesOfRows(matrix, form, 2, 3);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].data(), a.data() + 2 * 16);
  EXPECT_EQ(found[1].data(), b.data() + 2 * 16);
  EXPECT_EQ(found[1].size(), 3u * 16);
}

}  // namespace
}  // namespace inference
