// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/archive_flow.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <utility>

#include "cli/shell_quote.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::Archive;
using verify::ByteSpan;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr size_t kBufferBytes = 1u << 20;

Result<void> CheckCancel(const Context& context) {
  if (!context.cancel.cancelled()) return {};
  return Fail(ErrorCode::kCancelled, "interrupted");
}

// One pass over the content of an archive.
class Examination {
 public:
  Examination(const Archive& archive, const verify::ByteSource& file,
              ArchiveDepth depth, const std::string& stage, Context& context)
      : content_(archive.Content()),
        file_bytes_(file.size()),
        all_(depth == ArchiveDepth::kAll),
        context_(context),
        progress_(context.output, stage),
        buffer_(kBufferBytes) {}

  const verify::ZstdStream* zstd() const { return content_.zstd; }

  Result<void> Tar(ArchiveReport& report) {
    verify::TarReader tar(*content_.stream);
    uint64_t total = 0;
    while (true) {
      RETURN_IF_ERROR(CheckCancel(context_));
      ASSIGN_OR_RETURN(std::optional<verify::TarMember> member, tar.Next());
      if (!member.has_value()) break;
      total += member->size_bytes;
      bool first = true;
      while (all_ || first) {
        const size_t want = all_ ? buffer_.size() : verify::kArchiveSniffBytes;
        ASSIGN_OR_RETURN(const size_t got, verify::FillFrom(
                                               [&](std::span<std::byte> out) {
                                                 return tar.Read(out);
                                               },
                                               std::span(buffer_).first(want)));
        if (first) {
          RETURN_IF_ERROR(
              CheckNotNested(ByteSpan(buffer_).first(got), member->path));
        }
        first = false;
        if (got == 0) break;
        RETURN_IF_ERROR(Progress(member->path, got));
      }
      report.members.push_back(std::move(*member));
    }
    report.content_bytes = total;
    return {};
  }

  Result<void> File(std::string_view name) {
    if (!all_) return {};
    while (true) {
      ASSIGN_OR_RETURN(const size_t got, content_.stream->Read(buffer_));
      if (got == 0) return {};
      RETURN_IF_ERROR(Progress(name, got));
    }
  }

  uint64_t output_bytes() const { return output_; }

 private:
  Result<void> Progress(std::string_view name, uint64_t bytes) {
    output_ += bytes;
    if (content_.zstd != nullptr) {
      progress_.OnProgress(name, content_.zstd->compressed_bytes(),
                           file_bytes_);
    } else if (all_) {
      const auto left = content_.stream->remaining().value_or(0);
      read_total_ = std::max(read_total_, left + bytes);
      progress_.OnProgress(name, read_total_ - left, read_total_);
    }
    return CheckCancel(context_);
  }

  verify::ArchiveContent content_;
  uint64_t file_bytes_;
  bool all_;
  Context& context_;
  StageProgress progress_;
  std::vector<std::byte> buffer_;
  uint64_t output_ = 0;
  uint64_t read_total_ = 0;
};

}  // namespace

