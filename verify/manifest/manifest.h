// SPDX-License-Identifier: Apache-2.0
// The Lodestone manifest: what a publisher says of one release of a model, in
// one JSON document of which the same content always gives the same bytes, so
// that it can be signed. Format: docs/formats/manifest.md. Untrusted input.
// Tested by tests/verify/manifest/manifest_test.cc, fuzzed by
// tests/fuzz/lodestone_manifest_fuzz.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/json.h"
#include "verify/base/result.h"
#include "verify/digest/digest.h"
#include "verify/manifest/evidence.h"

namespace verify {

inline constexpr size_t kMaxManifestBytes = 32u << 20;
inline constexpr size_t kMaxManifestFiles = 100'000;
// Of the file beside PATH: "PATH.manifest.json".
inline constexpr std::string_view kManifestSuffix = ".manifest.json";

struct ManifestFile {
  std::string path;  // relative to the model's folder, "/" between parts
  uint64_t size_bytes = 0;
  Sha256Digest sha256{};
  // BEP 52; there if the torrent has a v2 hash and the file is not empty.
  std::optional<Sha256Digest> pieces_root = std::nullopt;

  bool operator==(const ManifestFile&) const = default;
};

struct ManifestTorrent {
  // One of them at least.
  std::optional<Sha1Digest> info_hash_v1;
  std::optional<Sha256Digest> info_hash_v2;
  std::string name;  // of the folder, or of the file if single_file
  bool single_file = false;
  uint64_t piece_length = 0;
  std::string magnet;  // printable; to be read as any magnet link is

  bool operator==(const ManifestTorrent&) const = default;
};

struct Manifest {
  std::string model;     // one part of a path
  uint64_t version = 1;  // grows with every release of the same model
  std::string publisher_name;
  // Fingerprint or id, in hex, of the key that is to sign it; empty if none.
  std::string publisher_key;
  std::optional<int64_t> issued_s;   // seconds since 1970
  std::optional<int64_t> expires_s;  // "stale" from then on
  std::string license;               // SPDX where there is one; may be empty
  ManifestTorrent torrent;
  std::vector<ManifestFile> files;  // ascending by path
  // Objects, or null where there is none. `params`: the configuration in
  // short, names to texts, numbers and booleans. `recipe`: what the files were
  // converted from and by what. `fingerprint`: what the running model gives.
  // The last two are read by those who know them; texts in them are not for a
  // terminal as they are.
  Json params;
  Json recipe;
  Json fingerprint;

  bool operator==(const Manifest&) const = default;
};

// The one text of this content. kInvalidArgument (id E-MANIFEST) names what
// ParseManifest would refuse.
Result<std::string> FormatManifest(const Manifest& manifest);

// Reads the text that FormatManifest writes, and no other text.
// Errors, with id E-MANIFEST unless said otherwise: kCorrupt (no JSON, a field
// missing, of another type or out of range, layout other than the canonical
// one; E-PATH, E-NAME-ALTERED, E-NAME-COLLISION: names as for torrents),
// kUnsupported (a later format, a field that this one does not have), kLimit.
Result<Manifest> ParseManifest(std::string_view text);

// Whether they say the same of the model: all but version, issued, expires and
// the publisher's key.
bool SameContent(const Manifest& a, const Manifest& b);

// Who signed the bytes of a manifest, once the signature was found right.
struct ManifestSigner {
  std::string key;   // fingerprint or id in hex
  std::string name;  // as the user trusts it; empty if he does not
  bool trusted = false;
};

// kUntrusted, id E-MANIFEST-KEY: the manifest names another key than the one
// that signed it.
Result<void> CheckManifestSigner(const Manifest& manifest,
                                 const ManifestSigner& signer);

// All files with their sizes and SHA-256. Unsigned (`signer` null) that is
// worth a list of sums; `source` is the name for people.
Evidence ManifestEvidence(const Manifest& manifest, std::string source,
                          const ManifestSigner* signer);

}  // namespace verify
