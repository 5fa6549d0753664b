// SPDX-License-Identifier: Apache-2.0
#include "verify/container/crc32.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/zip_builder.h"

namespace verify {
namespace {

// The check value of CRC-32/ISO-HDLC in every catalogue of CRCs.
TEST(Crc32Test, MatchesCheckValue) {
  EXPECT_EQ(Crc32(AsBytes("123456789")), 0xcbf43926u);
  EXPECT_EQ(Crc32({}), 0u);
}

// The "CRC32" of a well-known sentence, as zlib and gzip print it.
TEST(Crc32Test, MatchesKnownSentence) {
  EXPECT_EQ(Crc32(AsBytes("The quick brown fox jumps over the lazy dog")),
            0x414fa339u);
}

TEST(Crc32Test, MatchesBitwiseFormForEveryLength) {
  std::string bytes;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(Crc32(AsBytes(bytes)), tests::SlowCrc32(bytes)) << i;
    bytes += static_cast<char>(i * 37 + 11);
  }
}

TEST(Crc32Test, ContinuesFromAnyPoint) {
  const std::string bytes = "one two three four five six seven";
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    const ByteSpan all = AsBytes(bytes);
    EXPECT_EQ(Crc32(all.subspan(cut), Crc32(all.first(cut))), Crc32(all));
  }
}

}  // namespace
}  // namespace verify
