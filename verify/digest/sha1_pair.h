// SPDX-License-Identifier: Apache-2.0
// Two SHA-1 side by side on one processor. A round of SHA-1 waits for the one
// before, so that one message keeps the processor's SHA unit less than half
// busy; a second one fills the gaps.
// Tested by tests/verify/digest/sha1_pair_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "verify/base/bytes.h"
#include "verify/digest/digest.h"

namespace verify {

inline constexpr size_t kSha1BlockBytes = 64;
using Sha1State = std::array<uint32_t, 5>;

// Two running digests of messages of the same length. Thread-compatible. Only
// where Supported().
class Sha1Pair {
 public:
  // Whether this processor has the SHA extensions (x86-64).
  static bool Supported();

  Sha1Pair() { Reset(); }

  // Both of the same size, a multiple of kSha1BlockBytes.
  void Update(ByteSpan first, ByteSpan second);
  // The digests of all bytes since the start or the last Finish(); starts anew.
  std::array<Sha1Digest, 2> Finish();
  void Reset();

 private:
  std::array<Sha1State, 2> states_;
  uint64_t size_bytes_ = 0;  // of each
};

}  // namespace verify
