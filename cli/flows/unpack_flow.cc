// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/unpack_flow.h"

#include <fmt/core.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/flows/archive_flow.h"
#include "cli/flows/final_name.h"
#include "cli/shell_quote.h"
#include "verify/base/confined_folder.h"
#include "verify/base/path_policy.h"
#include "verify/base/text.h"
#include "verify/container/tar_reader.h"
#include "verify/digest/digest.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::Archive;
using verify::ByteSpan;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FormatSize;
using verify::Result;
using verify::StrCat;

constexpr size_t kBufferBytes = 1u << 20;
// Compressed: so little is read twice, to judge all names before any is made.
constexpr uint64_t kLookAheadBytes = 4u << 20;
// How often the free space is looked at, and how much of it is left alone.
constexpr uint64_t kSpaceStep = 256u << 20;
constexpr uint64_t kSpaceReserve = 64u << 20;
constexpr size_t kMaxNameWarnings = 10;

verify::Unexpected FailSpace(const std::string& folder, uint64_t needed,
                             uint64_t free_bytes) {
  return Fail(ErrorCode::kIo,
              StrCat("\"", EscapeForTerminal(folder), "\": ", needed,
                     " bytes are needed, ", free_bytes, " are free"))
      .Id("E-DISK-FULL")
      .Hint("free some space, or name another folder with --output");
}

verify::Unexpected FailExists(const std::string& path) {
  return Fail(ErrorCode::kIo,
              StrCat("\"", EscapeForTerminal(path), "\" is there already"))
      .Id("E-EXISTS")
      .Hint("move it away, or name another folder with --output");
}

bool IsThere(const std::string& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// The archive's name without what says that it is one.
std::string StemOf(const std::string& archive) {
  std::string name = fs::path(archive).filename().string();
  const auto strip = [&](std::string_view ending) {
    if (name.size() <= ending.size() ||
        !verify::AsciiLower(name).ends_with(ending)) {
      return false;
    }
    name.resize(name.size() - ending.size());
    return true;
  };
  if (strip(".tzst") || strip(".tar")) return name;
  if (strip(".zst") || strip(".zstd")) {
    strip(".tar");
    return name;
  }
  return name + ".unpacked";
}

// A folder that is gone with all it holds unless it is kept.
class WorkFolder {
 public:
  static Result<WorkFolder> Make(const std::string& beside) {
    std::array<std::byte, 8> random{};
    if (::getrandom(random.data(), random.size(), 0) !=
        static_cast<ssize_t>(random.size())) {
      return verify::FailErrno("get random bytes", "the system", errno);
    }
    const std::string path =
        StrCat(beside, "/.lodestone-unpack-", verify::HexEncode(random));
    ASSIGN_OR_RETURN(verify::ConfinedFolder folder,
                     verify::ConfinedFolder::MakePrivate(path));
    return WorkFolder(std::move(folder));
  }
  WorkFolder(WorkFolder&& other) noexcept
      : folder_(std::move(other.folder_)),
        path_(std::exchange(other.path_, {})) {}
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  const verify::ConfinedFolder& folder() const { return folder_; }
  const std::string& path() const { return path_; }
  // It has another name now.
  void Keep() { path_.clear(); }

 private:
  explicit WorkFolder(verify::ConfinedFolder folder)
      : folder_(std::move(folder)), path_(folder_.path()) {}

  verify::ConfinedFolder folder_;
  std::string path_;
};

class Unpacker {
 public:
  Unpacker(const UnpackOptions& options, Context& context)
      : options_(options),
        context_(context),
        output_(context.output),
        progress_(context.output, "unpack"),
        stem_(StemOf(options.archive)),
        buffer_(kBufferBytes) {}

  Result<CommandResult> Run();

 private:
  Result<void> LookAhead();
  Result<void> CheckSpace(uint64_t needed) const;
  Result<void> Extract(const Archive& archive, const verify::ByteSource& file);
  Result<void> ExtractTar(verify::ByteStream& stream);
  template <typename Reader>
  Result<void> WriteFile(const std::string& name, Reader&& read);
  Result<void> Finish();
  void WarnOfName(const std::string& path);

  const UnpackOptions& options_;
  Context& context_;
  Output& output_;
  StageProgress progress_;
  std::string stem_;
  std::vector<std::byte> buffer_;
  std::optional<WorkFolder> work_;
  const verify::ZstdStream* zstd_ = nullptr;
  uint64_t file_bytes_ = 0;   // of the archive
  uint64_t total_bytes_ = 0;  // to be written; 0 if unknown
  uint64_t written_ = 0;
  uint64_t space_seen_at_ = 0;
  uint64_t num_files_ = 0;
  uint64_t num_executable_ = 0;
  size_t name_warnings_ = 0;
  std::set<std::string> tops_;  // first parts of all names
  std::string final_path_;
};

Result<void> Unpacker::CheckSpace(uint64_t needed) const {
  ASSIGN_OR_RETURN(const uint64_t free_bytes,
                   verify::FreeBytes(options_.output_folder));
  if (free_bytes < needed) {
    return FailSpace(options_.output_folder, needed, free_bytes);
  }
  return {};
}

// All names and sizes, and whether what they become is free.
Result<void> Unpacker::LookAhead() {
  ASSIGN_OR_RETURN(const ArchiveReport report,
                   ExamineArchive(options_.archive, options_.archive_options,
                                  ArchiveDepth::kNames, "unpack", context_));
  total_bytes_ = report.content_bytes.value_or(0);
  std::set<std::string> tops;
  for (const verify::TarMember& member : report.members) {
    tops.insert(member.path.substr(0, member.path.find('/')));
  }
  const std::string name =
      report.kind != "zstd" && tops.size() == 1 ? *tops.begin() : stem_;
  const std::string path = options_.output_folder + "/" + name;
  if (IsThere(path)) return FailExists(path);
  RETURN_IF_ERROR(verify::CheckOutput(options_.archive_options.zstd.limit,
                                      total_bytes_, report.file_bytes));
  return CheckSpace(total_bytes_);
}

void Unpacker::WarnOfName(const std::string& path) {
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const auto problem =
        verify::PortabilityProblem(path.substr(begin, end - begin));
    begin = end + 1;
    if (!problem.has_value()) continue;
    if (++name_warnings_ <= kMaxNameWarnings) {
      output_.Warning("NAME",
                      StrCat("\"", EscapeForTerminal(path), "\" ", *problem));
    }
    return;
  }
}

