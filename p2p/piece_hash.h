// SPDX-License-Identifier: Apache-2.0
// The digests of a v2 or hybrid torrent in one read of the files.
// Internal to p2p. Tested by tests/p2p/create_torrent_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "p2p/payload_walk.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/digest/digest.h"

namespace p2p {

// Each file begins a piece of its own.
struct AlignedDigests {
  struct File {
    std::optional<verify::Sha256Digest> pieces_root;  // none for an empty file
    std::vector<verify::Sha256Digest> piece_layer;    // of more than one piece
  };
  std::vector<File> files;  // as in the payload
  // v1, if asked for: the pieces of all files one after the other, each padded
  // with zeros to the piece length but for the very last.
  std::vector<verify::Sha1Digest> pieces;
};

// Reads in parallel, piece by piece. `piece_length`: a power of two of at least
// 16 KiB. Errors: kIo, kNotFound, kMismatch (a file changed), kCancelled.
verify::Result<AlignedDigests> HashAligned(const Payload& payload,
                                           uint64_t piece_length, bool with_v1,
                                           size_t num_threads,
                                           const verify::CancelToken& cancel,
                                           verify::ProgressSink* progress);

}  // namespace p2p
