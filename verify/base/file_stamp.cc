// SPDX-License-Identifier: Apache-2.0
#include "verify/base/file_stamp.h"

#include <cerrno>

#include "verify/base/text.h"

namespace verify {
namespace {

int64_t Nanoseconds(const struct timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileIdentity IdentityOf(const struct stat& info) {
  FileIdentity identity;
  identity.device = info.st_dev;
  identity.inode = info.st_ino;
  identity.size_bytes = static_cast<uint64_t>(info.st_size);
  identity.mtime_ns = Nanoseconds(info.st_mtim);
  return identity;
}

Result<FileStamp> StampOf(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return FailErrno("stat", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return Fail(ErrorCode::kIo, StrCat("\"", EscapeForTerminal(path),
                                       "\" is not a regular file"));
  }
  return FileStamp{IdentityOf(info), Nanoseconds(info.st_ctim)};
}

}  // namespace verify
