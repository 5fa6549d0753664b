// SPDX-License-Identifier: Apache-2.0
// Reports what lies beside the weights and could run elsewhere, and the chat
// templates by their digests. Tested by tests/scripts/side_content.py.
#pragma once

#include <cstddef>
#include <string>

#include "cli/context.h"
#include "verify/base/result.h"
#include "verify/checkpoint/gguf_reader.h"

namespace cli {

// One "check" event and one line each: structure.active for what could run,
// structure.template for a template. `path`: a model folder, or a weights file
// (its folder is not looked through). Returns how many of them a strict check
// does not let pass. Errors: those of verify::ReadSideFiles.
verify::Result<size_t> ReportSideFiles(const std::string& path,
                                       const verify::GgufFile* gguf,
                                       Context& context);

}  // namespace cli
