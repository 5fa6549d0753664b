// SPDX-License-Identifier: Apache-2.0
#include "verify/container/archive.h"

#include <array>
#include <span>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/container/tar_reader.h"
#include "verify/container/zstd_frames.h"

namespace verify {
namespace {

using std::string_view_literals::operator""sv;

struct Magic {
  std::string_view bytes;
  std::string_view description;
};

constexpr std::array kMagics = {
    Magic{"7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
    Magic{"Rar!\x1a\x07"sv, "a RAR archive"},
    Magic{"\x1f\x8b"sv, "gzip data"},
    Magic{"BZh"sv, "bzip2 data"},
    Magic{"\xfd"
          "7zXZ\0"sv,
          "xz data"},
    Magic{"\x04\x22\x4d\x18"sv, "lz4 data"},
    Magic{"!<arch>\n"sv, "an ar archive"},
    Magic{"070701"sv, "a cpio archive"},
};

constexpr std::string_view kTarKind = "a tar archive";
constexpr std::string_view kZstdKind = "zstd data";

// zstd data and what it is read from, together.
class OwningZstdStream final : public ByteStream {
 public:
  OwningZstdStream(const ByteSource& file, const ZstdOptions& options)
      : input_(file), stream_(input_, options) {}

  std::string_view name() const override { return input_.name(); }
  Result<size_t> Read(std::span<std::byte> out) override {
    return stream_.Read(out);
  }
  const ZstdStream& zstd() const { return stream_; }

 private:
  SourceStream input_;
  ZstdStream stream_;
};

Unexpected FailKind(ErrorCode code, std::string_view name,
                    std::string_view what, std::string_view id) {
  return Fail(code, StrCat("\"", EscapeForTerminal(name), "\": ", what)).Id(id);
}

}  // namespace

std::string_view WeightsKind(ByteSpan start) {
  const std::string_view text = AsText(start);
  if (text.starts_with("GGUF")) return "GGUF";
  if (text.starts_with("PK\x03\x04")) return "a zip archive";
  constexpr uint64_t kMostHeader = 100'000'000;  // as safetensors limits it
  if (start.size() > 8 && start[8] == std::byte{'{'} &&
      LoadLe<uint64_t>(start) <= kMostHeader) {
    return "safetensors";
  }
  return {};
}

std::string_view ArchiveKind(ByteSpan start) {
  if (IsTar(start)) return kTarKind;
  if (IsZstd(start)) return kZstdKind;
  for (const Magic& magic : kMagics) {
    if (AsText(start).starts_with(magic.bytes)) return magic.description;
  }
  return {};
}

Result<Archive> Archive::Open(const ByteSource& file,
                              const ArchiveOptions& options) {
  Archive archive(file, options);
  SourceStream raw(file);
  std::array<std::byte, kArchiveSniffBytes> buffer{};
  ASSIGN_OR_RETURN(const size_t got, ReadUpTo(raw, buffer));
  const ByteSpan start = ByteSpan(buffer).first(got);
  const std::string_view kind = ArchiveKind(start);
  if (!kind.empty() && !WeightsKind(start).empty()) {
    return FailKind(ErrorCode::kCorrupt, file.name(),
                    StrCat("both ", kind, " and ", WeightsKind(start),
                           ": programs differ in what they would read"),
                    "E-POLYGLOT");
  }
  archive.is_tar_ = kind == kTarKind;
  archive.is_zstd_ = kind == kZstdKind;
  if (!archive.is_tar_ && !archive.is_zstd_) {
    constexpr std::string_view kId = "E-ARCHIVE-KIND";
    if (kind.empty()) {
      return FailKind(ErrorCode::kInvalidArgument, file.name(),
                      "no archive: neither tar nor zstd", kId);
    }
    return FailKind(ErrorCode::kUnsupported, file.name(),
                    StrCat(kind, "; only tar and zstd are unpacked"), kId);
  }
  if (!archive.is_zstd_) return archive;
  if (!options.ignore_seek_table) {
    ASSIGN_OR_RETURN(const bool has_table, HasSeekTable(file));
    if (has_table) {
      ASSIGN_OR_RETURN(archive.seekable_,
                       SeekableZstd::Open(file, options.zstd.max_window_log));
      RETURN_IF_ERROR(CheckOutput(options.zstd.limit, archive.seekable_->size(),
                                  file.size()));
    }
  }
  ASSIGN_OR_RETURN(const size_t inner_bytes,
                   ReadUpTo(*archive.Content().stream, buffer));
  const std::string_view inner =
      ArchiveKind(ByteSpan(buffer).first(inner_bytes));
  archive.is_tar_ = inner == kTarKind;
  if (!inner.empty() && !archive.is_tar_) {
    return FailKind(ErrorCode::kCorrupt, file.name(),
                    StrCat("zstd that holds ", inner,
                           ": an archive within an archive is not opened"),
                    "E-ARCHIVE-NESTED");
  }
  return archive;
}

ArchiveContent Archive::Content() const {
  if (seekable_ != nullptr) {
    return {std::make_unique<SourceStream>(*seekable_), nullptr};
  }
  if (!is_zstd_) return {std::make_unique<SourceStream>(*file_), nullptr};
  auto stream = std::make_unique<OwningZstdStream>(*file_, options_.zstd);
  const ZstdStream* const zstd = &stream->zstd();
  return {std::move(stream), zstd};
}

}  // namespace verify
