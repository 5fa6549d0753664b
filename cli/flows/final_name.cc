// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/final_name.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

Result<void> Promote(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(),
                  RENAME_NOREPLACE) != 0) {
    const int error_number = errno;
    if (error_number == EINVAL && ::access(to.c_str(), F_OK) != 0) {
      // A file system without NOREPLACE.
      if (::rename(from.c_str(), to.c_str()) == 0) {
        return verify::SyncDirectory(fs::path(to).parent_path());
      }
      return verify::FailErrno("rename to", to, errno);
    }
    if (error_number == EEXIST) {
      return Fail(ErrorCode::kIo,
                  StrCat("\"", EscapeForTerminal(to), "\" appeared meanwhile"))
          .Id("E-EXISTS")
          .Hint("move it away and run the same command again");
    }
    return verify::FailErrno("rename to", to, error_number);
  }
  return verify::SyncDirectory(fs::path(to).parent_path());
}

void OpenPermissions(const std::string& path) {
  std::error_code ignored;
  constexpr fs::perms kFolder = fs::perms::owner_all | fs::perms::group_read |
                                fs::perms::group_exec | fs::perms::others_read |
                                fs::perms::others_exec;
  constexpr fs::perms kFile = fs::perms::owner_read | fs::perms::owner_write |
                              fs::perms::group_read | fs::perms::others_read;
  fs::permissions(path, fs::is_directory(path, ignored) ? kFolder : kFile,
                  ignored);
  if (!fs::is_directory(path, ignored)) return;
  for (const auto& entry : fs::recursive_directory_iterator(path, ignored)) {
    if (entry.is_symlink(ignored)) continue;
    fs::permissions(entry.path(), entry.is_directory(ignored) ? kFolder : kFile,
                    ignored);
  }
}

}  // namespace cli
