// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "verify/container/zstd_frames.h"
#include "verify/container/zstd_reader.h"
#include "verify/container/zstd_streamed.h"

namespace {

// Read at any place, backwards, it is what came out in order.
void CheckStreamed(const verify::MemorySource& source,
                   const verify::ZstdOptions& options,
                   const std::vector<std::byte>& expected) {
  const auto streamed = verify::StreamedZstd::Open(source, options, 0);
  if (!streamed || (*streamed)->size() != expected.size()) std::abort();
  std::vector<std::byte> part;
  for (size_t end = expected.size(); end > 0;) {
    const size_t begin = end - std::min<size_t>(end, 200'000);
    part.resize(end - begin);
    if (!(*streamed)->ReadAt(begin, part) ||
        !std::equal(part.begin(), part.end(),
                    expected.begin() + static_cast<std::ptrdiff_t>(begin))) {
      std::abort();
    }
    end = begin;
  }
}

}  // namespace

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
  std::vector<std::byte> all;
  while (true) {
    const auto got = stream.Read(buffer);
    if (!got) return 0;
    if (*got == 0) break;
    all.insert(all.end(), buffer.begin(),
               buffer.begin() + static_cast<std::ptrdiff_t>(*got));
    if (all.size() > options.limit.max_bytes) std::abort();
  }
  const uint64_t total = all.size();
  if (!walk || total > walk->max_content_bytes) std::abort();
  if (walk->content_bytes.value_or(total) != total) std::abort();
  if (walk->tally.frames != stream.tally().frames) std::abort();
  if (stream.compressed_bytes() != size) std::abort();
  CheckStreamed(source, options, all);
  return 0;
}
