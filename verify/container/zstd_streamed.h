// SPDX-License-Identifier: Apache-2.0
// What comes out of zstd data that has no table of its frames, at any place:
// by going forward, and from the start again where that is not enough.
// Tested by tests/verify/container/zstd_streamed_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/container/byte_stream.h"
#include "verify/container/zstd_reader.h"

namespace verify {

// Cheap for whoever reads in order. The `keep_bytes` before the place that was
// reached stay in memory; what lies before them costs a new start. Thread-safe;
// one thread decompresses at a time.
class StreamedZstd final : public ByteSource {
 public:
  // Walks from block to block; if a frame does not say how much it holds,
  // decompresses everything once. `file` must outlive it.
  // Errors: those of WalkZstd and ZstdStream.
  static Result<std::unique_ptr<StreamedZstd>> Open(const ByteSource& file,
                                                    const ZstdOptions& options,
                                                    uint64_t keep_bytes);

  // `size`: what comes out. Use Open.
  StreamedZstd(const ByteSource& file, const ZstdOptions& options,
               uint64_t size, uint64_t keep_bytes);

  std::string_view name() const override { return file_.name(); }
  uint64_t size() const override { return size_; }

  // Errors: those of ZstdStream, kCorrupt (E-ZSTD: fewer bytes come out than
  // the frames say).
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override;

  // How often it began at the first byte. One thread.
  uint64_t num_starts() const { return num_starts_; }

 private:
  // A run of the decompressor over the file.
  struct Run {
    Run(const ByteSource& file, const ZstdOptions& options)
        : input(file), stream(input, options) {}
    SourceStream input;
    ZstdStream stream;
  };

  Result<void> Advance() const;

  const ByteSource& file_;
  ZstdOptions options_;
  uint64_t size_;
  uint64_t ring_bytes_;
  mutable std::mutex mu_;
  // All guarded by mu_. Byte x of the content stands at x % ring_bytes_.
  mutable std::unique_ptr<std::byte[]> ring_;
  mutable std::optional<Run> run_;
  mutable uint64_t position_ = 0;
  mutable uint64_t num_starts_ = 0;
};

}  // namespace verify
