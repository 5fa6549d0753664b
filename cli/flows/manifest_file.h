// SPDX-License-Identifier: Apache-2.0
// A Lodestone manifest as it lies on disk, with the signatures beside it:
// M.minisig (minisign) and M.sig (an OMS bundle over that one file). What it
// is worth depends on who signed it, and on whether the same key has signed a
// newer one before. docs/formats/manifest.md.
// Tested by tests/scripts/manifest.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/flows/accepted_keys.h"
#include "cli/state/seen_manifests.h"
#include "verify/base/result.h"
#include "verify/manifest/manifest.h"

namespace cli {

struct FoundManifest {
  verify::Manifest manifest;
  std::string path;
  std::string sha256;          // of its bytes, in hex
  std::string signature_file;  // of the signer; empty if it is not signed
  std::optional<verify::ManifestSigner> signer;
  // By a trusted key: for SeenManifests once every check has passed.
  std::optional<SeenManifest> seen;
};

// Reads a manifest, and judges every signature beside it: with several, one by
// a trusted key counts, and one that is wrong spoils it. `keys` must outlive
// the call only. Errors: those of ParseManifest with the file's name,
// kNotFound, kIo; kUntrusted (a signature that is wrong, of another file, or by
// another key than the manifest names; E-ROLLBACK); kCorrupt (E-MANIFEST: its
// magnet has other hashes; E-SEEN).
verify::Result<FoundManifest> ReadManifest(const std::string& path,
                                           const KeyRing& keys);

// The manifest of the payload at `path`: PATH.manifest.json beside it, else the
// one that was kept with its torrent (`kept`, may be empty or absent). Nothing
// if there is none.
std::optional<std::string> FindManifest(const std::string& path,
                                        const std::string& kept);

// What the clock says of it: "stale since ...", "issued in the future: ...".
// Empty if nothing. Neither makes it better or worse than it is.
std::string ManifestClockRemark(const verify::Manifest& manifest,
                                int64_t now_s);

// What tells an accepted key from all others, in hex: SHA-256 of its portable
// form. A minisign key id is too short for that.
std::string SeenKeyId(const verify::AcceptedKey& key);

}  // namespace cli
