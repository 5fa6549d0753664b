// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/tensor_stream.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <span>
#include <vector>

namespace inference {
namespace {

using verify::ByteSpan;
using verify::DType;
using verify::ErrorCode;
using verify::Result;
using verify::TensorInfo;

TensorInfo F32Tensor(std::vector<uint64_t> shape,
                     std::vector<uint64_t> strides = {}) {
  TensorInfo tensor;
  tensor.name = "t";
  tensor.dtype = DType::kF32;
  tensor.shape = std::move(shape);
  tensor.strides = std::move(strides);
  return tensor;
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

Streamed Stream(const TensorInfo& tensor, std::span<const float> values,
                DType to, uint64_t half_rotated_heads = 0,
                size_t num_threads = 2) {
  verify::ThreadPool pool(num_threads);
  const verify::CancelToken cancel;
  Streamed streamed;
  streamed.result = StreamRows(
      {.tensor = &tensor,
       .bytes = std::as_bytes(values),
       .half_rotated_heads = half_rotated_heads},
      to, pool, cancel, [&](ByteSpan bytes) -> Result<void> {
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
  const TensorInfo tensor = F32Tensor({3, 2, 4});
  const auto streamed = Stream(tensor, Count(24), DType::kF32);
  ASSERT_TRUE(streamed.result);
  EXPECT_EQ(streamed.Floats(), Count(24));
}

// docs/formats/gguf.md: for a head of 8, Mistral to HF takes rows
// 0 2 4 6 1 3 5 7; here the way back, over two heads of rows of one number.
TEST(TensorStreamTest, PutsHalfRotatedRowsInInterleavedOrder) {
  const TensorInfo tensor = F32Tensor({16, 1});
  std::vector<float> half_rotated;
  for (const float head : {0.0f, 8.0f}) {
    for (const float row : {0.f, 2.f, 4.f, 6.f, 1.f, 3.f, 5.f, 7.f}) {
      half_rotated.push_back(head + row);
    }
  }
  const auto streamed = Stream(tensor, half_rotated, DType::kF32, 2);
  ASSERT_TRUE(streamed.result);
  EXPECT_EQ(streamed.Floats(), Count(16));
}

TEST(TensorStreamTest, GathersTensorsWithStrides) {
  // The transpose of a [3, 4] matrix that counts from 0.
  const auto transposed =
      Stream(F32Tensor({4, 3}, {1, 4}), Count(12), DType::kF32);
  ASSERT_TRUE(transposed.result);
  EXPECT_EQ(transposed.Floats(),
            (std::vector<float>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
  // [2, 2, 2] with a hole after each pair of rows.
  const auto holes =
      Stream(F32Tensor({2, 2, 2}, {6, 2, 1}), Count(10), DType::kF32);
  ASSERT_TRUE(holes.result);
  EXPECT_EQ(holes.Floats(), (std::vector<float>{0, 1, 2, 3, 6, 7, 8, 9}));
}

TEST(TensorStreamTest, GivesTheSameBytesForAnyNumberOfThreads) {
  // 612,000 bytes of result: three ranges of 256 KiB.
  const TensorInfo tensor = F32Tensor({6000, 96});
  std::vector<float> values(6000 * 96);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i * 7919 % 4096) / 1024.0f - 2.0f;
  }
  const auto one = Stream(tensor, values, DType::kQ8_0, 0, 1);
  ASSERT_TRUE(one.result);
  EXPECT_EQ(one.bytes.size(), 6000u * 3 * 34);
  for (const size_t threads : {2u, 3u}) {
    EXPECT_EQ(Stream(tensor, values, DType::kQ8_0, 0, threads).bytes,
              one.bytes);
  }
}

// 17 MiB: more than one batch.
TEST(TensorStreamTest, StreamsLargeTensorsInBatches) {
  const auto values = Count(68 * 65536);
  const auto streamed = Stream(F32Tensor({68, 65536}), values, DType::kF32);
  ASSERT_TRUE(streamed.result);
  EXPECT_TRUE(streamed.Floats() == values);
}

TEST(TensorStreamTest, NamesTheFirstRowThatDoesNotConvert) {
  std::vector<float> values = Count(64 * 32);
  values[40 * 32 + 5] = std::numeric_limits<float>::quiet_NaN();
  values[17 * 32] = std::numeric_limits<float>::infinity();
  for (const DType to : {DType::kF32, DType::kBF16, DType::kQ8_0}) {
    const auto streamed = Stream(F32Tensor({64, 32}), values, to);
    ASSERT_FALSE(streamed.result);
    EXPECT_EQ(streamed.result.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(streamed.result.error().id, "E-NOT-FINITE");
    EXPECT_NE(streamed.result.error().message.find("row 17"),
              std::string::npos);
  }
  // Finite, but beyond half.
  values = Count(32);
  values[3] = 70000;
  EXPECT_TRUE(Stream(F32Tensor({1, 32}), values, DType::kBF16).result);
  EXPECT_FALSE(Stream(F32Tensor({1, 32}), values, DType::kF16).result);
}

TEST(TensorStreamTest, RefusesTypesThatAreNotDecoded) {
  TensorInfo tensor = F32Tensor({2, 256});
  const auto values = Count(512);
  tensor.dtype = DType::kI32;
  auto streamed = Stream(tensor, values, DType::kBF16);
  ASSERT_FALSE(streamed.result);
  EXPECT_EQ(streamed.result.error().code, ErrorCode::kUnsupported);
  // Decoded, but worth nothing without its scales.
  tensor.dtype = DType::kF8E4M3;
  EXPECT_FALSE(Stream(tensor, values, DType::kBF16).result);
  // Blocks with strides, and rows that are no whole blocks.
  tensor = F32Tensor({2, 32}, {32, 1});
  tensor.dtype = DType::kQ8_0;
  streamed = Stream(tensor, values, DType::kBF16);
  EXPECT_FALSE(streamed.result);
  streamed = Stream(F32Tensor({2, 33}), values, DType::kQ8_0);
  EXPECT_FALSE(streamed.result);
}

TEST(TensorStreamTest, StopsWhenCancelledAndPassesErrorsOn) {
  const TensorInfo tensor = F32Tensor({2, 2});
  const auto values = Count(4);
  verify::ThreadPool pool(1);
  verify::CancelToken cancel;
  const RowSource source{.tensor = &tensor,
                         .bytes = std::as_bytes(std::span(values))};
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
