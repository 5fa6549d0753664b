// SPDX-License-Identifier: Apache-2.0
// The highest manifest version that was verified to the end, for each trusted
// key and model, so that nobody can offer an older release as the newest:
//   DATA/seen-manifests.json
//     {"format": 1, "seen": [{"key", "model", "sha256", "version"}]}
// Unlike what can be found out again, it is not rebuilt when it is broken:
// forgetting it is what an attacker would want.
// Tested by tests/cli/state/seen_manifests_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "verify/base/result.h"

namespace cli {

struct SeenManifest {
  std::string key;    // what tells the key from all others, in hex
  std::string model;  // Manifest::model
  uint64_t version = 0;
  std::string sha256;  // of the manifest's bytes, in hex

  bool operator==(const SeenManifest&) const = default;
};

// Several processes may use the file at once.
class SeenManifests {
 public:
  explicit SeenManifests(std::string path) : path_(std::move(path)) {}
  // DataFolder()/seen-manifests.json.
  static SeenManifests Default();

  // Errors: kCorrupt (id E-SEEN: the file is none), kIo.
  verify::Result<std::optional<SeenManifest>> Find(
      const std::string& key, const std::string& model) const;

  // kUntrusted, id E-ROLLBACK: an older version than was seen, or the same one
  // with other bytes. Errors of Find besides.
  verify::Result<void> Check(const SeenManifest& manifest) const;

  // Remembers it unless a later one is known. Call it when every check has
  // passed. Errors: those of Check, kIo.
  verify::Result<void> Record(const SeenManifest& manifest) const;

 private:
  verify::Result<std::vector<SeenManifest>> Load() const;

  std::string path_;
};

}  // namespace cli
