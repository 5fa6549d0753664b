// SPDX-License-Identifier: Apache-2.0
// Where the passphrase of a secret key comes from: a file, or a person at a
// terminal, who does not see it. Never a flag or the environment, which other
// processes can read. Tested by tests/scripts/keys.py.
#pragma once

#include <string>

#include "cli/context.h"
#include "verify/base/result.h"
#include "verify/manifest/secret.h"

namespace cli {

enum class PassphraseUse { kUnlock, kChoose };

// The first line of `file`; else, where a person can be asked, what they type
// (twice to choose one; the same must come). Empty: there is none.
// Errors: kNotFound, kIo, kLimit (more than 1000 bytes), kInvalidArgument
// (E-PASSPHRASE: typed twice, and not the same), kCancelled.
verify::Result<verify::Secret> AskPassphrase(const std::string& file,
                                             const std::string& key_name,
                                             PassphraseUse use,
                                             Context& context);

}  // namespace cli
