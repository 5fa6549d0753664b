// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/list_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr size_t kMaxFiles = 1'000'000;

}  // namespace

Result<std::vector<ListedFile>> ListFiles(const std::string& root,
                                          std::vector<std::string>& skipped) {
  std::vector<ListedFile> files;
  std::error_code error;
  fs::recursive_directory_iterator it(root, error);
  if (error) return verify::FailErrno("list", root, error.value());
  for (; it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (error) return verify::FailErrno("list", root, error.value());
    const fs::file_status status = it->symlink_status(error);
    if (fs::is_directory(status)) continue;
    ListedFile file;
    file.path = it->path().string();
    file.relative = it->path().lexically_relative(root).string();
    std::error_code broken;
    if (fs::is_symlink(status) && fs::is_regular_file(it->path(), broken)) {
      file.link_target = fs::read_symlink(it->path(), broken).string();
    } else if (!fs::is_regular_file(status)) {
      skipped.push_back(file.relative);
      continue;
    }
    file.size_bytes = it->file_size(error);
    if (files.size() >= kMaxFiles) {
      return Fail(ErrorCode::kLimit,
                  StrCat("\"", EscapeForTerminal(root), "\": more than ",
                         kMaxFiles, " files"));
    }
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(),
            [](const ListedFile& a, const ListedFile& b) {
              return a.relative < b.relative;
            });
  return files;
}

void WarnOfLinks(const std::vector<ListedFile>& files, Output& output) {
  constexpr size_t kNamed = 3;
  size_t count = 0;
  std::string names;
  for (const ListedFile& file : files) {
    if (file.link_target.empty()) continue;
    if (++count > kNamed) continue;
    names += StrCat(names.empty() ? "" : ", ", "\"",
                    EscapeForTerminal(file.relative), "\" leads to \"",
                    EscapeForTerminal(file.link_target), "\"");
  }
  if (count == 0) return;
  if (count > kNamed) names += StrCat(" and ", count - kNamed, " more");
  output.Warning("LINKS", StrCat("symbolic links were read through: ", names));
}

}  // namespace cli
