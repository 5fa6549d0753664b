// SPDX-License-Identifier: Apache-2.0
// A Lodestone manifest explained: what it says, who signed it, whether it is
// still the newest. Tested by tests/scripts/manifest.py.
#pragma once

#include <string>

#include "cli/context.h"
#include "verify/base/result.h"

namespace cli {

// Whether `path` is a file that begins as JSON does: a manifest, if anything
// that inspect knows.
bool MayBeManifest(const std::string& path);

// Prints it, every file if `all_files`; the result's summary is the document.
// Errors: those of ReadManifest and LoadKeyRing.
verify::Result<CommandResult> InspectManifest(const std::string& path,
                                              bool all_files, Context& context);

}  // namespace cli
