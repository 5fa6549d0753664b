// SPDX-License-Identifier: Apache-2.0
#include "verify/container/zstd_seekable.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/container/byte_stream.h"
#include "verify/container/xxh64.h"
#include "verify/container/zstd_reader.h"

namespace verify {
namespace {

constexpr uint64_t kFooterBytes = 9;
constexpr uint32_t kTableFrameMagic = 0x184D2A5E;
constexpr uint8_t kChecksumFlag = 0x80;
constexpr uint8_t kReservedBits = 0x7C;

Unexpected Refuse(std::string_view what, uint64_t offset) {
  return Fail(ErrorCode::kCorrupt, StrCat("zstd seek table: ", what))
      .At(offset)
      .Id("E-SEEK-TABLE")
      .Hint("--ignore-seek-table reads the frames one after the other");
}

}  // namespace

Result<bool> HasSeekTable(const ByteSource& file) {
  std::array<std::byte, sizeof(uint32_t)> magic{};
  if (file.size() < kFooterBytes + kSkippableHeaderBytes) return false;
  RETURN_IF_ERROR(file.ReadAt(file.size() - magic.size(), magic));
  return LoadLe<uint32_t>(magic) == kSeekTableMagic;
}

Result<SeekTable> ReadSeekTable(const ByteSource& file) {
  const uint64_t size = file.size();
  constexpr uint64_t kLeast = kFooterBytes + kSkippableHeaderBytes;
  if (size < kLeast) return Refuse("the file is too short for one", 0);
  const uint64_t footer_offset = size - kFooterBytes;
  std::array<std::byte, kFooterBytes> footer{};
  RETURN_IF_ERROR(file.ReadAt(footer_offset, footer));
  ByteReader reader(footer, footer_offset);
  ASSIGN_OR_RETURN(const auto count, reader.Read<uint32_t>());
  ASSIGN_OR_RETURN(const auto descriptor, reader.Read<uint8_t>());
  ASSIGN_OR_RETURN(const auto magic, reader.Read<uint32_t>());
  if (magic != kSeekTableMagic) {
    return Refuse("the file does not end in one", footer_offset);
  }
  if ((descriptor & kReservedBits) != 0) {
    return Refuse("a reserved bit is set", footer_offset);
  }
  SeekTable table;
  table.has_checksums = (descriptor & kChecksumFlag) != 0;
  const uint64_t entry_bytes = table.has_checksums ? 12 : 8;
  const uint64_t room = size - kLeast;
  if (count > room / entry_bytes) {
    return Refuse(
        StrCat(count, " frames do not fit into a file of ", size, " bytes"),
        footer_offset);
  }
  if (count > kMaxZstdFrames) {
    return Fail(ErrorCode::kLimit, StrCat("zstd seek table: ", count,
                                          " frames, at most ", kMaxZstdFrames))
        .At(footer_offset)
        .Id("E-SEEK-TABLE");
  }
  const uint64_t frame_bytes = count * entry_bytes + kFooterBytes;
  table.table_bytes = kSkippableHeaderBytes + frame_bytes;
  const uint64_t table_offset = size - table.table_bytes;
  std::array<std::byte, kSkippableHeaderBytes> header{};
  RETURN_IF_ERROR(file.ReadAt(table_offset, header));
  if (LoadLe<uint32_t>(header) != kTableFrameMagic ||
      LoadLe<uint32_t>(ByteSpan(header).subspan(4)) != frame_bytes) {
    return Refuse(
        StrCat("no frame of ", frame_bytes, " bytes begins where a table of ",
               count, " entries would"),
        table_offset);
  }
  std::vector<std::byte> bytes(static_cast<size_t>(count * entry_bytes));
  const uint64_t entries_offset = table_offset + kSkippableHeaderBytes;
  RETURN_IF_ERROR(file.ReadAt(entries_offset, bytes));
  ByteReader entries(bytes, entries_offset);
  table.entries.reserve(size_t{count} + 1);
  SeekTable::Entry at;
  for (uint32_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const auto compressed, entries.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto content, entries.Read<uint32_t>());
    at.checksum = 0;
    if (table.has_checksums) {
      ASSIGN_OR_RETURN(at.checksum, entries.Read<uint32_t>());
    }
    table.entries.push_back(at);
    // At most 2^22 numbers below 2^32.
    at.offset += compressed;
    at.content += content;
    if (at.offset > table_offset) {
      return Refuse(StrCat("frame ", i, " reaches into the table"),
                    entries.offset());
    }
  }
  at.checksum = 0;
  table.entries.push_back(at);
  if (at.offset != table_offset) {
    return Refuse(StrCat("its frames add up to ", at.offset, " bytes, but ",
                         table_offset, " lie before it"),
                  table_offset);
  }
  return table;
}