// Writes what `read` gives, up to its end, into a new file.
template <typename Reader>
Result<void> Unpacker::WriteFile(const std::string& name, Reader&& read) {
  ASSIGN_OR_RETURN(const verify::UniqueFd fd, work_->folder().CreateFile(name));
  verify::Sha256Hasher sha256;
  uint64_t size = 0;
  while (true) {
    if (context_.cancel.cancelled()) {
      return Fail(ErrorCode::kCancelled, "interrupted: nothing is left");
    }
    ASSIGN_OR_RETURN(const size_t got, verify::FillFrom(read, buffer_));
    const ByteSpan bytes = ByteSpan(buffer_).first(got);
    if (size == 0) RETURN_IF_ERROR(CheckNotNested(bytes, name));
    if (got == 0) break;
    if (written_ - space_seen_at_ >= kSpaceStep) {
      space_seen_at_ = written_;
      RETURN_IF_ERROR(CheckSpace(kSpaceReserve));
    }
    RETURN_IF_ERROR(verify::WriteAll(fd.get(), bytes, name));
    sha256.Update(bytes);
    size += got;
    written_ += got;
    if (zstd_ != nullptr) {
      progress_.OnProgress(name, zstd_->compressed_bytes(), file_bytes_);
    } else {
      progress_.OnProgress(name, written_, total_bytes_);
    }
  }
  // A name that lasts must not come before the bytes do.
  RETURN_IF_ERROR(verify::SyncFile(fd.get(), name));
  ++num_files_;
  output_.Event("file", {{"path", name},
                         {"bytes", size},
                         {"sha256", verify::HexEncode(sha256.Finish())},
                         {"status", "ok"},
                         {"expected", ""},
                         {"bad_pieces", Fields::array()}});
  return {};
}

Result<void> Unpacker::ExtractTar(verify::ByteStream& stream) {
  verify::TarReader tar(stream);
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<verify::TarMember> member, tar.Next());
    if (!member.has_value()) break;
    tops_.insert(member->path.substr(0, member->path.find('/')));
    WarnOfName(member->path);
    if (member->is_folder) {
      RETURN_IF_ERROR(work_->folder().MakeFolder(member->path));
      continue;
    }
    if (member->executable) ++num_executable_;
    RETURN_IF_ERROR(WriteFile(
        member->path, [&](std::span<std::byte> out) { return tar.Read(out); }));
  }
  if (tops_.empty()) {
    return Fail(ErrorCode::kCorrupt, "tar: the archive is empty").Id("E-EMPTY");
  }
  return {};
}

