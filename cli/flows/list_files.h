// SPDX-License-Identifier: Apache-2.0
// What lies in a model folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/output.h"
#include "verify/base/result.h"

namespace cli {

struct ListedFile {
  std::string relative;
  std::string path;
  uint64_t size_bytes = 0;
  // Where it leads, if it is a symbolic link; else empty.
  std::string link_target;
};

// All regular files below `root` in byte order of their relative paths, those
// behind a symbolic link among them: the cache of Hugging Face is made of
// links. A link to a folder, a broken one, a device or pipe is named in
// `skipped` and not followed.
// Errors: kNotFound, kIo, kLimit (more than a million files).
verify::Result<std::vector<ListedFile>> ListFiles(
    const std::string& root, std::vector<std::string>& skipped);

// Says which of them are links, in one warning: what was read lies elsewhere.
void WarnOfLinks(const std::vector<ListedFile>& files, Output& output);

}  // namespace cli
