// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "verify/container/zstd_frames.h"
#include "verify/container/zstd_reader.h"

// What decompresses to its end is also found whole by the walk over frames, and
// gives no more than the walk allows; never more than the limit.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::MemorySource source(std::as_bytes(std::span(data, size)));
  constexpr int kWindowLog = 20;
  const auto walk = verify::WalkZstd(source, kWindowLog);
  verify::SourceStream input(source);
  verify::ZstdOptions options;
  options.max_window_log = kWindowLog;
  options.limit.max_bytes = 1u << 22;
  verify::ZstdStream stream(input, options);
  std::array<std::byte, 10'000> buffer{};
  uint64_t total = 0;
  while (true) {
    const auto got = stream.Read(buffer);
    if (!got) return 0;
    if (*got == 0) break;
    total += *got;
    if (total > options.limit.max_bytes) std::abort();
  }
  if (!walk || total > walk->max_content_bytes) std::abort();
  if (walk->content_bytes.value_or(total) != total) std::abort();
  if (walk->tally.frames != stream.tally().frames) std::abort();
  if (stream.compressed_bytes() != size) std::abort();
  return 0;
}
