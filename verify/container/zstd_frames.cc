// SPDX-License-Identifier: Apache-2.0
#include "verify/container/zstd_frames.h"

#include <algorithm>
#include <span>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/text.h"

namespace verify {
namespace {

constexpr uint64_t kChecksumBytes = 4;
constexpr size_t kBlockHeaderBytes = 3;
constexpr uint32_t kSkippableMask = 0xFFFFFFF0;

Unexpected Refuse(std::string_view what, uint64_t offset,
                  std::string_view id = "E-ZSTD") {
  return Fail(ErrorCode::kCorrupt, StrCat("zstd: ", what)).At(offset).Id(id);
}

Unexpected FailTruncated(uint64_t offset) {
  return Refuse("a frame is cut off", offset, "E-ZSTD-TRUNCATED");
}

// A little-endian number of `size` bytes.
Result<uint64_t> ReadNumber(ByteReader& reader, size_t size) {
  ASSIGN_OR_RETURN(const ByteSpan bytes, reader.ReadBytes(size));
  uint64_t value = 0;
  for (size_t i = size; i > 0; --i) {
    value = (value << 8) | std::to_integer<uint64_t>(bytes[i - 1]);
  }
  return value;
}

Result<ZstdFrameStart> ParseData(ByteReader& reader, uint64_t offset,
                                 int max_window_log) {
  ZstdFrameStart start;
  ASSIGN_OR_RETURN(const auto descriptor, reader.Read<uint8_t>());
  const bool single_segment = (descriptor & 0x20) != 0;
  start.has_checksum = (descriptor & 0x04) != 0;
  if ((descriptor & 0x08) != 0) {
    return Refuse("a reserved bit of the frame header is set", offset);
  }
  if (!single_segment) {
    ASSIGN_OR_RETURN(const auto window, reader.Read<uint8_t>());
    const uint64_t base = uint64_t{1} << (10 + (window >> 3));
    start.window_bytes = base + base / 8 * (window & 7);
  }
  constexpr size_t kIdBytes[] = {0, 1, 2, 4};
  ASSIGN_OR_RETURN(const uint64_t dictionary,
                   ReadNumber(reader, kIdBytes[descriptor & 3]));
  if (dictionary != 0) {
    return Refuse(StrCat("the frame needs dictionary ", dictionary,
                         ", which is no part of it"),
                  offset, "E-ZSTD-DICTIONARY");
  }
  size_t size_bytes = size_t{1} << (descriptor >> 6);
  if (size_bytes == 1 && !single_segment) size_bytes = 0;
  if (size_bytes != 0) {
    ASSIGN_OR_RETURN(uint64_t content, ReadNumber(reader, size_bytes));
    if (size_bytes == 2) content += 256;
    start.content_bytes = content;
    if (single_segment) start.window_bytes = content;
  }
  if (start.window_bytes > (uint64_t{1} << max_window_log)) {
    return Fail(ErrorCode::kLimit,
                StrCat("zstd: the frame needs a window of ",
                       FormatSize(start.window_bytes), " of memory, at most ",
                       FormatSize(uint64_t{1} << max_window_log),
                       " are allowed"))
        .At(offset)
        .Id("E-ZSTD-WINDOW")
        .Hint("--window-log 31 allows up to 2 GiB");
  }
  return start;
}

// Bytes at a moving place of a file, with few and short reads.
class Window {
 public:
  explicit Window(const ByteSource& file) : file_(file) {}

  // `count` bytes at `offset`, fewer at the end of the file. Valid until the
  // next call.
  Result<ByteSpan> At(uint64_t offset, size_t count) {
    const uint64_t size = file_.size();
    const uint64_t here = offset < size ? size - offset : 0;
    const auto want = static_cast<size_t>(std::min<uint64_t>(count, here));
    if (offset < begin_ || offset - begin_ > buffer_.size() ||
        buffer_.size() - (offset - begin_) < want) {
      constexpr uint64_t kAhead = 4096;
      buffer_.resize(static_cast<size_t>(
          std::min<uint64_t>(std::max<uint64_t>(kAhead, want), here)));
      begin_ = offset;
      RETURN_IF_ERROR(file_.ReadAt(offset, buffer_));
    }
    return ByteSpan(buffer_).subspan(static_cast<size_t>(offset - begin_),
                                     want);
  }

