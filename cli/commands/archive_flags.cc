// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/archive_flags.h"

#include <CLI/CLI.hpp>

#include "cli/commands/session_flags.h"

namespace cli {

void AddArchiveFlags(CLI::App& app, ArchiveFlags& flags) {
  app.add_flag("--ignore-seek-table", flags.ignore_seek_table,
               "of an archive: read zstd frames one after the other, whatever "
               "the table at the end says");
  app.add_option("--window-log", flags.window_log,
                 "of an archive: let zstd use up to 2^N bytes of memory (27: "
                 "128 MiB)")
      ->check(CLI::Range(10, verify::kMaxZstdWindowLog));
}

verify::Result<verify::ArchiveOptions> ArchiveOptionsOf(
    const ArchiveFlags& flags) {
  verify::ArchiveOptions options;
  options.ignore_seek_table = flags.ignore_seek_table;
  options.zstd.max_window_log = flags.window_log;
  if (!flags.max_size.empty()) {
    ASSIGN_OR_RETURN(options.zstd.limit.max_bytes,
                     ParseSize(flags.max_size, "--max-size"));
    // Who says how much may come out has weighed it.
    options.zstd.limit.max_ratio = ~uint64_t{0};
  }
  return options;
}

}  // namespace cli
