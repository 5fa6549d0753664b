// SPDX-License-Identifier: Apache-2.0
// What tells one state of a file from another, of whatever stands at a path
// now. Tested by tests/verify/base/file_stamp_test.cc.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "verify/base/file.h"
#include "verify/base/result.h"

namespace verify {

// With the time of the last change of whatever kind, which unlike that of the
// last modification nobody can set back. Renaming a file changes it, too.
struct FileStamp {
  FileIdentity identity;
  int64_t ctime_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

FileIdentity IdentityOf(const struct stat& info);

// Of the regular file that opening `path` would give; links are followed.
// Errors: kNotFound, kIo (not to be reached, or no regular file).
Result<FileStamp> StampOf(const std::string& path);

}  // namespace verify
