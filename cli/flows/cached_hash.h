// SPDX-License-Identifier: Apache-2.0
// Hashing that remembers: digests of files are kept in the state database, and
// a file that is still the one that was hashed is not read again. Nothing is
// decided by what is remembered: digests are compared with what was published
// each time, only the reading is saved.
// Tested by tests/cli/flows/cached_hash_test.cc and
// tests/scripts/verify_cache.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/state/state_db.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/digest/hash_engine.h"

namespace cli {

// kOff: reads all and remembers nothing; kRenew: reads all and remembers it.
enum class DigestCache { kOff, kUse, kRenew };

// How a verb wants files to be read.
struct HashingOptions {
  DigestCache cache = DigestCache::kOff;
  verify::ReadMode read_mode = verify::ReadMode::kCached;
};

struct CachedHashOptions {
  DigestCache cache = DigestCache::kOff;
  std::string state_path = StateDb::DefaultPath();
  // The time now, since 1970; 0: the system's.
  int64_t now_ns = 0;
};

// A file as it was when its digests were computed.
struct HashedFile {
  std::string path;
  verify::FileIdentity identity;
};

struct CachedHashOutcome {
  verify::HashOutcome hashed;
  uint64_t bytes_not_read = 0;    // of files whose digests were remembered
  std::vector<HashedFile> files;  // those that were there and did not change
  // Why nothing could be remembered, if so; the digests are right all the same.
  std::string trouble;
};

// What is no longer what was hashed, for use right after the files were used:
// kMismatch, E-CHANGED. Nothing if all are the same.
std::optional<verify::Error> ChangedSince(const std::vector<HashedFile>& files);

// As verify::HashFiles. A file is remembered with the state in which it was
// found before and after it was read (device, inode, size, times of
// modification and of change), if it had rested for two seconds by then: a
// later write would else leave no trace in its times. One whose state differs
// after it was looked at is FileState::kChanged, remembered or not.
verify::Result<CachedHashOutcome> HashFilesCached(
    verify::HashRequest request, const CachedHashOptions& options,
    const verify::CancelToken& cancel, verify::ProgressSink* progress);

// The same for a verb, whose user is warned of what could not be done.
verify::Result<CachedHashOutcome> HashForCheck(verify::HashRequest request,
                                               const HashingOptions& options,
                                               Context& context,
                                               verify::ProgressSink& progress);

// "1 MiB read, 7 MiB remembered from an earlier run (...)".
std::string ReadText(uint64_t bytes_read, uint64_t bytes_not_read);

}  // namespace cli
