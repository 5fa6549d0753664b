// SPDX-License-Identifier: Apache-2.0
#include "verify/container/xxh64.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/archive_builder.h"

namespace verify {
namespace {

// Published values of the reference implementation, seed 0.
TEST(Xxh64Test, GivesPublishedValues) {
  EXPECT_EQ(Xxh64({}), 0xEF46DB3751D8E999u);
  EXPECT_EQ(Xxh64(AsBytes("a")), 0xD24EC4F1A98C6E5Bu);
  EXPECT_EQ(Xxh64(AsBytes("abc")), 0x44BC2CF5AD770999u);
}

// The checksum at the end of a frame is libzstd's own XXH64, its low half.
TEST(Xxh64Test, AgreesWithLibzstdForEveryLength) {
  std::string content;
  for (int i = 0; i < 200; ++i) {
    const std::string frame = tests::ZstdFrameOf(content);
    const auto stored =
        LoadLe<uint32_t>(AsBytes(frame).subspan(frame.size() - 4));
    EXPECT_EQ(static_cast<uint32_t>(Xxh64(AsBytes(content))), stored) << i;
    content += static_cast<char>(i * 37);
  }
}

}  // namespace
}  // namespace verify
