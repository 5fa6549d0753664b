// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "verify/manifest/hub_metadata.h"

// Both forms of the same text. What comes out is a digest of a known length.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto pointer = verify::ParseLfsPointer(text)) {
    if (pointer->sha256.size() != 32) std::abort();
    if (!verify::LooksLikeLfsPointer(text)) std::abort();
  }
  if (const auto metadata = verify::ParseHubMetadata(text)) {
    const size_t length = metadata->etag.size();
    if (length != 20 && length != 32) std::abort();
    if (metadata->commit.size() != 40) std::abort();
  }
  return 0;
}
