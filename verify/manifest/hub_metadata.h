// SPDX-License-Identifier: Apache-2.0
// What the Hugging Face hub leaves beside or in place of files: Git LFS
// pointers (https://git-lfs.github.com/spec/v1) and the record that its client
// keeps of each download in .cache/huggingface/download/NAME.metadata.
// Tested by tests/verify/manifest/hub_metadata_test.cc, fuzzed by
// tests/fuzz/hub_metadata_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/result.h"

namespace verify {

// Longer ones are none: the specification says less than 1024 bytes.
inline constexpr uint64_t kMaxLfsPointerBytes = 1024;
inline constexpr uint64_t kMaxHubMetadataBytes = 4096;

struct LfsPointer {
  std::vector<std::byte> sha256;
  uint64_t size_bytes = 0;
};

// Whether a file that starts so is meant to be a pointer.
bool LooksLikeLfsPointer(std::string_view start);

// Errors: kCorrupt (E-LFS-POINTER: a line that is no key and value, no or
// another kind of digest, no size, a key twice), kUnsupported (another version
// of the format).
Result<LfsPointer> ParseLfsPointer(std::string_view text);

// The digest that a file had on the hub: its SHA-256 if it is kept in LFS (32
// bytes), else the id of its git blob (20 bytes: SHA-1 over "blob SIZE", a zero
// byte and the content).
struct HubMetadata {
  std::string commit;  // 40 hex digits
  std::vector<std::byte> etag;
};

// Three lines: commit, etag, time. Errors: kCorrupt (E-HUB-METADATA).
Result<HubMetadata> ParseHubMetadata(std::string_view text);

}  // namespace verify
