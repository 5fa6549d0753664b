// SPDX-License-Identifier: Apache-2.0
// SHA-256 of messages of which two can go side by side on one processor. A
// round waits for the one before, so that one message keeps the processor's
// SHA unit less than half busy; a second one fills the gaps. Where there are no
// SHA extensions each message goes through OpenSSL.
// Tested by tests/verify/digest/sha256_lane_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "verify/base/bytes.h"
#include "verify/digest/digest.h"

namespace verify {

inline constexpr size_t kSha256BlockBytes = 64;
using Sha256State = std::array<uint32_t, 8>;

// One running digest. Movable; thread-compatible.
class Sha256Lane {
 public:
  // kPlain: OpenSSL's; kFastest: what this processor does best.
  enum class Method { kFastest, kPlain };
  // Whether two lanes of kFastest are faster side by side than in turn.
  static bool Pairs();

  explicit Sha256Lane(Method method = Method::kFastest);

  void Update(ByteSpan bytes);
  // The digest of all bytes since the start or the last Finish(); starts anew.
  Sha256Digest Finish();
  // Forgets all bytes so far.
  void Reset();

  // As a.Update(a_bytes) and b.Update(b_bytes), side by side for as long as
  // both last.
  static void UpdateBoth(Sha256Lane& a, ByteSpan a_bytes, Sha256Lane& b,
                         ByteSpan b_bytes);
  static std::array<Sha256Digest, 2> FinishBoth(Sha256Lane& a, Sha256Lane& b);

 private:
  // The last block or two: what is left, and the padding.
  struct Tail {
    std::array<std::byte, 2 * kSha256BlockBytes> bytes{};
    size_t num_blocks = 0;
  };

  ByteSpan FillPartial(ByteSpan bytes);
  Tail MakeTail() const;
  Sha256Digest TakeDigest();

  std::optional<Sha256Hasher> plain_;  // else all below
  Sha256State state_{};
  std::array<std::byte, kSha256BlockBytes> partial_{};  // a block's first bytes
  uint64_t size_bytes_ = 0;
};

}  // namespace verify
