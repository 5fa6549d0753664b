// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "verify/container/zip_reader.h"

// Members of an accepted archive lie in it, apart from each other, and their
// bytes can be read.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::ByteSpan bytes = std::as_bytes(std::span(data, size));
  const verify::MemorySource source(bytes);
  const auto zip = verify::ReadZip(source);
  if (!zip) return 0;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const verify::ZipEntry& entry : zip->entries()) {
    if (entry.size > size || entry.payload_offset > size - entry.size) {
      std::abort();
    }
    ranges.emplace_back(entry.header_offset, entry.payload_offset + entry.size);
    const auto content = verify::ReadZipEntry(source, entry, size);
    const auto check = verify::CheckZipEntryCrc(source, entry);
    if (content.has_value() != check.has_value()) std::abort();
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i - 1].second > ranges[i].first) std::abort();
  }
  return 0;
}
