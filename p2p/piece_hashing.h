// SPDX-License-Identifier: Apache-2.0
// Hashes of one piece, step by step: SHA-1 of all of it, SHA-256 of each of its
// blocks. Internal to p2p's disk layer. Tested by tests/p2p/disk_io_test.cc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "p2p/lt_bridge.h"
#include "verify/base/bytes.h"
#include "verify/digest/digest.h"

namespace p2p {

inline constexpr size_t kBlockBytes = 16u << 10;

struct PieceHashes {
  lt::sha1_hash v1;
  lt::storage_error error;
};

// `v1_bytes` and `v2_bytes` are the piece's size as v1 and v2 see it, 0 where
// that hash is not wanted; `v2_out` has room for each of its blocks.
class PieceHashing {
 public:
  PieceHashing(size_t v1_bytes, size_t v2_bytes,
               lt::span<lt::sha256_hash> v2_out)
      : v1_bytes_(v1_bytes), v2_bytes_(v2_bytes), v2_out_(v2_out) {}

  // Every call but the last gives whole blocks.
  void Update(std::span<const char> bytes) {
    if (at_ < v1_bytes_) {
      v1_.Update(Bytes(bytes.first(std::min(bytes.size(), v1_bytes_ - at_))));
    }
    for (size_t done = 0; done < bytes.size() && at_ + done < v2_bytes_;
         done += kBlockBytes) {
      const size_t size =
          std::min({kBlockBytes, bytes.size() - done, v2_bytes_ - at_ - done});
      const verify::Sha256Digest digest =
          verify::Sha256(Bytes(bytes.subspan(done, size)));
      std::memcpy(
          v2_out_[static_cast<std::ptrdiff_t>((at_ + done) / kBlockBytes)]
              .data(),
          digest.data(), digest.size());
    }
    at_ += bytes.size();
  }

  lt::sha1_hash FinishV1() {
    lt::sha1_hash hash;
    const verify::Sha1Digest digest = v1_.Finish();
    std::memcpy(hash.data(), digest.data(), digest.size());
    return hash;
  }

 private:
  static verify::ByteSpan Bytes(std::span<const char> bytes) {
    return verify::AsBytes({bytes.data(), bytes.size()});
  }

  verify::Sha1Hasher v1_;
  size_t v1_bytes_;
  size_t v2_bytes_;
  lt::span<lt::sha256_hash> v2_out_;
  size_t at_ = 0;
};

}  // namespace p2p
