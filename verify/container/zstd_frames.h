// SPDX-License-Identifier: Apache-2.0
// The outside of zstd data (RFC 8878): frames, blocks and skippable frames,
// looked at without decompressing a byte. Format: docs/formats/zstd.md.
// Tested by tests/verify/container/zstd_frames_test.cc, fuzzed by
// tests/fuzz/zstd_fuzz.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "verify/base/file.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace verify {

// Memory that decompressing may take for its window: 128 MiB, unless a user
// says otherwise.
inline constexpr int kZstdWindowLog = 27;
inline constexpr int kMaxZstdWindowLog = 31;
inline constexpr uint64_t kMaxZstdFrames = 1u << 22;
// Skippable frames beyond one for each frame of data.
inline constexpr uint64_t kMaxSpareSkippable = 64;
inline constexpr uint64_t kMaxSkippableBytes = 256u << 20;
inline constexpr size_t kMaxZstdHeaderBytes = 18;
inline constexpr uint64_t kMaxZstdBlockBytes = 128u << 10;
inline constexpr uint32_t kZstdMagic = 0xFD2FB528;
// The low four bits are free.
inline constexpr uint32_t kSkippableMagic = 0x184D2A50;
inline constexpr uint64_t kSkippableHeaderBytes = 8;

// Whether data that begins so is zstd.
bool IsZstd(ByteSpan start);

// The head of a frame, of data or skippable.
struct ZstdFrameStart {
  bool skippable = false;
  size_t header_bytes = 0;  // with the magic
  // Skippable: of what is to be passed over.
  uint64_t skip_bytes = 0;
  // Data.
  uint64_t window_bytes = 0;
  std::optional<uint64_t> content_bytes;
  bool has_checksum = false;
};

// `bytes`: of the frame, kMaxZstdHeaderBytes or all that are left; `offset`:
// of the frame in the file. Errors: kCorrupt (ids E-ZSTD, E-ZSTD-TRUNCATED,
// E-ZSTD-TRAILING for bytes that begin no frame, E-ZSTD-DICTIONARY), kLimit
// (E-ZSTD-WINDOW).
Result<ZstdFrameStart> ParseZstdFrameStart(ByteSpan bytes, uint64_t offset,
                                           int max_window_log);

// Counts frames and refuses floods of them; for whoever walks from one to the
// next.
class ZstdTally {
 public:
  Result<void> Add(const ZstdFrameStart& frame, uint64_t offset);

  uint64_t frames = 0;
  uint64_t skippable = 0;
  uint64_t skippable_bytes = 0;  // with their headers
  uint64_t without_checksum = 0;
  uint64_t without_size = 0;
  uint64_t max_window_bytes = 0;
};

// A frame from end to end.
struct ZstdFrame {
  ZstdFrameStart start;
  uint64_t offset = 0;
  uint64_t compressed_bytes = 0;  // all of it
  uint64_t blocks = 0;
  // No more than this can come out.
  uint64_t max_content_bytes = 0;
};

struct ZstdSummary {
  ZstdTally tally;
  uint64_t blocks = 0;
  // What comes out, if every frame says so; it may lie.
  std::optional<uint64_t> content_bytes;
  // No more than this can come out.
  uint64_t max_content_bytes = 0;
};

using ZstdFrameVisitor = std::function<Result<void>(const ZstdFrame&)>;

// The frame at `offset`. Errors: those of WalkZstd.
Result<ZstdFrame> ReadZstdFrame(const ByteSource& file, uint64_t offset,
                                int max_window_log);

// Goes from frame to frame and from block to block up to the last byte, which
// must end a frame. `visit` sees every frame, also skippable ones.
// Errors: those of ParseZstdFrameStart, of `visit` and of reading, kCorrupt (a
// block that cannot be; a frame that says that it holds more than its blocks
// can: E-ZSTD), kLimit (E-ZSTD: too many frames), kCancelled.
Result<ZstdSummary> WalkZstd(const ByteSource& file, int max_window_log,
                             const ZstdFrameVisitor& visit = {},
                             const CancelToken* cancel = nullptr);

}  // namespace verify
