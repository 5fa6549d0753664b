// SPDX-License-Identifier: Apache-2.0
// Signs a folder or a file so that verify, and other programs, can say who
// published it. Tested by tests/scripts/keys.py, oms.py and minisign.py.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "cli/context.h"
#include "verify/base/result.h"
#include "verify/manifest/ec_key.h"
#include "verify/manifest/minisign.h"
#include "verify/manifest/trust_store.h"

namespace cli {

using SigningKey =
    std::variant<verify::EcPrivateKey, verify::MinisignSecretKey>;

// The key's public half, with a name.
verify::AcceptedKey PublicHalf(const SigningKey& key, std::string_view name);

// A secret key by file, or by its name in the keys' folder; empty: the only
// one there. Its passphrase is read as AskPassphrase says.
// Errors: kNotFound (E-NO-KEY), kInvalidArgument (E-PASSPHRASE; E-KEY-NAME:
// there are several), kUntrusted (E-KEY-FILE: others may read it), kCorrupt,
// kLimit, kIo, kCancelled.
verify::Result<SigningKey> LoadSigningKey(const std::string& key,
                                          const std::string& passphrase_file,
                                          Context& context);

// The text of a .minisig over these bytes. `comment`: the trusted one; empty:
// the time and `file_name`, as minisign writes them. Errors: kInvalidArgument.
verify::Result<std::string> MinisigText(const verify::MinisignSecretKey& key,
                                        const verify::Blake2b512Digest& digest,
                                        std::string_view file_name,
                                        std::string_view comment);

struct SignOptions {
  std::string path;    // folder or file
  std::string output;  // empty: where verify looks for it
  std::string comment;
  size_t num_threads = 0;
};

struct SignOutcome {
  std::string signature_path;
  std::string list_path;  // of the sums that were signed; empty: none
  size_t num_files = 0;
};

// With an EC key and a folder: model.sig in it. With minisign and a folder:
// SHA256SUMS in it, which must not be there with other content, and its
// signature. With minisign and a file: FILE.minisig. All files are read once,
// on all processors.
// Errors: kNotFound, kIo (E-EXISTS; E-READ), kInvalidArgument (E-SIGN-FILES: a
// link, a name that verifiers refuse, no file; an EC key for a file),
// kCancelled.
verify::Result<SignOutcome> SignPath(const SignOptions& options,
                                     const SigningKey& key, Context& context);

}  // namespace cli
