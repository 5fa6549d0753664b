// SPDX-License-Identifier: Apache-2.0
#include "verify/base/memory.h"

#include <gtest/gtest.h>

namespace verify {
namespace {

TEST(MemoryTest, ReadsTheSystemsText) {
  EXPECT_EQ(ParseAvailableMemory("MemTotal:       16000 kB\n"
                                 "MemFree:            7 kB\n"
                                 "MemAvailable:    2000 kB\n"
                                 "Buffers:            1 kB\n"),
            2'048'000u);
  EXPECT_EQ(ParseAvailableMemory("MemAvailable: 0 kB"), 0u);
}

TEST(MemoryTest, IsSilentAboutAnythingElse) {
  for (const char* text :
       {"", "MemAvailable:", "MemAvailable: \n", "MemAvailable: x kB\n",
        "MemAvailable: 12 MB\n", "NotMemAvailable: 12 kB\n",
        "MemAvailable: 99999999999999999999 kB\n",
        "MemAvailable: 18446744073709551615 kB\n"}) {
    EXPECT_FALSE(ParseAvailableMemory(text).has_value()) << text;
  }
}

TEST(MemoryTest, ThisMachineHasSome) {
  const auto available = AvailableMemory();
  ASSERT_TRUE(available.has_value());
  EXPECT_GT(*available, 1u << 20);
}

}  // namespace
}  // namespace verify
