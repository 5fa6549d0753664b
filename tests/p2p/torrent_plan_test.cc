// SPDX-License-Identifier: Apache-2.0
#include "p2p/torrent_plan.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace p2p {
namespace {

InfoHashes Hashes(int v1, int v2) {
  InfoHashes hashes;
  if (v1 != 0) hashes.v1.emplace().fill(static_cast<std::byte>(v1));
  if (v2 != 0) hashes.v2.emplace().fill(static_cast<std::byte>(v2));
  return hashes;
}

TEST(CheckIdentityTest, EveryHashAskedForMustBeThere) {
  EXPECT_TRUE(CheckIdentity(Hashes(1, 0), Hashes(1, 0)).has_value());
  EXPECT_TRUE(CheckIdentity(Hashes(1, 0), Hashes(1, 2)).has_value());
  EXPECT_TRUE(CheckIdentity(Hashes(0, 2), Hashes(1, 2)).has_value());
  EXPECT_TRUE(CheckIdentity(Hashes(1, 2), Hashes(1, 2)).has_value());
  for (const auto& [wanted, got] : {std::pair(Hashes(1, 0), Hashes(3, 0)),
                                    std::pair(Hashes(1, 0), Hashes(0, 2)),
                                    std::pair(Hashes(0, 2), Hashes(1, 3)),
                                    std::pair(Hashes(1, 2), Hashes(3, 4))}) {
    tests::ExpectError(CheckIdentity(wanted, got), verify::ErrorCode::kMismatch,
                       "asked for", "E-INFO-HASH");
  }
}

TEST(CheckIdentityTest, A4RefusesAPairOfWhichOneIsAnothers) {
  for (const InfoHashes& got :
       {Hashes(1, 0), Hashes(1, 9), Hashes(0, 2), Hashes(9, 2)}) {
    tests::ExpectError(CheckIdentity(Hashes(1, 2), got),
                       verify::ErrorCode::kCorrupt,
                       "of the two hashes asked for only", "E-HASH-PAIR");
  }
}

}  // namespace
}  // namespace p2p
