// SPDX-License-Identifier: Apache-2.0
#include "verify/container/zstd_reader.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "verify/base/check.h"
#include "verify/base/text.h"

namespace verify {
namespace {

constexpr size_t kBufferBytes = 128u << 10;

Unexpected FailFrame(size_t code, uint64_t offset) {
  const bool checksum = ZSTD_getErrorCode(code) == ZSTD_error_checksum_wrong;
  if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation) {
    return Fail(ErrorCode::kInternal, "zstd: not enough memory for a frame")
        .At(offset)
        .Id("E-MEMORY");
  }
  return Fail(ErrorCode::kCorrupt,
              checksum ? std::string("zstd: what came out of the frame differs "
                                     "from the frame's own checksum")
                       : StrCat("zstd: the frame is damaged (",
                                ZSTD_getErrorName(code), ")"))
      .At(offset)
      .Id(checksum ? "E-ZSTD-CHECKSUM" : "E-ZSTD");
}

}  // namespace

Result<void> CheckOutput(const OutputLimit& limit, uint64_t output,
                         uint64_t input) {
  if (limit.expected_bytes.has_value() && output > *limit.expected_bytes) {
    return Fail(ErrorCode::kMismatch,
                StrCat("zstd: more than the ", *limit.expected_bytes,
                       " bytes that were to come out"))
        .At(input)
        .Id("E-SIZE");
  }
  if (output > limit.max_bytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("zstd: more than ", FormatSize(limit.max_bytes),
                       " come out"))
        .At(input)
        .Id("E-ARCHIVE-BOMB")
        .Hint("--max-size allows more");
  }
  if (output > limit.ratio_slack_bytes && output / limit.max_ratio > input) {
    return Fail(ErrorCode::kLimit,
                StrCat("zstd: ", FormatSize(output), " come out of ",
                       FormatSize(input), ": weights do not shrink like that"))
        .At(input)
        .Id("E-ARCHIVE-BOMB")
        .Hint("if that is right, say how much may come out with --max-size");
  }
  return {};
}

void ZstdStream::Free::operator()(ZSTD_DCtx_s* context) const {
  ZSTD_freeDCtx(context);
}

ZstdStream::ZstdStream(ByteStream& input, const ZstdOptions& options)
    : input_(input),
      options_(options),
      context_(ZSTD_createDCtx()),
      buffer_(kBufferBytes) {
  CHECK(context_ != nullptr);
  const size_t set = ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax,
                                            options_.max_window_log);
  CHECK(ZSTD_isError(set) == 0);
}

ZstdStream::~ZstdStream() = default;

// Buffers at least `wanted` bytes, fewer only at the end of the input.
Result<void> ZstdStream::Fill(size_t wanted) {
  if (end_ - begin_ >= wanted) return {};
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  while (end_ < wanted) {
    ASSIGN_OR_RETURN(const size_t got,
                     input_.Read(std::span(buffer_).subspan(end_)));
    if (got == 0) break;
    end_ += got;
  }
  return {};
}

Result<bool> ZstdStream::BeginFrame() {
  while (true) {
    RETURN_IF_ERROR(Fill(kMaxZstdHeaderBytes));
    const ByteSpan bytes = ByteSpan(buffer_).subspan(begin_, end_ - begin_);
    if (bytes.empty()) break;
    ASSIGN_OR_RETURN(
        const ZstdFrameStart start,
        ParseZstdFrameStart(
            bytes.first(std::min(bytes.size(), kMaxZstdHeaderBytes)), offset_,
            options_.max_window_log));
    RETURN_IF_ERROR(tally_.Add(start, offset_));
    if (!start.skippable) {
      frame_offset_ = offset_;
      frame_output_ = output_;
      frame_content_bytes_ = start.content_bytes;
      const uint64_t room = options_.limit.max_bytes - output_;
      if (start.content_bytes.value_or(0) > room) {
        return Fail(ErrorCode::kLimit,
                    StrCat("zstd: the frame says that it holds ",
                           *start.content_bytes, " bytes, at most ", room,
                           " more are allowed"))
            .At(offset_)
            .Id("E-ARCHIVE-BOMB");
      }
      ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
      in_frame_ = true;
      return true;
    }
    const uint64_t whole = kSkippableHeaderBytes + start.skip_bytes;
    const auto here =
        static_cast<size_t>(std::min<uint64_t>(whole, end_ - begin_));
    begin_ += here;
    if (auto skipped = input_.Skip(whole - here); !skipped) {
      if (skipped.error().code != ErrorCode::kCorrupt) {
        return Unexpected(std::move(skipped).error());
      }
      return Fail(ErrorCode::kCorrupt, "zstd: a frame is cut off")
          .At(offset_)
          .Id("E-ZSTD-TRUNCATED");
    }
    offset_ += whole;
  }
  if (tally_.frames == 0) {
    return Fail(ErrorCode::kCorrupt, "zstd: no frame of data").Id("E-ZSTD");
  }
  const auto& expected = options_.limit.expected_bytes;
  if (expected.has_value() && output_ != *expected) {
    return Fail(ErrorCode::kMismatch,
                StrCat("zstd: ", output_, " bytes came out, ", *expected,
                       " were to"))
        .Id("E-SIZE");
  }
  return false;
}

Result<size_t> ZstdStream::Decompress(std::span<std::byte> out) {
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  while (in_frame_ && to.pos == 0) {
    RETURN_IF_ERROR(Fill(1));
    const size_t buffered = end_ - begin_;
    ZSTD_inBuffer from{buffer_.data() + begin_, buffered, 0};
    const size_t left = ZSTD_decompressStream(context_.get(), &to, &from);
    if (ZSTD_isError(left) != 0) return FailFrame(left, frame_offset_);
    begin_ += from.pos;
    offset_ += from.pos;
    if (left == 0) {
      in_frame_ = false;
      // The library does not look where a frame is one empty block.
      const uint64_t content = output_ + to.pos - frame_output_;
      if (frame_content_bytes_.value_or(content) != content) {
        return Fail(ErrorCode::kCorrupt,
                    StrCat("zstd: ", content,
                           " bytes come out of a frame that says it holds ",
                           *frame_content_bytes_))
            .At(frame_offset_)
            .Id("E-ZSTD");
      }
    } else if (buffered == 0 && to.pos == 0) {
      return Fail(ErrorCode::kCorrupt, "zstd: a frame is cut off")
          .At(offset_)
          .Id("E-ZSTD-TRUNCATED");
    }
  }
  return to.pos;
}

Result<size_t> ZstdStream::Read(std::span<std::byte> out) {
  if (options_.cancel != nullptr && options_.cancel->cancelled()) {
    return Fail(ErrorCode::kCancelled, "interrupted");
  }
  while (true) {
    if (!in_frame_) {
      ASSIGN_OR_RETURN(const bool more, BeginFrame());
      if (!more) return size_t{0};
    }
    ASSIGN_OR_RETURN(const size_t got, Decompress(out));
    output_ += got;
    RETURN_IF_ERROR(CheckOutput(options_.limit, output_, offset_));
    if (got > 0) return got;
  }
}

}  // namespace verify
