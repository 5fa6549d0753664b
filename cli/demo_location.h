// SPDX-License-Identifier: Apache-2.0
// Where the demo model is: beside the installed program, or in the source tree
// that the program was built in.
#pragma once

#include <string>

#include "verify/base/result.h"

namespace cli {

// Errors: kNotFound.
verify::Result<std::string> FindDemoModel();

}  // namespace cli
