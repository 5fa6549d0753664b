// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <numeric>
#include <span>
#include <thread>
#include <vector>

#include "inference/convert/tensor_stream.h"
#include "verify/container/xxh64.h"

namespace inference {
namespace {

using verify::ByteSpan;
using verify::DType;
using verify::ErrorCode;
using verify::Result;

// One tensor of 200 rows of 8 floats, a unit for every three rows.
class PipelineTest : public testing::Test {
 protected:
  PipelineTest() : values_(1600) {
    std::iota(values_.begin(), values_.end(), 0.0f);
    info_.name = "t";
    info_.dtype = DType::kF32;
    StoredMatrix matrix;
    matrix.tensor = &info_;
    matrix.rows = 200;
    matrix.cols = 8;
    matrix.row_stride = 8;
    matrix.bytes = std::as_bytes(std::span(values_));
    PlannedTensor tensor;
    tensor.form.dtype = DType::kF32;
    tensor.sources = {matrix};
    tensor.bytes = 6400;
    tensor.padded_bytes = 6400;
    plan_.tensors = {tensor};
    plan_.units = *CutUnits(plan_.tensors, {96});
    for (size_t i = 0; i < plan_.units.size(); ++i) all_.push_back(i);
  }

  Result<void> Run(size_t num_threads, const UnitSink& sink) {
    return RunUnits(plan_, SourceReader(), all_, num_threads, cancel_, sink);
  }

  verify::TensorInfo info_;
  std::vector<float> values_;
  ConvertPlan plan_;
  std::vector<size_t> all_;
  verify::CancelToken cancel_;
};

TEST_F(PipelineTest, HandsOnUnitsInOrderOnTheCallersThread) {
  for (const size_t threads : {1u, 2u, 3u, 8u, 100u}) {
    std::vector<std::byte> out;
    std::vector<size_t> order;
    const auto caller = std::this_thread::get_id();
    ASSERT_TRUE(Run(threads, [&](size_t unit, ByteSpan bytes, uint64_t sum) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      EXPECT_EQ(sum, verify::Xxh64(bytes));
      order.push_back(unit);
      out.insert(out.end(), bytes.begin(), bytes.end());
      return Result<void>();
    }));
    EXPECT_EQ(order, all_);
    const ByteSpan expected = std::as_bytes(std::span(values_));
    EXPECT_TRUE(
        std::equal(out.begin(), out.end(), expected.begin(), expected.end()));
  }
}

// Rows longer than what is read at a time, of heads whose rows change places;
// every buffer is used several times, and there are zeros between tensors.
TEST_F(PipelineTest, ReadsLongRowsInPieces) {
  constexpr uint64_t kRows = 8;
  constexpr uint64_t kCols = 32768;
  constexpr uint64_t kPadding = 96;
  constexpr uint64_t kTensors = 20;
  std::vector<float> values(kRows * kCols);
  std::iota(values.begin(), values.end(), 1.0f);
  StoredMatrix matrix = plan_.tensors.at(0).sources.at(0);
  matrix.rows = kRows;
  matrix.cols = kCols;
  matrix.row_stride = kCols;
  matrix.half_rotated_heads = 2;
  matrix.bytes = std::as_bytes(std::span(values));
  std::vector<std::byte> expected(values.size() * sizeof(float));
  ASSERT_TRUE(ConvertRows(matrix, {.dtype = DType::kF32}, 0, kRows, expected));
  expected.resize(expected.size() + kPadding);
  plan_.tensors.clear();
  for (uint64_t i = 0; i < kTensors; ++i) {
    PlannedTensor tensor;
    tensor.form.dtype = DType::kF32;
    tensor.sources = {matrix};
    tensor.offset = i * expected.size();
    tensor.bytes = expected.size() - kPadding;
    tensor.padded_bytes = expected.size();
    plan_.tensors.push_back(tensor);
  }
  plan_.units = *CutUnits(plan_.tensors, {6 * kCols * sizeof(float)});
  all_.resize(plan_.units.size());
  std::iota(all_.begin(), all_.end(), size_t{0});
  for (const size_t threads : {1u, 3u}) {
    std::vector<std::byte> out;
    ASSERT_TRUE(Run(threads, [&](size_t, ByteSpan bytes, uint64_t) {
      out.insert(out.end(), bytes.begin(), bytes.end());
      return Result<void>();
    }));
    ASSERT_EQ(out.size(), kTensors * expected.size());
    for (uint64_t i = 0; i < kTensors; ++i) {
      EXPECT_TRUE(
          std::equal(expected.begin(), expected.end(),
                     out.begin() + static_cast<ptrdiff_t>(i * expected.size())))
          << i;
    }
  }
}

TEST_F(PipelineTest, ComputesOnlyWhatIsToBeDone) {
  const std::vector<size_t> todo = {1, 5, 66};
  std::vector<size_t> order;
  ASSERT_TRUE(RunUnits(plan_, SourceReader(), todo, 2, cancel_,
                       [&](size_t unit, ByteSpan bytes, uint64_t) {
                         order.push_back(unit);
                         EXPECT_EQ(bytes.size(), plan_.units[unit].bytes);
                         return Result<void>();
                       }));
  EXPECT_EQ(order, todo);
  EXPECT_TRUE(RunUnits(plan_, SourceReader(), {}, 2, cancel_,
                       [](size_t, ByteSpan, uint64_t) -> Result<void> {
                         return verify::Fail(ErrorCode::kInternal, "called");
                       }));
}

// Whatever thread finds it, and however many follow.
TEST_F(PipelineTest, FailsWithTheFirstRowThatDoesNotConvert) {
  for (const size_t row : {30u, 31u, 90u, 150u, 199u}) {
    values_[row * 8 + 1] = std::numeric_limits<float>::infinity();
  }
  for (const size_t threads : {1u, 2u, 8u}) {
    size_t handed_on = 0;
    const auto result = Run(threads, [&](size_t, ByteSpan, uint64_t) {
      ++handed_on;
      return Result<void>();
    });
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().id, "E-NOT-FINITE");
    EXPECT_NE(result.error().message.find("row 30:"), std::string::npos);
    EXPECT_EQ(handed_on, 10u);  // units of rows 0 to 29
  }
}

TEST_F(PipelineTest, StopsWhenCancelledAndPassesErrorsOn) {
  size_t calls = 0;
  auto result = Run(2, [&](size_t, ByteSpan, uint64_t) -> Result<void> {
    if (++calls < 3) return {};
    return verify::Fail(ErrorCode::kIo, "no");
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kIo);
  EXPECT_EQ(calls, 3u);
  calls = 0;
  result = Run(2, [&](size_t, ByteSpan, uint64_t) -> Result<void> {
    if (++calls == 2) cancel_.Cancel();
    return {};
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(calls, 2u);
}

}  // namespace
}  // namespace inference
