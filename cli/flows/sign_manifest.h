// SPDX-License-Identifier: Apache-2.0
// The signature of a manifest, in the form that goes with the key: minisign's
// as M.minisig, an OMS bundle over that one file as M.sig.
// Tested by tests/scripts/manifest.py.
#pragma once

#include <string>
#include <string_view>

#include "cli/flows/sign_flow.h"
#include "verify/base/result.h"
#include "verify/manifest/manifest.h"

namespace cli {

struct ManifestSignature {
  std::string suffix;  // ".minisig" or ".sig"
  std::string text;
};

// Signs the bytes `text` of the manifest in the file `name`. Errors: those of
// signing.
verify::Result<ManifestSignature> SignManifest(const SigningKey& key,
                                               const verify::Manifest& manifest,
                                               const std::string& name,
                                               std::string_view text);

// Takes away the signatures beside a manifest that is replaced: they are of
// other bytes. kIo.
verify::Result<void> RemoveManifestSignatures(const std::string& manifest_path);

}  // namespace cli
