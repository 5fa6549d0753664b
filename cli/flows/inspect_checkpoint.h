// SPDX-License-Identifier: Apache-2.0
// What a weights file or model folder holds, from its tables alone: no tensor
// is read. Tested by tests/scripts/tensors.py.
#pragma once

#include <string>

#include "cli/context.h"
#include "verify/base/result.h"

namespace cli {

// Whether `path` is a folder, an index of shards, or a file whose first bytes
// are those of weights that are read.
bool IsCheckpoint(const std::string& path);

// Whether it is a weights file in the seekable form of zstd, whose table can be
// read where it lies.
bool IsCompressedCheckpoint(const std::string& path);

// Prints format, files, family, sizes and types; every tensor with dtype,
// shape, file, offset and bytes if `list_tensors`.
// Errors: those of opening.
verify::Result<CommandResult> InspectCheckpoint(const std::string& path,
                                                bool list_tensors,
                                                Context& context);

}  // namespace cli
