// SPDX-License-Identifier: Apache-2.0
// What of a torrent is already on disk: by hashing it, or, after a clean stop,
// by looking whether the files are as they were left. Internal to p2p.
// Tested by tests/p2p/download_test.cc and crash_test.cc.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "p2p/metainfo.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace p2p {

// Paths of the payload files (no pads) under `folder`, in torrent order.
std::vector<std::string> PayloadPaths(const Metainfo& metainfo,
                                      const std::string& folder);

// A digest of name, size, inode and time of change of every payload file: it
// differs if a file was written, replaced, truncated or removed.
std::string PayloadFingerprint(const Metainfo& metainfo,
                               const std::string& folder);

// True if any payload file with bytes stands under `folder`.
bool AnyPayload(const Metainfo& metainfo, const std::string& folder);

// True if every payload file is a regular file of its full size.
bool AllPayloadSizes(const Metainfo& metainfo, const std::string& folder);

// Hashes what is there on all processors and tells for each v1 piece whether
// it is good. `tick(item, done, total)` is called on the caller's thread a few
// times a second. Requires piece digests. Errors: kCancelled, those of
// HashFiles.
verify::Result<std::vector<bool>> RecheckPayload(
    const Metainfo& metainfo, const std::string& folder,
    const verify::CancelToken& cancel,
    const std::function<void(const std::string&, uint64_t, uint64_t)>& tick);

// Writes every payload file's bytes to the disk itself, and the folders that
// name them. Errors: kIo.
verify::Result<void> SyncPayload(const Metainfo& metainfo,
                                 const std::string& folder);

}  // namespace p2p
