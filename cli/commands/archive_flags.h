// SPDX-License-Identifier: Apache-2.0
// The flags of verbs that open archives. Tested by tests/scripts/unpack.py.
#pragma once

#include <string>

#include "verify/base/result.h"
#include "verify/container/archive.h"

namespace CLI {
class App;
}

namespace cli {

struct ArchiveFlags {
  bool ignore_seek_table = false;
  int window_log = verify::kZstdWindowLog;
  std::string max_size;  // as typed; its flag is the verb's own
};

void AddArchiveFlags(CLI::App& app, ArchiveFlags& flags);

// Errors: kInvalidArgument.
verify::Result<verify::ArchiveOptions> ArchiveOptionsOf(
    const ArchiveFlags& flags);

}  // namespace cli
