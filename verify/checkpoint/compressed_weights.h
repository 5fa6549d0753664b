// SPDX-License-Identifier: Apache-2.0
// Weights that are compressed by zstd as a whole, NAME.zst. They cannot be
// mapped; those of the seekable form are read at any place, a frame at a time,
// others from the start on.
// Tested by tests/verify/checkpoint/compressed_weights_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "verify/base/file.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/checkpoint/sniff.h"

namespace verify {

struct CompressedWeights {
  SniffedContent content;              // of what comes out
  std::optional<uint64_t> size_bytes;  // of it, if the file says
  bool seekable = false;
};

// What a zstd file holds. Nothing if it does not begin as one, or holds no
// weights. Decompresses one frame if the file is seekable, else some KiB of the
// first. Errors: those of Archive::Open and of reading.
Result<std::optional<CompressedWeights>> LookIntoCompressed(
    const ByteSource& file);

// What comes out of a zstd file, as a file.
struct CompressedContent {
  std::unique_ptr<ByteSource> source;
  bool forward_only = false;  // no seek table: StreamedZstd
};
// `keep_bytes` of what comes out stay in memory for whoever reads beside or
// before the last place. `cancel`, if any, must outlive the source. Errors:
// those of SeekableZstd::Open or StreamedZstd::Open.
Result<CompressedContent> OpenCompressedContent(
    std::unique_ptr<ByteSource> file, uint64_t keep_bytes,
    const CancelToken* cancel = nullptr);

}  // namespace verify
