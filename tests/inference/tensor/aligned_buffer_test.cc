// SPDX-License-Identifier: Apache-2.0
#include "inference/tensor/aligned_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>

namespace inference {
namespace {

TEST(AlignedBufferTest, IsAlignedAndHoldsWhatWasAsked) {
  AlignedBuffer<float> buffer;
  EXPECT_EQ(buffer.capacity(), 0u);
  for (const size_t count : {1u, 17u, 1000u}) {
    ASSERT_TRUE(buffer.Reserve(count));
    EXPECT_GE(buffer.capacity(), count);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    buffer.data()[count - 1] = 3.0f;
    EXPECT_EQ(buffer.first(count).back(), 3.0f);
  }
}

TEST(AlignedBufferTest, KeepsItsMemoryWhenItNeedNotGrow) {
  AlignedBuffer<float> buffer;
  ASSERT_TRUE(buffer.Reserve(100));
  const float* before = buffer.data();
  ASSERT_TRUE(buffer.Reserve(10));
  EXPECT_EQ(buffer.data(), before);
}

TEST(AlignedBufferTest, RefusesWhatNoMachineHolds) {
  AlignedBuffer<float> buffer;
  ASSERT_TRUE(buffer.Reserve(4));
  const float* before = buffer.data();
  EXPECT_FALSE(buffer.Reserve(std::numeric_limits<size_t>::max()));
  EXPECT_FALSE(buffer.Reserve(std::numeric_limits<size_t>::max() / 4));
  EXPECT_EQ(buffer.data(), before);
}

TEST(AlignedBufferTest, Moves) {
  AlignedBuffer<int> a;
  ASSERT_TRUE(a.Reserve(4));
  a.data()[3] = 9;
  const AlignedBuffer<int> b = std::move(a);
  EXPECT_EQ(b.data()[3], 9);
}

}  // namespace
}  // namespace inference
