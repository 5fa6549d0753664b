// SPDX-License-Identifier: Apache-2.0
#include "verify/container/zstd_streamed.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "verify/base/text.h"
#include "verify/container/zstd_frames.h"

namespace verify {
namespace {

// What is decompressed at once; also the least that is kept.
constexpr uint64_t kStepBytes = 1u << 20;

Result<uint64_t> CountContent(const ByteSource& file,
                              const ZstdOptions& options) {
  SourceStream input(file);
  ZstdStream stream(input, options);
  std::vector<std::byte> buffer(kStepBytes);
  while (true) {
    ASSIGN_OR_RETURN(const size_t got, stream.Read(buffer));
    if (got == 0) return stream.output_bytes();
  }
}

}  // namespace

Result<std::unique_ptr<StreamedZstd>> StreamedZstd::Open(
    const ByteSource& file, const ZstdOptions& options, uint64_t keep_bytes) {
  ASSIGN_OR_RETURN(const ZstdSummary summary,
                   WalkZstd(file, options.max_window_log, {}, options.cancel));
  uint64_t size = summary.content_bytes.value_or(0);
  if (!summary.content_bytes.has_value()) {
    ASSIGN_OR_RETURN(size, CountContent(file, options));
  }
  RETURN_IF_ERROR(CheckOutput(options.limit, size, file.size()));
  return std::make_unique<StreamedZstd>(file, options, size, keep_bytes);
}

StreamedZstd::StreamedZstd(const ByteSource& file, const ZstdOptions& options,
                           uint64_t size, uint64_t keep_bytes)
    : file_(file),
      options_(options),
      size_(size),
      ring_bytes_(std::max(kStepBytes, std::min(keep_bytes, size))) {}

// Decompresses some more behind what is there.
Result<void> StreamedZstd::Advance() const {
  const uint64_t at = position_ % ring_bytes_;
  const auto room = static_cast<size_t>(std::min(kStepBytes, ring_bytes_ - at));
  auto got = run_->stream.Read({ring_.get() + at, room});
  if (got && *got > 0) {
    position_ += *got;
    return {};
  }
  run_.reset();  // nothing more can be read from it
  if (!got) return Unexpected(std::move(got).error());
  return Fail(ErrorCode::kCorrupt,
              StrCat("zstd: ", position_, " bytes come out, the frames say ",
                     size_))
      .At(file_.size())
      .Id("E-ZSTD");
}

Result<void> StreamedZstd::ReadAt(uint64_t offset,
                                  std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("\"", EscapeForTerminal(name()), "\": truncated: ",
                       out.size(), " bytes wanted, ", size_, " come out"))
        .At(offset);
  }
  if (out.empty()) return {};
  const std::lock_guard lock(mu_);
  if (!run_.has_value() ||
      offset < position_ - std::min(position_, ring_bytes_)) {
    if (ring_ == nullptr) {
      ring_ = std::make_unique_for_overwrite<std::byte[]>(
          static_cast<size_t>(ring_bytes_));
    }
    run_.emplace(file_, options_);
    position_ = 0;
    ++num_starts_;
  }
  while (!out.empty()) {
    if (offset >= position_) {
      RETURN_IF_ERROR(Advance());
      continue;
    }
    const uint64_t at = offset % ring_bytes_;
    const auto count = static_cast<size_t>(
        std::min({uint64_t{out.size()}, position_ - offset, ring_bytes_ - at}));
    std::memcpy(out.data(), ring_.get() + at, count);
    out = out.subspan(count);
    offset += count;
  }
  return {};
}

}  // namespace verify
