// SPDX-License-Identifier: Apache-2.0
#include "verify/base/confined_folder.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "verify/base/text.h"

namespace verify {
namespace {

constexpr int kFolderFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t kPrivateFolder = 0700;
constexpr mode_t kPrivateFile = 0600;

Unexpected FailBeneath(std::string_view action, const std::string& folder,
                       std::string_view relative, int error_number) {
  const std::string path = StrCat(folder, "/", relative);
  // What openat2 says of links and of ways out; ENOTDIR: of a link or file in
  // a folder's place.
  if (error_number == ELOOP || error_number == EXDEV ||
      error_number == ENOTDIR || error_number == EMLINK) {
    return Fail(ErrorCode::kIo,
                StrCat(action, " \"", EscapeForTerminal(path),
                       "\": a symbolic link, or a way out of the folder"))
        .Id("E-SYMLINK");
  }
  if (error_number == EEXIST) {
    return Fail(ErrorCode::kIo, StrCat(action, " \"", EscapeForTerminal(path),
                                       "\": something is there already"))
        .Id("E-EXISTS");
  }
  return FailErrno(action, path, error_number);
}

// errno for a path that cannot be meant; 0 if it can.
int PathError(std::string_view path) {
  if (path.empty()) return ENOENT;
  if (path.find('\0') != std::string_view::npos) return EINVAL;
  if (path.front() == '/') return EXDEV;
  return 0;
}

}  // namespace

namespace internal {

int OpenBeneathByParts(int folder, std::string_view path, int flags,
                       mode_t mode) {
  if (const int error = PathError(path); error != 0) {
    errno = error;
    return -1;
  }
  UniqueFd at;
  int parent = folder;
  while (true) {
    const size_t slash = path.find('/');
    const std::string part(path.substr(0, slash));
    if (part == "..") {
      errno = EXDEV;
      return -1;
    }
    const bool is_last = slash == std::string_view::npos;
    if (is_last) {
      return ::openat(parent, part.empty() ? "." : part.c_str(),
                      flags | O_NOFOLLOW | O_CLOEXEC, mode);
    }
    path.remove_prefix(slash + 1);
    if (part.empty()) continue;
    UniqueFd next(::openat(parent, part.c_str(), kFolderFlags));
    if (!next.valid()) return -1;
    at = std::move(next);
    parent = at.get();
  }
}

}  // namespace internal

int OpenBeneath(int folder, std::string_view path, int flags, mode_t mode) {
  if (const int error = PathError(path); error != 0) {
    errno = error;
    return -1;
  }
  struct open_how how {};
  how.flags =
      static_cast<__u64>(static_cast<unsigned>(flags | O_NOFOLLOW | O_CLOEXEC));
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const std::string text(path);
  // EAGAIN: a folder was renamed while the kernel walked through it.
  constexpr int kTries = 16;
  for (int i = 0; i < kTries; ++i) {
    const long fd =
        ::syscall(SYS_openat2, folder, text.c_str(), &how, sizeof(how));
    if (fd >= 0) return static_cast<int>(fd);
    // EPERM: what older sandboxes answer to calls that they do not know.
    if (errno == ENOSYS || errno == EPERM) break;
    if (errno != EAGAIN && errno != EINTR) return -1;
  }
  return internal::OpenBeneathByParts(folder, path, flags, mode);
}

int MakeParentsBeneath(int folder, std::string_view path) {
  UniqueFd at;
  int parent = folder;
  if (const int error = PathError(path); error != 0) {
    errno = error;
    return -1;
  }
  for (size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/')) {
    const std::string part(path.substr(0, slash));
    path.remove_prefix(slash + 1);
    if (part.empty()) continue;
    int next = OpenBeneath(parent, part, kFolderFlags);
    if (next < 0 && errno == ENOENT) {
      if (::mkdirat(parent, part.c_str(), kPrivateFolder) != 0 &&
          errno != EEXIST) {
        return -1;
      }
      next = OpenBeneath(parent, part, kFolderFlags);
    }
    if (next < 0) return -1;
    at = UniqueFd(next);
    parent = at.get();
  }
  return 0;
}

Result<ConfinedFolder> ConfinedFolder::Open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("open folder", path, errno);
  return ConfinedFolder(std::move(fd), path);
}

Result<ConfinedFolder> ConfinedFolder::MakePrivate(const std::string& path) {
  if (::mkdir(path.c_str(), kPrivateFolder) != 0) {
    if (errno == EEXIST) {
      return Fail(ErrorCode::kIo,
                  StrCat("make folder \"", EscapeForTerminal(path),
                         "\": something is there already"))
          .Id("E-EXISTS");
    }
    return FailErrno("make folder", path, errno);
  }
  UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("open folder", path, errno);
  // What was made may have been replaced before it was opened; and the mask of
  // the process may have taken rights away.
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return FailErrno("stat", path, errno);
  if (info.st_uid != ::geteuid() || (info.st_mode & 07077) != 0) {
    return Fail(ErrorCode::kIo, StrCat("\"", EscapeForTerminal(path),
                                       "\": was replaced while it was made"))
        .Id("E-SYMLINK");
  }
  return ConfinedFolder(std::move(fd), path);
}

Result<ReadOnlyFile> ConfinedFolder::OpenFile(std::string_view relative) const {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  UniqueFd fd(OpenBeneath(fd_.get(), relative, O_RDONLY | O_NONBLOCK));
  if (!fd.valid()) return FailBeneath("open", path_, relative, errno);
  return ReadOnlyFile::Adopt(std::move(fd), StrCat(path_, "/", relative));
}

Result<UniqueFd> ConfinedFolder::CreateFile(std::string_view relative) const {
  if (MakeParentsBeneath(fd_.get(), relative) != 0) {
    return FailBeneath("make the folder of", path_, relative, errno);
  }
  UniqueFd fd(OpenBeneath(fd_.get(), relative, O_WRONLY | O_CREAT | O_EXCL,
                          kPrivateFile));
  if (!fd.valid()) return FailBeneath("create", path_, relative, errno);
  return fd;
}

Result<void> ConfinedFolder::MakeFolder(std::string_view relative) const {
  if (MakeParentsBeneath(fd_.get(), StrCat(relative, "/")) != 0) {
    return FailBeneath("make folder", path_, relative, errno);
  }
  return {};
}

}  // namespace verify