Result<ZstdSummary> CheckSeekTable(const ByteSource& file,
                                   const SeekTable& table, int max_window_log,
                                   const CancelToken* cancel) {
  size_t next = 0;
  const auto check = [&](const ZstdFrame& frame) -> Result<void> {
    if (next == table.num_frames()) return {};  // the table itself
    const SeekTable::Entry& entry = table.entries[next];
    const SeekTable::Entry& end = table.entries[next + 1];
    const uint64_t content = end.content - entry.content;
    const uint64_t stated = frame.start.content_bytes.value_or(content);
    if (frame.offset != entry.offset ||
        frame.compressed_bytes != end.offset - entry.offset ||
        content > frame.max_content_bytes || stated != content) {
      return Refuse(StrCat("frame ", next, " is not as the table says"),
                    frame.offset);
    }
    ++next;
    return {};
  };
  ASSIGN_OR_RETURN(const ZstdSummary summary,
                   WalkZstd(file, max_window_log, check, cancel));
  if (next != table.num_frames()) {
    return Refuse(
        StrCat("it lists ", table.num_frames(), " frames, there are ", next),
        0);
  }
  return summary;
}

Result<std::unique_ptr<SeekableZstd>> SeekableZstd::Open(const ByteSource& file,
                                                         int max_window_log,
                                                         uint64_t keep_bytes) {
  ASSIGN_OR_RETURN(SeekTable table, ReadSeekTable(file));
  for (size_t i = 0; i < table.num_frames(); ++i) {
    const uint64_t content =
        table.entries[i + 1].content - table.entries[i].content;
    const uint64_t stored =
        table.entries[i + 1].offset - table.entries[i].offset;
    if (content > kMaxSeekableFrameBytes || stored > kMaxSeekableFrameBytes) {
      return Fail(ErrorCode::kUnsupported,
                  StrCat("zstd seek table: frame ", i, " holds ", content,
                         " bytes, at most ", kMaxSeekableFrameBytes,
                         " can be read at random"))
          .At(table.entries[i].offset)
          .Id("E-SEEK-TABLE")
          .Hint("--ignore-seek-table reads the frames one after the other");
    }
    // Nobody will read it: whatever is in it would be there for those alone who
    // read the frames in order.
    if (content == 0) {
      ASSIGN_OR_RETURN(
          const ZstdFrame real,
          ReadZstdFrame(file, table.entries[i].offset, max_window_log));
      if (real.max_content_bytes != 0 || real.compressed_bytes != stored) {
        return Refuse(StrCat("frame ", i, " is not as the table says"),
                      table.entries[i].offset);
      }
    }
  }
  return std::make_unique<SeekableZstd>(file, std::move(table), max_window_log,
                                        keep_bytes);
}

void SeekableZstd::ForgetOld() const {
  auto it = kept_.end();
  while (it != kept_.begin() && kept_bytes_ > keep_bytes_) {
    --it;
    // Neither the one that is about to be used nor one that is not there yet.
    if (it == kept_.begin() || it->content == nullptr) continue;
    kept_bytes_ -= it->content->size();
    kept_by_frame_.erase(it->frame);
    it = kept_.erase(it);
  }
}

