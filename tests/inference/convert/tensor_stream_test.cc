// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/tensor_stream.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <vector>

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

struct Streamed {
  Result<void> result;
  std::vector<std::byte> bytes;

  std::vector<float> Floats() const {
    std::vector<float> out(bytes.size() / sizeof(float));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
};

Streamed Stream(StoredMatrix matrix, std::span<const float> values, DType to,
                size_t num_threads = 2) {
  matrix.bytes = std::as_bytes(values);
  verify::ThreadPool pool(num_threads);
  const verify::CancelToken cancel;
  Streamed streamed;
  streamed.result =
      StreamRows(matrix, to, pool, cancel, [&](ByteSpan bytes) -> Result<void> {
        streamed.bytes.insert(streamed.bytes.end(), bytes.begin(), bytes.end());
        return {};
      });
  return streamed;
}

std::vector<float> Count(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return values;
}

TEST(TensorStreamTest, KeepsRowsInOrder) {
  const auto streamed = Stream(F32Matrix(6, 4), Count(24), DType::kF32);
  ASSERT_TRUE(streamed.result);
  EXPECT_EQ(streamed.Floats(), Count(24));
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
  const auto streamed = Stream(matrix, half_rotated, DType::kF32);
  ASSERT_TRUE(streamed.result);
  EXPECT_EQ(streamed.Floats(), Count(16));
}

TEST(TensorStreamTest, GathersTransposedRows) {
  // The transpose of a [3, 4] matrix that counts from 0.
  const auto transposed =
      Stream(F32Matrix(4, 3, Strides{1, 4}), Count(12), DType::kF32);
  ASSERT_TRUE(transposed.result);
  EXPECT_EQ(transposed.Floats(),
            (std::vector<float>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
  // More rows than are gathered at once.
  const auto wide =
      Stream(F32Matrix(100, 2, Strides{1, 100}), Count(200), DType::kF32);
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
      Stream(F32Matrix(2, 4, Strides{6, 1}), Count(10), DType::kF32);
  ASSERT_TRUE(holes.result);
  EXPECT_EQ(holes.Floats(), (std::vector<float>{0, 1, 2, 3, 6, 7, 8, 9}));
}

TEST(TensorStreamTest, GivesTheSameBytesForAnyNumberOfThreads) {
  // 612,000 bytes of result: three ranges of 256 KiB.
  const StoredMatrix matrix = F32Matrix(6000, 96);
  std::vector<float> values(6000 * 96);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i * 7919 % 4096) / 1024.0f - 2.0f;
  }
  const auto one = Stream(matrix, values, DType::kQ8_0, 1);
  ASSERT_TRUE(one.result);
  EXPECT_EQ(one.bytes.size(), 6000u * 3 * 34);
  for (const size_t threads : {2u, 3u}) {
    EXPECT_EQ(Stream(matrix, values, DType::kQ8_0, threads).bytes, one.bytes);
  }
}

// 17 MiB: more than one batch.
TEST(TensorStreamTest, StreamsLargeTensorsInBatches) {
  const auto values = Count(68 * 65536);
  const auto streamed = Stream(F32Matrix(68, 65536), values, DType::kF32);
  ASSERT_TRUE(streamed.result);
  EXPECT_TRUE(streamed.Floats() == values);
}

TEST(TensorStreamTest, NamesTheFirstRowThatDoesNotConvert) {
  std::vector<float> values = Count(64 * 32);
  values[40 * 32 + 5] = std::numeric_limits<float>::quiet_NaN();
  values[17 * 32] = std::numeric_limits<float>::infinity();
  for (const DType to : {DType::kF32, DType::kBF16, DType::kQ8_0}) {
    const auto streamed = Stream(F32Matrix(64, 32), values, to);
    ASSERT_FALSE(streamed.result);
    EXPECT_EQ(streamed.result.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(streamed.result.error().id, "E-NOT-FINITE");
    EXPECT_NE(streamed.result.error().message.find("row 17"),
              std::string::npos);
  }
  // Finite, but beyond half.
  values = Count(32);
  values[3] = 70000;
  EXPECT_TRUE(Stream(F32Matrix(1, 32), values, DType::kBF16).result);
  EXPECT_FALSE(Stream(F32Matrix(1, 32), values, DType::kF16).result);
}

TEST(TensorStreamTest, RefusesWhatIsNotConverted) {
  const auto values = Count(512);
  StoredMatrix matrix = F32Matrix(2, 256);
  const TensorInfo integers = TensorOf(DType::kI32);
  matrix.tensor = &integers;
  const auto streamed = Stream(matrix, values, DType::kBF16);
  ASSERT_FALSE(streamed.result);
  EXPECT_EQ(streamed.result.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(streamed.result.error().id, "E-DTYPE");
  // Decoded, but worth nothing without its scales.
  const TensorInfo without_scales = TensorOf(DType::kF8E4M3);
  matrix.tensor = &without_scales;
  EXPECT_FALSE(Stream(matrix, values, DType::kBF16).result);
  // Rows that are no whole blocks.
  EXPECT_FALSE(Stream(F32Matrix(2, 33), values, DType::kQ8_0).result);
}

TEST(TensorStreamTest, StopsWhenCancelledAndPassesErrorsOn) {
  const auto values = Count(4);
  verify::ThreadPool pool(1);
  verify::CancelToken cancel;
  StoredMatrix source = F32Matrix(2, 2);
  source.bytes = std::as_bytes(std::span(values));
  auto result = StreamRows(source, DType::kF32, pool, cancel, [](ByteSpan) {
    return Result<void>(verify::Fail(ErrorCode::kIo, "no"));
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kIo);
  cancel.Cancel();
  result = StreamRows(source, DType::kF32, pool, cancel,
                      [](ByteSpan) { return Result<void>(); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace inference