 private:
  const ByteSource& file_;
  uint64_t begin_ = 0;
  std::vector<std::byte> buffer_;
};

// Goes over the blocks of the frame whose start was read.
Result<void> WalkBlocks(Window& window, uint64_t file_size, ZstdFrame& frame,
                        const CancelToken* cancel) {
  const uint64_t max_block =
      std::min(kMaxZstdBlockBytes, frame.start.window_bytes);
  uint64_t at = frame.offset + frame.start.header_bytes;
  for (bool last = false; !last;) {
    ASSIGN_OR_RETURN(const ByteSpan bytes, window.At(at, kBlockHeaderBytes));
    if (bytes.size() < kBlockHeaderBytes) return FailTruncated(at);
    ByteReader reader(bytes, at);
    ASSIGN_OR_RETURN(const uint64_t header,
                     ReadNumber(reader, kBlockHeaderBytes));
    last = (header & 1) != 0;
    const uint64_t type = (header >> 1) & 3;
    const uint64_t size = header >> 3;
    if (type == 3) return Refuse("a block of a reserved kind", at);
    if (size > max_block) {
      return Refuse(StrCat("a block of ", size, " bytes, at most ", max_block,
                           " are allowed"),
                    at);
    }
    constexpr uint64_t kRepeated = 1;
    constexpr uint64_t kCompressed = 2;
    const uint64_t stored = type == kRepeated ? 1 : size;
    at += kBlockHeaderBytes;
    if (file_size - at < stored) return FailTruncated(at);
    at += stored;
    // At most 2^64 / 3 blocks of 2^17 bytes: saturate.
    const uint64_t out = type == kCompressed ? max_block : size;
    frame.max_content_bytes =
        CheckedAdd(frame.max_content_bytes, out).value_or(~uint64_t{0});
    constexpr uint64_t kLookMask = 0xFFF;
    if ((++frame.blocks & kLookMask) == 0 && cancel != nullptr &&
        cancel->cancelled()) {
      return Fail(ErrorCode::kCancelled, "interrupted");
    }
  }
  if (frame.start.has_checksum) {
    if (file_size - at < kChecksumBytes) return FailTruncated(at);
    at += kChecksumBytes;
  }
  frame.compressed_bytes = at - frame.offset;
  const auto& content = frame.start.content_bytes;
  if (content.has_value() && *content > frame.max_content_bytes) {
    return Refuse(
        StrCat("the frame says that it holds ", *content,
               " bytes, its blocks hold at most ", frame.max_content_bytes),
        frame.offset);
  }
  return {};
}

Result<ZstdFrame> ReadFrame(Window& window, uint64_t file_size, uint64_t offset,
                            int max_window_log, const CancelToken* cancel) {
  ASSIGN_OR_RETURN(const ByteSpan bytes,
                   window.At(offset, kMaxZstdHeaderBytes));
  ZstdFrame frame;
  frame.offset = offset;
  ASSIGN_OR_RETURN(frame.start,
                   ParseZstdFrameStart(bytes, offset, max_window_log));
  if (!frame.start.skippable) {
    RETURN_IF_ERROR(WalkBlocks(window, file_size, frame, cancel));
    return frame;
  }
  const uint64_t content = offset + kSkippableHeaderBytes;
  if (file_size - content < frame.start.skip_bytes) {
    return FailTruncated(offset);
  }
  frame.compressed_bytes = kSkippableHeaderBytes + frame.start.skip_bytes;
  return frame;
}

}  // namespace

bool IsZstd(ByteSpan start) {
  if (start.size() < sizeof(uint32_t)) return false;
  const auto magic = LoadLe<uint32_t>(start);
  return magic == kZstdMagic || (magic & kSkippableMask) == kSkippableMagic;
}

Result<ZstdFrameStart> ParseZstdFrameStart(ByteSpan bytes, uint64_t offset,
                                           int max_window_log) {
  if (bytes.size() >= sizeof(uint32_t) && !IsZstd(bytes)) {
    return Refuse("bytes that begin no frame", offset, "E-ZSTD-TRAILING");
  }
  ByteReader reader(bytes, offset);
  const auto parsed = [&]() -> Result<ZstdFrameStart> {
    ASSIGN_OR_RETURN(const auto magic, reader.Read<uint32_t>());
    if (magic == kZstdMagic) return ParseData(reader, offset, max_window_log);
    ZstdFrameStart start;
    start.skippable = true;
    ASSIGN_OR_RETURN(start.skip_bytes, reader.Read<uint32_t>());
    return start;
  }();
  if (!parsed) {
    // The reader has met the end of the file.
    if (parsed.error().id.empty()) return FailTruncated(offset);
    return Unexpected(Error(parsed.error()));
  }
  ZstdFrameStart start = *parsed;
  start.header_bytes = reader.position();
  return start;
}

Result<void> ZstdTally::Add(const ZstdFrameStart& frame, uint64_t offset) {
  const auto limit = [&](std::string_view what) {
    return Fail(ErrorCode::kLimit, StrCat("zstd: ", what))
        .At(offset)
        .Id("E-ZSTD");
  };
  if (frame.skippable) {
    ++skippable;
    skippable_bytes += kSkippableHeaderBytes + frame.skip_bytes;
    if (skippable > frames + kMaxSpareSkippable ||
        skippable_bytes > kMaxSkippableBytes) {
      return limit(StrCat("a flood of skippable frames: ", skippable, " of ",
                          skippable_bytes, " bytes beside ", frames,
                          " frames of data"));
    }
    return {};
  }
  if (++frames > kMaxZstdFrames) {
    return limit(StrCat("more than ", kMaxZstdFrames, " frames"));
  }
  if (!frame.has_checksum) ++without_checksum;
  if (!frame.content_bytes.has_value()) ++without_size;
  max_window_bytes = std::max(max_window_bytes, frame.window_bytes);
  return {};
}

Result<ZstdFrame> ReadZstdFrame(const ByteSource& file, uint64_t offset,
                                int max_window_log) {
  Window window(file);
  return ReadFrame(window, file.size(), offset, max_window_log, nullptr);
}

Result<ZstdSummary> WalkZstd(const ByteSource& file, int max_window_log,
                             const ZstdFrameVisitor& visit,
                             const CancelToken* cancel) {
  ZstdSummary summary;
  uint64_t content = 0;
  Window window(file);
  for (uint64_t at = 0; at < file.size();) {
    ASSIGN_OR_RETURN(const ZstdFrame frame, ReadFrame(window, file.size(), at,
                                                      max_window_log, cancel));
    RETURN_IF_ERROR(summary.tally.Add(frame.start, at));
    summary.blocks += frame.blocks;
    summary.max_content_bytes =
        CheckedAdd(summary.max_content_bytes, frame.max_content_bytes)
            .value_or(~uint64_t{0});
    // Bounded by max_content_bytes, frame by frame.
    content = CheckedAdd(content, frame.start.content_bytes.value_or(0))
                  .value_or(~uint64_t{0});
    if (visit) RETURN_IF_ERROR(visit(frame));
    at += frame.compressed_bytes;
    if (cancel != nullptr && cancel->cancelled()) {
      return Fail(ErrorCode::kCancelled, "interrupted");
    }
  }
  if (summary.tally.frames == 0) return Refuse("no frame of data", 0);
  if (summary.tally.without_size == 0) summary.content_bytes = content;
  return summary;
}

}  // namespace verify
