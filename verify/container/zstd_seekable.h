// SPDX-License-Identifier: Apache-2.0
// The seekable form of zstd (facebook/zstd, contrib/seekable_format, version
// 0.1.0): a table of all frames in a skippable frame at the end, so that any
// byte can be read without what lies before it. Format: docs/formats/zstd.md.
// Tested by tests/verify/container/zstd_seekable_test.cc, fuzzed by
// tests/fuzz/seek_table_fuzz.cc.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/container/zstd_frames.h"

namespace verify {

inline constexpr uint32_t kSeekTableMagic = 0x8F92EAB1;
// A frame is decompressed whole to read any byte of it.
inline constexpr uint64_t kMaxSeekableFrameBytes = 64u << 20;

struct SeekTable {
  struct Entry {
    uint64_t offset = 0;   // of the frame in the file
    uint64_t content = 0;  // of its first byte in what comes out
    uint32_t checksum = 0;
  };
  // One for each frame, and one more for the end.
  std::vector<Entry> entries;
  bool has_checksums = false;
  uint64_t table_bytes = 0;  // the whole skippable frame

  size_t num_frames() const { return entries.size() - 1; }
  uint64_t content_bytes() const { return entries.back().content; }
};

// Whether the file ends as one with a seek table does.
// Errors: those of reading.
Result<bool> HasSeekTable(const ByteSource& file);

// Reads the table and holds it against the file: sizes, sums, reserved bits.
// Errors: kCorrupt (id E-SEEK-TABLE), kLimit (too many frames), those of
// reading.
Result<SeekTable> ReadSeekTable(const ByteSource& file);

// Holds the table against the frames themselves, each from end to end, without
// decompressing them. Errors: kCorrupt (E-SEEK-TABLE), those of WalkZstd.
Result<ZstdSummary> CheckSeekTable(const ByteSource& file,
                                   const SeekTable& table, int max_window_log,
                                   const CancelToken* cancel = nullptr);

// What comes out of a seekable file, at any place. Each frame that is read is
// held against its table entry and its checksums. Frames that were read last
// stay in memory: as many as `keep_bytes` hold, one at the least. Thread-safe;
// several threads decompress several frames at once.
class SeekableZstd final : public ByteSource {
 public:
  // `file` must outlive it. Errors: those of ReadSeekTable, kUnsupported (a
  // frame too large to read at random).
  static Result<std::unique_ptr<SeekableZstd>> Open(const ByteSource& file,
                                                    int max_window_log,
                                                    uint64_t keep_bytes = 0);

  // `table`: of that file. Use Open.
  SeekableZstd(const ByteSource& file, SeekTable table, int max_window_log,
               uint64_t keep_bytes)
      : file_(file),
        table_(std::move(table)),
        max_window_log_(max_window_log),
        keep_bytes_(keep_bytes) {}

  std::string_view name() const override { return file_.name(); }
  uint64_t size() const override { return table_.content_bytes(); }
  const SeekTable& table() const { return table_; }

  // Errors: besides its own those of ZstdStream and kCorrupt (E-SEEK-TABLE:
  // the table and the frame disagree, E-ZSTD-CHECKSUM).
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override;

 private:
  using Content = std::shared_ptr<const std::vector<std::byte>>;
  struct Kept {
    size_t frame = 0;
    Content content;  // null while a thread decompresses it
  };
  using KeptList = std::list<Kept>;

  Result<Content> ContentOf(size_t frame) const;
  Result<Content> Decompress(size_t frame) const;
  void ForgetOld() const;  // requires mu_

  const ByteSource& file_;
  SeekTable table_;
  int max_window_log_;
  uint64_t keep_bytes_;
  mutable std::mutex mu_;
  mutable std::condition_variable done_;  // with a frame, well or not
  // All guarded by mu_; the frame that was asked for last stands first.
  mutable KeptList kept_;
  mutable std::unordered_map<size_t, KeptList::iterator> kept_by_frame_;
  mutable uint64_t kept_bytes_ = 0;
};

}  // namespace verify
