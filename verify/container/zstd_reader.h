// SPDX-License-Identifier: Apache-2.0
// Decompresses zstd data (RFC 8878) within limits on memory and output. Format:
// docs/formats/zstd.md. Tested by tests/verify/container/zstd_reader_test.cc,
// fuzzed by tests/fuzz/zstd_fuzz.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/container/byte_stream.h"
#include "verify/container/zstd_frames.h"

// libzstd's, so that its headers stay out of ours.
struct ZSTD_DCtx_s;

namespace verify {

// How much may come out of an archive.
struct OutputLimit {
  // The bytes that are to come out, neither more nor fewer, if someone said.
  std::optional<uint64_t> expected_bytes;
  uint64_t max_bytes = uint64_t{1} << 40;
  // No more than this many times what went in, once that is more than the
  // slack. Weights hardly shrink: 100 is far beyond them.
  uint64_t max_ratio = 100;
  uint64_t ratio_slack_bytes = 64u << 20;
};

// Whether `output` bytes may come out of `input`. Errors: kLimit (id
// E-ARCHIVE-BOMB), kMismatch (E-SIZE: more than the expected bytes).
Result<void> CheckOutput(const OutputLimit& limit, uint64_t output,
                         uint64_t input);

struct ZstdOptions {
  int max_window_log = kZstdWindowLog;
  OutputLimit limit;
  const CancelToken* cancel = nullptr;
};

// What comes out of all frames, one after the other; skippable frames are
// passed over. A frame's checksum, where it has one, is right when the last
// byte of the frame is handed out. Memory: the window of the frame at hand and
// some hundred KiB; what a frame claims of its content sizes nothing.
// Errors of Read: those of ParseZstdFrameStart and ZstdTally, kCorrupt (ids
// E-ZSTD, E-ZSTD-CHECKSUM, E-ZSTD-TRUNCATED), kLimit (E-ARCHIVE-BOMB: more than
// the limit), kMismatch (E-SIZE: not the expected bytes), kCancelled, those of
// `input`.
// After an error nothing more can be read. One thread.
class ZstdStream final : public ByteStream {
 public:
  // `input` must outlive it.
  ZstdStream(ByteStream& input, const ZstdOptions& options);
  ~ZstdStream() override;
  ZstdStream(const ZstdStream&) = delete;
  ZstdStream& operator=(const ZstdStream&) = delete;

  std::string_view name() const override { return input_.name(); }
  Result<size_t> Read(std::span<std::byte> out) override;

  // Of what was read so far.
  const ZstdTally& tally() const { return tally_; }
  uint64_t compressed_bytes() const { return offset_; }
  uint64_t output_bytes() const { return output_; }

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const;
  };

  Result<void> Fill(size_t wanted);
  // True if a frame of data was begun, false at the end.
  Result<bool> BeginFrame();
  Result<size_t> Decompress(std::span<std::byte> out);

  ByteStream& input_;
  ZstdOptions options_;
  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
  std::vector<std::byte> buffer_;
  size_t begin_ = 0;  // what is buffered and not yet used
  size_t end_ = 0;
  bool in_frame_ = false;
  uint64_t frame_offset_ = 0;
  uint64_t frame_output_ = 0;                    // what had come out before it
  std::optional<uint64_t> frame_content_bytes_;  // as its header says
  uint64_t offset_ = 0;  // in the input, of begin_
  uint64_t output_ = 0;
  ZstdTally tally_;
};

}  // namespace verify
