// SPDX-License-Identifier: Apache-2.0
#include "verify/base/bytes.h"

#include <array>
#include <limits>

namespace verify {
namespace {

TEST(CheckedArithmeticTest, GivesNothingOnOverflow) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(CheckedAdd<uint64_t>(kMax - 1, 1), kMax);
  EXPECT_FALSE(CheckedAdd<uint64_t>(kMax, 1).has_value());
  EXPECT_EQ(CheckedMul<uint64_t>(kMax / 2, 2), kMax - 1);
  EXPECT_FALSE(CheckedMul<uint64_t>(kMax / 2 + 1, 2).has_value());
  EXPECT_EQ(CheckedMul<uint64_t>(0, kMax), 0u);
}

TEST(AlignUpTest, RoundsToTheNextMultiple) {
  EXPECT_EQ(AlignUp<uint64_t>(0, 32), 0u);
  EXPECT_EQ(AlignUp<uint64_t>(1, 32), 32u);
  EXPECT_EQ(AlignUp<uint64_t>(32, 32), 32u);
  // A padding that wraps to 0 was a published flaw of another reader.
  EXPECT_FALSE(
      AlignUp<uint64_t>(std::numeric_limits<uint64_t>::max() - 3, 32));
}

TEST(ByteReaderTest, ReadsLittleEndianAtAnyAlignment) {
  constexpr std::array<std::byte, 7> kBytes = {
      std::byte{0xAA}, std::byte{0x01}, std::byte{0x02}, std::byte{0x03},
      std::byte{0x04}, std::byte{0xFF}, std::byte{0xFE}};
  ByteReader reader(kBytes, 100);
  EXPECT_EQ(*reader.Read<uint8_t>(), 0xAA);
  EXPECT_EQ(*reader.Read<uint32_t>(), 0x04030201u);
  EXPECT_EQ(*reader.Read<int16_t>(), static_cast<int16_t>(0xFEFF));
  EXPECT_TRUE(reader.empty());
  EXPECT_EQ(reader.offset(), 107u);
}

TEST(ByteReaderTest, RefusesToReadPastTheEndAndStays) {
  constexpr std::array<std::byte, 3> kBytes = {};
  ByteReader reader(kBytes, 10);
  ASSERT_TRUE(reader.ReadBytes(1).has_value());
  const auto result = reader.Read<uint32_t>();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(result.error().offset, 11u);
  EXPECT_EQ(reader.remaining(), 2u);
  EXPECT_FALSE(
      reader.ReadBytes(std::numeric_limits<uint64_t>::max()).has_value());
}

}  // namespace
}  // namespace verify
