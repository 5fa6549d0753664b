// SPDX-License-Identifier: Apache-2.0
// The payload files of a torrent on disk: whether they are as a clean stop left
// them, whether all are there, and making them last. Hashing them is
// p2p/piece_check. Internal to p2p.
// Tested by tests/p2p/download_test.cc and crash_test.cc.
#pragma once

#include <string>
#include <vector>

#include "p2p/metainfo.h"
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

// True if every payload file that is wanted (one flag for each of
// metainfo.files; empty: all) is a regular file of its full size.
bool AllPayloadSizes(const Metainfo& metainfo, const std::string& folder,
                     const std::vector<bool>& wanted = {});

// Removes the payload files that are not wanted, which hold the ends of pieces
// that wanted files share with them, and folders that are empty then.
// Errors: kIo.
verify::Result<void> RemoveUnwanted(const Metainfo& metainfo,
                                    const std::string& folder,
                                    const std::vector<bool>& wanted);

// Writes every payload file's bytes to the disk itself, and the folders that
// name them. Errors: kIo.
verify::Result<void> SyncPayload(const Metainfo& metainfo,
                                 const std::string& folder);

}  // namespace p2p
