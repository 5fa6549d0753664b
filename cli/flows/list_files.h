// SPDX-License-Identifier: Apache-2.0
// What lies in a model folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/base/result.h"

namespace cli {

struct ListedFile {
  std::string relative;
  std::string path;
  uint64_t size_bytes = 0;
};

// All regular files below `root` in byte order of their relative paths. What
// is no regular file (a symlink, a device) is named in `skipped`.
// Errors: kNotFound, kIo, kLimit (more than a million files).
verify::Result<std::vector<ListedFile>> ListFiles(
    const std::string& root, std::vector<std::string>& skipped);

}  // namespace cli
