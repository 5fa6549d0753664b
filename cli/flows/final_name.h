// SPDX-License-Identifier: Apache-2.0
// What a payload gets when it is proven: its name, and the permissions of other
// files. Tested by tests/scripts/get_demo.py and disk_full.py.
#pragma once

#include <string>

#include "verify/base/result.h"

namespace cli {

// Gives the payload its final name; never over something that is there.
// Errors: kIo (id E-EXISTS if the name was taken meanwhile).
verify::Result<void> Promote(const std::string& from, const std::string& to);

// Owner-readable only while unverified; as other files are once verified.
void OpenPermissions(const std::string& path);

}  // namespace cli
