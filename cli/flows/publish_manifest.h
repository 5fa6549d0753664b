// SPDX-License-Identifier: Apache-2.0
// The Lodestone manifest that `publish` writes beside the torrent: what it
// says, and which version it is. docs/formats/manifest.md.
// Tested by tests/scripts/manifest.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/context.h"
#include "p2p/create_torrent.h"
#include "verify/base/json.h"
#include "verify/base/result.h"
#include "verify/manifest/manifest.h"

namespace cli {

struct ManifestOptions {
  std::string path;    // the payload
  std::string output;  // the file to write
  std::string publisher;
  std::string license;
  std::string recipe_file;          // JSON; empty: none
  std::optional<uint64_t> version;  // of the release; none: as known + 1
  std::optional<int64_t> issued_s;
  std::optional<int64_t> expires_s;
  bool overwrite = false;
  verify::Json fingerprint;  // null: none
  // Of the key that will sign: as people see it, and as SeenManifests has it.
  std::string signer_key;
  std::string signer_id;
};

struct NewManifest {
  verify::Manifest manifest;
  std::string text;
  // The file holds this very text; it says the same of the same files, so that
  // there is no new release.
  bool is_there = false;
};

// Requires a torrent made with want_sha256. Errors: kInvalidArgument (a value
// that the manifest cannot hold, a version that is not new), kIo (E-EXISTS:
// another manifest is in the way), kCorrupt (E-SEEN).
verify::Result<NewManifest> MakeManifest(const ManifestOptions& options,
                                         const p2p::CreatedTorrent& created);

// Seconds since 1970 of "2027-01-31" (its beginning, UTC) or a whole moment as
// the manifest has it. kInvalidArgument.
verify::Result<int64_t> ParseMoment(const std::string& text,
                                    std::string_view flag);

}  // namespace cli
