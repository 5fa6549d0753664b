// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "p2p/catalog.h"

// An entry that is read, written out again, must read to the same text; a
// refusal has its id and a place.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto entry = p2p::ParseCatalogEntry(
      {reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!entry) {
    if (entry.error().id != "E-CATALOG" ||
        !entry.error().message.starts_with("fuzz")) {
      std::abort();
    }
    return 0;
  }
  const std::string written = p2p::FormatCatalogEntry(*entry);
  const auto again = p2p::ParseCatalogEntry(written, "again");
  if (!again || p2p::FormatCatalogEntry(*again) != written) std::abort();
  return 0;
}
