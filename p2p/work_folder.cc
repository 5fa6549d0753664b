// SPDX-License-Identifier: Apache-2.0
#include "p2p/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FailErrno;
using verify::Result;
using verify::StrCat;
using verify::UniqueFd;

constexpr char kDirtyName[] = "unclean";

verify::Unexpected FailLink(const std::string& path) {
  return Fail(ErrorCode::kIo,
              StrCat("\"", EscapeForTerminal(path),
                     "\": is a symbolic link or no plain file or folder"))
      .Id("E-SYMLINK")
      .Hint("choose another folder, or remove it");
}

// Opens folder `name` in `parent` (AT_FDCWD: anywhere), making it if absent.
Result<UniqueFd> OpenFolder(int parent, const std::string& name,
                            const std::string& path) {
  if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) {
    return FailErrno("make folder", path, errno);
  }
  UniqueFd fd(::openat(parent, name.c_str(),
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ELOOP || errno == ENOTDIR) return FailLink(path);
    return FailErrno("open folder", path, errno);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return FailErrno("stat", path, errno);
  if (info.st_uid != ::geteuid()) {
    return Fail(ErrorCode::kIo, StrCat("\"", EscapeForTerminal(path),
                                       "\": belongs to another user"));
  }
  if ((info.st_mode & 0777) != 0700 && ::fchmod(fd.get(), 0700) != 0) {
    return FailErrno("make private", path, errno);
  }
  return fd;
}

std::string WithoutTrailingSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

Result<WorkFolder> WorkFolder::Open(const std::string& raw_path) {
  const std::string path = WithoutTrailingSlash(raw_path);
  if (path.empty() || path.find('\0') != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument, "no work folder given");
  }
  const std::filesystem::path parent =
      std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!parent.empty() && !std::filesystem::is_directory(parent, error)) {
    std::filesystem::create_directories(parent, error);
    if (error) return FailErrno("make folder", parent.native(), error.value());
  }
  ASSIGN_OR_RETURN(UniqueFd folder, OpenFolder(AT_FDCWD, path, path));
  UniqueFd lock(::openat(folder.get(), "lock",
                         O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock.valid()) {
    if (errno == ELOOP) return FailLink(path + "/lock");
    return FailErrno("open", path + "/lock", errno);
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return FailErrno("lock", path + "/lock", errno);
    }
    return Fail(ErrorCode::kBusy, StrCat("\"", EscapeForTerminal(path),
                                         "\": in use by another process"))
        .Id("E-LOCKED")
        .Hint("wait for the other download, or stop it");
  }
  // Who holds it, for a person who looks; the lock itself is what counts.
  const std::string owner = StrCat(::getpid(), "\n");
  if (::ftruncate(lock.get(), 0) == 0) {
    RETURN_IF_ERROR(
        verify::WriteAll(lock.get(), verify::AsBytes(owner), path + "/lock"));
  }
  ASSIGN_OR_RETURN(const UniqueFd data,
                   OpenFolder(folder.get(), "data", path + "/data"));
  WorkFolder work(path, std::move(folder), std::move(lock));
  struct stat info {};
  if (::fstatat(work.folder_.get(), kDirtyName, &info, AT_SYMLINK_NOFOLLOW) ==
      0) {
    work.unclean_ = true;
  } else if (errno != ENOENT) {
    return FailErrno("stat", path + "/" + kDirtyName, errno);
  }
  return work;
}

Result<void> WorkFolder::MarkDirty() {
  const std::string name = path_ + "/" + kDirtyName;
  const UniqueFd fd(::openat(folder_.get(), kDirtyName,
                             O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                             0600));
  if (!fd.valid()) return FailErrno("create", name, errno);
  RETURN_IF_ERROR(verify::SyncFile(fd.get(), name));
  return verify::SyncDirectory(path_);
}

Result<void> WorkFolder::MarkClean() {
  if (::unlinkat(folder_.get(), kDirtyName, 0) != 0 && errno != ENOENT) {
    return FailErrno("remove", path_ + "/" + kDirtyName, errno);
  }
  unclean_ = false;
  return verify::SyncDirectory(path_);
}

Result<void> WorkFolder::CheckPayloadTree() const {
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(data_path(), error);
  for (; !error && entry != std::filesystem::end(entry);
       entry.increment(error)) {
    const auto status = entry->symlink_status(error);
    if (error) break;
    if (!std::filesystem::is_regular_file(status) &&
        !std::filesystem::is_directory(status)) {
      return FailLink(entry->path().native());
    }
  }
  if (error) return FailErrno("read folder", data_path(), error.value());
  return {};
}

}  // namespace p2p
