// SPDX-License-Identifier: Apache-2.0
// The keys that signatures are held against: those that the user keeps, and
// those given for one run. Tested by tests/scripts/signatures.py.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "verify/base/result.h"
#include "verify/manifest/signed_evidence.h"
#include "verify/manifest/trust_store.h"

namespace cli {

// $XDG_DATA_HOME/lodestone/keys.
std::string KeysFolder();

struct KeyRing {
  std::vector<verify::AcceptedKey> stored;
  std::vector<verify::AcceptedKey> given;

  // Views of this ring, which must stay where it is; at the clock's time.
  verify::AcceptedKeys View() const;
};

// Reads the trust store, with a warning for each key that is not used, and the
// keys of `given`: files, or minisign's short form ("RWQ...").
// Errors: kNotFound, kIo, kCorrupt (E-KEY), kUntrusted (E-KEY-TYPE),
// kInvalidArgument (E-SECRET-KEY).
verify::Result<KeyRing> LoadKeyRing(const std::vector<std::string>& given,
                                    Context& context);

// A public key from a file or in short form.
verify::Result<verify::AcceptedKey> ReadGivenKey(const std::string& text);

}  // namespace cli
