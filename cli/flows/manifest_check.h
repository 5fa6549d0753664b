// SPDX-License-Identifier: Apache-2.0
// The manifest of a copy that is checked: found beside it or with its torrent,
// judged by who signed it and by what was seen before.
// Tested by tests/scripts/manifest.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/flows/manifest_file.h"
#include "verify/base/result.h"
#include "verify/manifest/evidence.h"

namespace cli {

struct ManifestReport {
  std::optional<verify::Evidence> evidence;
  // By a trusted key: to be recorded once every check has passed.
  std::optional<SeenManifest> seen;
  // kUntrusted (a signature that is no good, E-ROLLBACK), or what is wrong with
  // a manifest that is signed. The copy must not be called verified then.
  std::optional<verify::Error> error;
};

// Looks for the manifest of the payload at `path`; `kept`: where it may be
// besides (FindManifest). `keys`: accepted for this run, as LoadKeyRing has
// them. Says who signed it as a check of the stage "signature", and what the
// clock makes of it as a warning. A manifest without signature that cannot be
// read proves nothing and hides nothing: a warning.
// Errors: those of LoadKeyRing, kIo.
verify::Result<ManifestReport> CheckManifest(
    const std::string& path, const std::string& kept,
    const std::vector<std::string>& keys, Context& context);

// The same of a manifest that the user names. Errors: those of ReadManifest.
verify::Result<ManifestReport> CheckNamedManifest(
    const std::string& manifest_path, const std::vector<std::string>& keys,
    Context& context);

}  // namespace cli