Result<void> Unpacker::Extract(const Archive& archive,
                               const verify::ByteSource& file) {
  const verify::ArchiveContent content = archive.Content();
  zstd_ = content.zstd;
  file_bytes_ = file.size();
  if (archive.is_tar()) {
    RETURN_IF_ERROR(ExtractTar(*content.stream));
  } else {
    tops_.insert(stem_);
    RETURN_IF_ERROR(WriteFile(stem_, [&](std::span<std::byte> out) {
      return content.stream->Read(out);
    }));
  }
  if (zstd_ != nullptr) WarnOfFrames(zstd_->tally(), output_);
  zstd_ = nullptr;
  return {};
}

// Everything is read and right: lasting first, then the final name.
Result<void> Unpacker::Finish() {
  const std::string& work = work_->path();
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(work, error)) {
    if (!entry.is_directory()) continue;
    RETURN_IF_ERROR(verify::SyncDirectory(entry.path().string()));
  }
  if (error) return verify::FailErrno("list", work, error.value());
  RETURN_IF_ERROR(verify::SyncDirectory(work));
  const bool is_one = tops_.size() == 1;
  const std::string from = is_one ? work + "/" + *tops_.begin() : work;
  final_path_ =
      options_.output_folder + "/" + (is_one ? *tops_.begin() : stem_);
  OpenPermissions(from);
  auto promoted = Promote(from, final_path_);
  if (!promoted) return promoted;
  if (!is_one) work_->Keep();
  return {};
}

Result<CommandResult> Unpacker::Run() {
  ASSIGN_OR_RETURN(const verify::ReadOnlyFile file,
                   verify::ReadOnlyFile::Open(options_.archive));
  ASSIGN_OR_RETURN(const Archive archive,
                   Archive::Open(file, options_.archive_options));
  if (!archive.is_tar()) {
    if (const auto problem = verify::CheckPart(stem_)) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("the archive's name makes no file name: ",
                         problem->reason))
          .Id(problem->id);
    }
    const std::string path = options_.output_folder + "/" + stem_;
    if (IsThere(path)) return FailExists(path);
  }
  std::error_code error;
  fs::create_directories(options_.output_folder, error);
  if (error) {
    return verify::FailErrno("make folder", options_.output_folder,
                             error.value());
  }
  output_.StageBegin("unpack");
  const auto unpacked = [&]() -> Result<void> {
    if (archive.can_look_ahead() ||
        (archive.is_tar() && file.size() <= kLookAheadBytes)) {
      RETURN_IF_ERROR(LookAhead());
    } else {
      // At least what the first frame says of itself.
      std::array<std::byte, verify::kMaxZstdHeaderBytes> head{};
      verify::SourceStream raw(file);
      ASSIGN_OR_RETURN(const size_t got, verify::ReadUpTo(raw, head));
      const auto start = verify::ParseZstdFrameStart(
          ByteSpan(head).first(got), 0, verify::kMaxZstdWindowLog);
      if (start) RETURN_IF_ERROR(CheckSpace(start->content_bytes.value_or(0)));
    }
    ASSIGN_OR_RETURN(WorkFolder work, WorkFolder::Make(options_.output_folder));
    work_.emplace(std::move(work));
    RETURN_IF_ERROR(Extract(archive, file));
    return Finish();
  }();
  if (!unpacked) {
    work_.reset();
    output_.StageEnd("unpack", false, "");
    return verify::Unexpected(verify::Error(unpacked.error()));
  }
  work_.reset();
  output_.StageEnd(
      "unpack", true,
      fmt::format("{} files, {}", num_files_, FormatSize(written_)));
  if (num_executable_ > 0) {
    output_.Warning("NOT_EXECUTABLE",
                    fmt::format("{} files were marked as programs; the mark "
                                "was left out",
                                num_executable_));
  }
  if (name_warnings_ > kMaxNameWarnings) {
    output_.Warning("NAME", fmt::format("and {} more names that other systems "
                                        "cannot store or would hide",
                                        name_warnings_ - kMaxNameWarnings));
  }
  CommandResult result;
  result.path = final_path_;
  result.summary["files"] = num_files_;
  result.summary["bytes"] = written_;
  result.next.push_back("lodestone verify " + ShellQuote(final_path_));
  return result;
}

}  // namespace

Result<CommandResult> RunUnpack(const UnpackOptions& options,
                                Context& context) {
  return Unpacker(options, context).Run();
}

}  // namespace cli
