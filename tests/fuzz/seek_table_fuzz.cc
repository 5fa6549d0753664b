// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "verify/container/zstd_reader.h"
#include "verify/container/zstd_seekable.h"

// What is read through an accepted table is what comes out in order.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::MemorySource source(std::as_bytes(std::span(data, size)));
  constexpr int kWindowLog = 20;
  const auto seekable = verify::SeekableZstd::Open(source, kWindowLog);
  if (!seekable) return 0;
  const verify::SeekTable& table = (*seekable)->table();
  if (table.entries.back().offset + table.table_bytes != size) std::abort();
  const auto summary = verify::CheckSeekTable(source, table, kWindowLog);
  constexpr uint64_t kMost = 1u << 20;
  if (!summary || table.content_bytes() > kMost) return 0;
  std::vector<std::byte> at_random(static_cast<size_t>(table.content_bytes()));
  // Backwards, so that every frame is looked for.
  for (size_t end = at_random.size(); end > 0;) {
    const size_t begin = end - std::min<size_t>(end, 777);
    if (!(*seekable)->ReadAt(
            begin, std::span(at_random).subspan(begin, end - begin))) {
      return 0;
    }
    end = begin;
  }
  verify::SourceStream input(source);
  verify::ZstdOptions options;
  options.max_window_log = kWindowLog;
  verify::ZstdStream stream(input, options);
  std::vector<std::byte> in_order(at_random.size() + 1);
  const auto got = verify::ReadUpTo(stream, in_order);
  // Frames without content are not read at random, and may be damaged.
  if (!got) return 0;
  if (*got != at_random.size() ||
      !std::equal(at_random.begin(), at_random.end(), in_order.begin())) {
    std::abort();
  }
  return 0;
}
