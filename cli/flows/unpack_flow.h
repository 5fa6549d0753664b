// SPDX-License-Identifier: Apache-2.0
// Unpacks a tar or zstd archive: names are judged before anything is written
// where that costs little, files are made beneath a fresh private folder, and
// the result gets its name when the last byte was read and checked.
// docs/decisions/0007-unpack.md. Tested by tests/scripts/unpack.py.
#pragma once

#include <string>

#include "cli/context.h"
#include "verify/base/result.h"
#include "verify/container/archive.h"

namespace cli {

struct UnpackOptions {
  std::string archive;
  std::string output_folder = ".";
  verify::ArchiveOptions archive_options;
};

// The path of the result is that of what was unpacked: the one file or folder
// that the archive holds, or a folder with the archive's own name.
// Errors: those of ExamineArchive; kIo (ids E-EXISTS: never over anything;
// E-DISK-FULL). After an error nothing is left.
verify::Result<CommandResult> RunUnpack(const UnpackOptions& options,
                                        Context& context);

}  // namespace cli
