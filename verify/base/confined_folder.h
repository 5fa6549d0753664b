// SPDX-License-Identifier: Apache-2.0
// A folder as the end of the world: files are opened and made beneath it by
// names from outside, and no name, link or race leads out of it.
// Tested by tests/verify/base/confined_folder_test.cc.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "verify/base/file.h"
#include "verify/base/result.h"

namespace verify {

// Opens `path` beneath the open folder `folder` as open(2) does; -1 with errno
// on failure. An absolute path, a part ".." and a symbolic link anywhere in
// the path are refused, by the kernel in one step (openat2); where that is
// missing, part by part. O_CLOEXEC is added. `mode`: for O_CREAT.
int OpenBeneath(int folder, std::string_view path, int flags, mode_t mode = 0);

// Makes the folders above the last part of `path` where they are missing, with
// mode 0700; -1 with errno on failure.
int MakeParentsBeneath(int folder, std::string_view path);

namespace internal {
// The form for kernels without openat2.
int OpenBeneathByParts(int folder, std::string_view path, int flags,
                       mode_t mode);
}  // namespace internal

// An open folder. Its files are reached through the descriptor: who renames or
// replaces the folder meanwhile changes nothing. Movable; thread-safe.
class ConfinedFolder {
 public:
  // A folder that is there. Links in `path` are followed: the user named it.
  // Errors: kNotFound, kIo.
  static Result<ConfinedFolder> Open(const std::string& path);

  // Makes a new folder that only the user can enter (0700).
  // Errors: kIo (something is there, whatever it is: id E-EXISTS).
  static Result<ConfinedFolder> MakePrivate(const std::string& path);

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  // A regular file beneath. Errors: kNotFound, kIo (id E-SYMLINK for a link
  // or a path that leads out).
  Result<ReadOnlyFile> OpenFile(std::string_view relative) const;

  // Makes a new file, and the folders above it, for writing (0600); never
  // opens what is there. Errors: kIo (ids E-EXISTS, E-SYMLINK).
  Result<UniqueFd> CreateFile(std::string_view relative) const;

  // Makes the folder and those above it (0700); a folder may be there.
  // Errors: kIo (ids E-EXISTS, E-SYMLINK).
  Result<void> MakeFolder(std::string_view relative) const;

 private:
  ConfinedFolder(UniqueFd fd, std::string path)
      : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
};

}  // namespace verify