bool IsArchiveFile(const std::string& path) {
  // A wrong name is for the reader of weights to say.
  constexpr std::array<std::string_view, 6> kWeights = {
      ".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".gguf"};
  const std::string extension =
      verify::AsciiLower(std::filesystem::path(path).extension().string());
  if (std::find(kWeights.begin(), kWeights.end(), extension) !=
      kWeights.end()) {
    return false;
  }
  const auto file = verify::ReadOnlyFile::Open(path);
  if (!file) return false;
  std::array<std::byte, verify::kArchiveSniffBytes> start{};
  const auto bytes = std::span<std::byte>(start).first(
      static_cast<size_t>(std::min<uint64_t>(start.size(), file->size())));
  if (!file->ReadAt(0, bytes)) return false;
  return verify::IsTar(bytes) || verify::IsZstd(bytes);
}

Result<void> CheckNotNested(ByteSpan start, std::string_view name) {
  const std::string_view kind = verify::ArchiveKind(start);
  if (kind.empty()) return {};
  return Fail(ErrorCode::kCorrupt,
              StrCat("\"", EscapeForTerminal(name), "\" in the archive is ",
                     kind, ": an archive within an archive is not opened"))
      .Id("E-ARCHIVE-NESTED");
}

void WarnOfFrames(const verify::ZstdTally& tally, Output& output) {
  if (tally.without_checksum == 0) return;
  output.Warning(
      "NO_CHECKSUM",
      fmt::format("{} of {} zstd frames have no checksum: damage in them would "
                  "not be seen",
                  tally.without_checksum, tally.frames),
      "compare the file with a published sum");
}

Result<ArchiveReport> ExamineArchive(const std::string& path,
                                     const verify::ArchiveOptions& options,
                                     ArchiveDepth depth,
                                     const std::string& stage,
                                     Context& context) {
  ASSIGN_OR_RETURN(const verify::ReadOnlyFile file,
                   verify::ReadOnlyFile::Open(path));
  ASSIGN_OR_RETURN(const Archive archive, Archive::Open(file, options));
  ArchiveReport report;
  report.file_bytes = file.size();
  report.kind = archive.is_tar() ? "tar" : "zstd";
  if (archive.is_zstd()) {
    if (archive.is_tar()) report.kind = "tar.zst";
    const int window_log = options.zstd.max_window_log;
    if (const verify::SeekTable* table = archive.seek_table()) {
      report.seek_table = *table;
      report.content_bytes = table->content_bytes();
      ASSIGN_OR_RETURN(
          report.frames,
          verify::CheckSeekTable(file, *table, window_log, &context.cancel));
    } else if (depth == ArchiveDepth::kNames) {
      ASSIGN_OR_RETURN(report.frames,
                       verify::WalkZstd(file, window_log, {}, &context.cancel));
      report.content_bytes = report.frames->content_bytes;
    }
  }
  Examination examination(archive, file, depth, stage, context);
  if (archive.is_tar()) {
    RETURN_IF_ERROR(examination.Tar(report));
  } else {
    RETURN_IF_ERROR(examination.File(path));
    if (depth == ArchiveDepth::kAll) {
      report.content_bytes = examination.output_bytes();
    }
  }
  if (!report.frames.has_value() && examination.zstd() != nullptr) {
    report.frames.emplace().tally = examination.zstd()->tally();
  }
  return report;
}

Result<std::optional<verify::Error>> CheckArchive(
    const std::string& path, const verify::ArchiveOptions& options,
    Context& context) {
  Output& output = context.output;
  output.StageBegin("structure");
  const auto report =
      ExamineArchive(path, options, ArchiveDepth::kAll, "structure", context);
  const auto emit = [&](std::string_view status, std::string_view detail,
                        Fields evidence) {
    output.Event("check", {{"id", "structure.archive"},
                           {"level", "structure"},
                           {"status", status},
                           {"subject", path},
                           {"detail", detail},
                           {"evidence", std::move(evidence)}});
  };
  if (!report) {
    const verify::Error& error = report.error();
    if (error.code == ErrorCode::kIo || error.code == ErrorCode::kCancelled) {
      output.StageEnd("structure", false, "");
      return verify::Unexpected(verify::Error(error));
    }
    Fields evidence{{"id", error.id}};
    if (error.offset.has_value()) evidence["offset"] = *error.offset;
    emit("fail", error.message, std::move(evidence));
    output.StageEnd("structure", false, error.ToString());
    return std::optional<verify::Error>(error);
  }
  std::string text = fmt::format("a {} archive", report->kind);
  if (report->kind != "zstd") {
    text += fmt::format(" of {} members", report->members.size());
  }
  text += fmt::format(", {} unpacked",
                      verify::FormatSize(report->content_bytes.value_or(0)));
  emit("pass", text,
       {{"kind", report->kind}, {"members", report->members.size()}});
  output.StageEnd("structure", true, text);
  if (report->frames.has_value()) WarnOfFrames(report->frames->tally, output);
  return std::optional<verify::Error>();
}

void WarnNotJudged(const std::string& path, Output& output) {
  output.Warning("ARCHIVE",
                 StrCat("\"", EscapeForTerminal(path),
                        "\" is an archive: it is whole, but what is in it was "
                        "not judged"),
                 "lodestone unpack " + ShellQuote(path));
}

std::optional<verify::CompressedWeights> WeightsWithin(
    const std::string& path) {
  const auto file = verify::ReadOnlyFile::Open(path);
  if (!file) return std::nullopt;
  auto inside = verify::LookIntoCompressed(*file);
  if (!inside) return std::nullopt;
  return *std::move(inside);
}

Result<CommandResult> InspectArchive(const std::string& path,
                                     const verify::ArchiveOptions& options,
                                     bool all_members, Context& context) {
  ASSIGN_OR_RETURN(
      const ArchiveReport report,
      ExamineArchive(path, options, ArchiveDepth::kNames, "inspect", context));
  Output& output = context.output;
  const auto line = [&](std::string_view key, const std::string& value) {
    output.Print(fmt::format("{:<10} {}", key, value));
  };
  const auto size_or_unknown = [](const std::optional<uint64_t>& size) {
    return size.has_value() ? verify::FormatSize(*size)
                            : std::string("unknown until it is unpacked");
  };
  CommandResult result;
  result.summary = {{"kind", "archive"},
                    {"format", report.kind},
                    {"bytes", report.file_bytes},
                    {"content_bytes", report.content_bytes.has_value()
                                          ? Fields(*report.content_bytes)
                                          : Fields(nullptr)}};
  line("archive", report.kind);
  line("size", verify::FormatSize(report.file_bytes));
  line("unpacked", size_or_unknown(report.content_bytes));
  result.summary["frames"] = nullptr;
  if (report.frames.has_value()) {
    const verify::ZstdTally& tally = report.frames->tally;
    result.summary["frames"] = {
        {"count", tally.frames},
        {"skippable", tally.skippable},
        {"blocks", report.frames->blocks},
        {"without_checksum", tally.without_checksum},
        {"without_size", tally.without_size},
        {"window_bytes", tally.max_window_bytes},
        {"max_content_bytes", report.frames->max_content_bytes}};
    line("frames",
         fmt::format("{}, {} skippable, {} blocks, window {}{}", tally.frames,
                     tally.skippable, report.frames->blocks,
                     verify::FormatSize(tally.max_window_bytes),
                     tally.without_checksum == 0
                         ? ""
                         : fmt::format(", {} without checksum",
                                       tally.without_checksum)));
  }
  result.summary["seek_table"] = nullptr;
  if (report.seek_table.has_value()) {
    result.summary["seek_table"] = {
        {"frames", report.seek_table->num_frames()},
        {"checksums", report.seek_table->has_checksums},
        {"bytes", report.seek_table->table_bytes}};
    line("seek table",
         fmt::format("{} frames, {} checksums", report.seek_table->num_frames(),
                     report.seek_table->has_checksums ? "with" : "without"));
  }
  result.summary["members"] = Fields::array();
  constexpr size_t kShown = 20;
  size_t shown = 0;
  for (const verify::TarMember& member : report.members) {
    result.summary["members"].push_back({{"path", member.path},
                                         {"bytes", member.size_bytes},
                                         {"folder", member.is_folder},
                                         {"executable", member.executable}});
    if (!all_members && shown == kShown) continue;
    ++shown;
    line(member.is_folder ? "folder" : "file",
         fmt::format(
             "{:>12}  {}",
             member.is_folder ? "" : verify::FormatSize(member.size_bytes),
             EscapeForTerminal(member.path)));
  }
  if (shown < report.members.size()) {
    line("", fmt::format("and {} more; --files lists all",
                         report.members.size() - shown));
  }
  return result;
}

}  // namespace cli
