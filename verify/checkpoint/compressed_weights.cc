// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/compressed_weights.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "verify/container/archive.h"
#include "verify/container/zstd_frames.h"
#include "verify/container/zstd_seekable.h"
#include "verify/container/zstd_streamed.h"

namespace verify {
namespace {

// The content of a file that is open as long as it is.
class OwningContent final : public ByteSource {
 public:
  OwningContent(std::unique_ptr<ByteSource> file,
                std::unique_ptr<ByteSource> content)
      : file_(std::move(file)), content_(std::move(content)) {}

  std::string_view name() const override { return file_->name(); }
  uint64_t size() const override { return content_->size(); }
  Result<void> ReadAt(uint64_t offset,
                      std::span<std::byte> out) const override {
    return content_->ReadAt(offset, out);
  }

 private:
  std::unique_ptr<ByteSource> file_;  // that `content_` reads
  std::unique_ptr<ByteSource> content_;
};

// The first bytes of a file as a source by itself.
Result<size_t> ReadStart(ByteStream& stream, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    ASSIGN_OR_RETURN(const size_t got, stream.Read(out.subspan(done)));
    if (got == 0) break;
    done += got;
  }
  return done;
}

}  // namespace

Result<std::optional<CompressedWeights>> LookIntoCompressed(
    const ByteSource& file) {
  std::optional<CompressedWeights> found;
  std::array<std::byte, kMaxZstdHeaderBytes> head{};
  const auto start = std::span<std::byte>(head).first(
      static_cast<size_t>(std::min<uint64_t>(head.size(), file.size())));
  RETURN_IF_ERROR(file.ReadAt(0, start));
  if (!IsZstd(start)) return found;
  ASSIGN_OR_RETURN(const Archive archive, Archive::Open(file, {}));
  if (archive.is_tar()) return found;
  const ArchiveContent inside = archive.Content();
  std::array<std::byte, kArchiveSniffBytes> buffer{};
  ASSIGN_OR_RETURN(const size_t got, ReadStart(*inside.stream, buffer));
  ASSIGN_OR_RETURN(
      SniffedContent content,
      SniffContent(MemorySource(ByteSpan(buffer).first(got), "content")));
  if (!content.format.has_value()) return found;
  found.emplace();
  found->content = std::move(content);
  found->seekable = archive.seek_table() != nullptr;
  if (found->seekable) {
    found->size_bytes = archive.seek_table()->content_bytes();
    return found;
  }
  // One frame may say it; that there are more is seen when it is unpacked.
  ASSIGN_OR_RETURN(const ZstdFrameStart frame,
                   ParseZstdFrameStart(start, 0, kZstdWindowLog));
  if (!frame.skippable) found->size_bytes = frame.content_bytes;
  return found;
}

Result<CompressedContent> OpenCompressedContent(
    std::unique_ptr<ByteSource> file, uint64_t keep_bytes,
    const CancelToken* cancel) {
  CompressedContent opened;
  ZstdOptions options;
  options.limit.max_bytes = UINT64_MAX;  // whoever takes it knows how much
  options.cancel = cancel;
  const auto open = [&]() -> Result<std::unique_ptr<ByteSource>> {
    ASSIGN_OR_RETURN(const bool has_table, HasSeekTable(*file));
    opened.forward_only = !has_table;
    if (!has_table) {
      ASSIGN_OR_RETURN(auto streamed,
                       StreamedZstd::Open(*file, options, keep_bytes));
      return std::unique_ptr<ByteSource>(std::move(streamed));
    }
    ASSIGN_OR_RETURN(
        auto seekable,
        SeekableZstd::Open(*file, options.max_window_log, keep_bytes));
    RETURN_IF_ERROR(CheckOutput(options.limit, seekable->size(), file->size()));
    return std::unique_ptr<ByteSource>(std::move(seekable));
  };
  auto content = open();
  if (!content) {
    Error error = std::move(content).error();
    if (error.id == "E-ARCHIVE-BOMB" || error.id == "E-ZSTD-WINDOW" ||
        error.id == "E-SEEK-TABLE") {
      error.hint =
          "if that is right, lodestone unpack writes it out: it can be told "
          "how much may come out, and how";
    }
    return Unexpected(std::move(error));
  }
  opened.source =
      std::make_unique<OwningContent>(std::move(file), *std::move(content));
  return opened;
}

}  // namespace verify
