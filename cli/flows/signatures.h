// SPDX-License-Identifier: Apache-2.0
// Signatures in and beside a copy: model.sig, and minisign's over a list of
// sums or over one file. Each becomes an Evidence that the content check
// compares with the bytes. Rules: docs/SECURITY.md, "Signatures".
// Tested by tests/scripts/signatures.py and minisign.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/flows/accepted_keys.h"
#include "verify/base/result.h"
#include "verify/manifest/evidence.h"

namespace cli {

struct SignatureOptions {
  std::string path;  // folder or file
  // This one alone; empty: all that are found. In the folder model.sig and
  // *.minisig; beside it NAME.sig, and a model.sig that names the folder.
  std::string signature_file;
  // Accepted besides those kept; a file or "RWQ...".
  std::vector<std::string> keys;
};

struct SignatureReport {
  // One for each signature that is right or by an unknown key. The sums of one
  // by an unknown key may be anyone's.
  std::vector<verify::Evidence> evidence;
  // Names in the folder of signatures and of lists that are signed: they stand
  // for other files and no signature has to cover them.
  std::vector<std::string> source_files;
  // The first that is wrong: kUntrusted (a broken signature; E-SYMLINK: a link
  // where a signed file is expected), kUnsupported, or kMismatch (the file
  // that is signed is not here). The copy must not be called verified then.
  std::optional<verify::Error> error;
};

// Reports each signature as a check of the stage "signature"; where there is
// none, nothing. Files are read only
// where minisign signs one directly.
// Errors: kNotFound (no such signature file or key), kIo, kCorrupt or
// kUntrusted (a key that was given), kLimit, kCancelled.
verify::Result<SignatureReport> CheckSignatures(const SignatureOptions& options,
                                                Context& context);

// Who signed `file`, by the minisign signature in `signature_file`. The file
// is read if an accepted key may have signed it. Errors: as CheckMinisig,
// kNotFound, kIo, kCancelled.
verify::Result<verify::SignatureFinding> CheckMinisignedFile(
    const std::string& signature_file, const std::string& file,
    const KeyRing& keys, Context& context);

}  // namespace cli
