// SPDX-License-Identifier: Apache-2.0
// Weights that are compressed by zstd as a whole, NAME.zst. Those of the
// seekable form can be read at any place, a frame at a time; none can be
// mapped. Tested by tests/verify/checkpoint/compressed_weights_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"

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

// What comes out of a seekable zstd file, as a file. Keeps one frame in memory
// (SeekableZstd). Errors: those of SeekableZstd::Open.
Result<std::unique_ptr<ByteSource>> OpenSeekableContent(
    std::unique_ptr<ByteSource> file);

}  // namespace verify