Result<SeekableZstd::Content> SeekableZstd::ContentOf(size_t frame) const {
  std::unique_lock lock(mu_);
  while (true) {
    const auto found = kept_by_frame_.find(frame);
    if (found == kept_by_frame_.end()) break;
    if (found->second->content != nullptr) {
      kept_.splice(kept_.begin(), kept_, found->second);
      return found->second->content;
    }
    done_.wait(lock);
  }
  kept_.push_front({frame, nullptr});
  const auto entry = kept_.begin();
  kept_by_frame_.emplace(frame, entry);
  lock.unlock();
  Result<Content> content = Decompress(frame);
  lock.lock();
  if (content) {
    entry->content = *content;
    kept_bytes_ += (*content)->size();
    kept_.splice(kept_.begin(), kept_, entry);
    ForgetOld();
  } else {
    kept_by_frame_.erase(frame);
    kept_.erase(entry);
  }
  lock.unlock();
  done_.notify_all();
  return content;
}

Result<SeekableZstd::Content> SeekableZstd::Decompress(size_t frame) const {
  const SeekTable::Entry& entry = table_.entries[frame];
  const SeekTable::Entry& end = table_.entries[frame + 1];
  const uint64_t want = end.content - entry.content;
  std::vector<std::byte> stored(static_cast<size_t>(end.offset - entry.offset));
  RETURN_IF_ERROR(file_.ReadAt(entry.offset, stored));
  const auto disagree = [&] {
    return Refuse(StrCat("frame ", frame, " is not as the table says"),
                  entry.offset);
  };
  const MemorySource source(stored, std::string(name()));
  ASSIGN_OR_RETURN(const ZstdFrame real,
                   ReadZstdFrame(source, 0, max_window_log_));
  if (real.compressed_bytes != stored.size() || want > real.max_content_bytes ||
      real.start.content_bytes.value_or(want) != want) {
    return disagree();
  }
  SourceStream input(source);
  ZstdOptions options;
  options.max_window_log = max_window_log_;
  options.limit.max_ratio = ~uint64_t{0};
  options.limit.max_bytes = want;
  ZstdStream stream(input, options);
  std::vector<std::byte> content(static_cast<size_t>(want));
  ASSIGN_OR_RETURN(const size_t got, ReadUpTo(stream, content));
  std::array<std::byte, 1> more{};
  auto beyond = stream.Read(more);
  if (!beyond) {
    if (beyond.error().code == ErrorCode::kLimit) return disagree();
    return Unexpected(std::move(beyond).error());
  }
  if (got != want) return disagree();
  if (table_.has_checksums &&
      static_cast<uint32_t>(Xxh64(content)) != entry.checksum) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("zstd: what came out of frame ", frame,
                       " differs from its checksum in the seek table"))
        .At(entry.offset)
        .Id("E-ZSTD-CHECKSUM");
  }
  return std::make_shared<const std::vector<std::byte>>(std::move(content));
}

Result<void> SeekableZstd::ReadAt(uint64_t offset,
                                  std::span<std::byte> out) const {
  if (offset > size() || out.size() > size() - offset) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("\"", EscapeForTerminal(name()), "\": truncated: ",
                       out.size(), " bytes wanted, ", size(), " come out"))
        .At(offset);
  }
  while (!out.empty()) {
    // The last entry that begins at or before `offset`; empty frames share
    // their place with the one that has the byte.
    const auto after =
        std::upper_bound(table_.entries.begin(), table_.entries.end(), offset,
                         [](uint64_t at, const SeekTable::Entry& entry) {
                           return at < entry.content;
                         });
    const auto frame = static_cast<size_t>(after - table_.entries.begin()) - 1;
    ASSIGN_OR_RETURN(const Content content, ContentOf(frame));
    const auto skip =
        static_cast<size_t>(offset - table_.entries[frame].content);
    const size_t share = std::min(out.size(), content->size() - skip);
    std::copy_n(content->begin() + static_cast<ptrdiff_t>(skip), share,
                out.begin());
    out = out.subspan(share);
    offset += share;
  }
  return {};
}

}  // namespace verify
