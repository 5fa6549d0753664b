// SPDX-License-Identifier: Apache-2.0
#include "p2p/adopt.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FailErrno;
using verify::Result;
using verify::StrCat;
using verify::UniqueFd;

constexpr uint64_t kCopyBytes = 1u << 20;

verify::Unexpected FailLink(const std::string& path) {
  return Fail(ErrorCode::kIo, StrCat("\"", EscapeForTerminal(path),
                                     "\": is a symbolic link or no plain file"))
      .Id("E-SYMLINK")
      .Hint("put the file itself in its place, or remove it");
}

verify::Unexpected FailWrite(const std::string& path, int error_number) {
  verify::Error error = FailErrno("write", path, error_number).error();
  if (error_number == ENOSPC || error_number == EDQUOT) {
    error.id = "E-DISK-FULL";
    error.hint = "free some space and run the same command again";
  }
  return verify::Unexpected(std::move(error));
}

// A piece's part of one file.
struct Span {
  uint32_t piece = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

// The parts of a file, piece by piece.
std::vector<Span> SpansOf(const Metainfo& metainfo, const MetainfoFile& file) {
  std::vector<Span> spans;
  const uint64_t length = metainfo.piece_length;
  uint64_t at = 0;
  while (at < file.size_bytes) {
    const uint64_t global = file.offset + at;
    const uint64_t size =
        std::min(length - global % length, file.size_bytes - at);
    spans.push_back({static_cast<uint32_t>(global / length), at, size});
    at += size;
  }
  return spans;
}

Result<void> CopyRange(int from, const std::string& from_path, int to,
                       const std::string& to_path, uint64_t offset,
                       uint64_t size_bytes) {
  auto from_at = static_cast<off_t>(offset);
  auto to_at = static_cast<off_t>(offset);
  uint64_t left = size_bytes;
  std::vector<std::byte> buffer;
  while (left > 0) {
    if (buffer.empty()) {
      const ssize_t done =
          ::copy_file_range(from, &from_at, to, &to_at, left, 0);
      if (done > 0) {
        left -= static_cast<uint64_t>(done);
        continue;
      }
      if (done < 0 && (errno == ENOSPC || errno == EDQUOT)) {
        return FailWrite(to_path, errno);
      }
      // Other file systems, or an old kernel: by hand.
      buffer.resize(static_cast<size_t>(kCopyBytes));
    }
    const ssize_t got = ::pread(
        from, buffer.data(),
        static_cast<size_t>(std::min<uint64_t>(left, buffer.size())), from_at);
    if (got <= 0) return FailErrno("read", from_path, got < 0 ? errno : EIO);
    for (ssize_t put = 0; put < got;) {
      const ssize_t done = ::pwrite(
          to, buffer.data() + put, static_cast<size_t>(got - put), to_at + put);
      if (done < 0) return FailWrite(to_path, errno);
      put += done;
    }
    from_at += got;
    to_at += got;
    left -= static_cast<uint64_t>(got);
  }
  return {};
}

// Makes the folders that lead to a file below `root`, which is made as well.
// A link among them is refused: it would lead out of the copy.
Result<void> MakeFolders(const Metainfo& metainfo, const std::string& root,
                         const std::string& relative) {
  if (metainfo.single_file) return {};
  std::string path = root;
  size_t at = 0;
  while (true) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return FailErrno("make folder", path, errno);
    }
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
      return FailErrno("look at", path, errno);
    }
    if (!S_ISDIR(info.st_mode) && !(path == root && S_ISLNK(info.st_mode))) {
      return FailLink(path);
    }
    const size_t slash = relative.find('/', at);
    if (slash == std::string::npos) return {};
    path = StrCat(root, "/", relative.substr(0, slash));
    at = slash + 1;
  }
}

Result<UniqueFd> OpenForWriting(const std::string& path) {
  UniqueFd fd(::open(path.c_str(),
                     O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
                     0644));
  if (!fd.valid()) {
    if (errno == ELOOP) return FailLink(path);
    return FailErrno("open for writing", path, errno);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return FailErrno("stat", path, errno);
  if (!S_ISREG(info.st_mode)) return FailLink(path);
  return fd;
}

bool IsThere(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

// All of a file at once: cloned, linked, or false if it has to be copied.
bool CloneOrLink(const std::string& from, const std::string& to) {
  const UniqueFd source(
      ::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!source.valid()) return false;
  {
    const UniqueFd target(
        ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
               0644));
    if (!target.valid()) return false;
    if (::ioctl(target.get(), FICLONE, source.get()) == 0) return true;
  }
  if (::unlink(to.c_str()) != 0) return false;
  // What a link in the old copy points at, rather than the link.
  return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(),
                  AT_SYMLINK_FOLLOW) == 0;
}

Result<void> BringInFile(const Metainfo& metainfo, const MetainfoFile& file,
                         const std::string& from, const std::string& to,
                         const PieceSet& good) {
  const std::vector<Span> spans = SpansOf(metainfo, file);
  const auto is_good = [&](const Span& span) { return good[span.piece]; };
  if (std::none_of(spans.begin(), spans.end(), is_good)) return {};
  const std::string source_path = PayloadFilePath(metainfo, file, from);
  const std::string target_path = PayloadFilePath(metainfo, file, to);
  RETURN_IF_ERROR(MakeFolders(metainfo, to, file.path));
  struct stat info {};
  if (std::all_of(spans.begin(), spans.end(), is_good) &&
      !IsThere(target_path) && ::stat(source_path.c_str(), &info) == 0 &&
      static_cast<uint64_t>(info.st_size) == file.size_bytes &&
      CloneOrLink(source_path, target_path)) {
    return {};
  }
  const UniqueFd source(
      ::open(source_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!source.valid()) return FailErrno("open", source_path, errno);
  ASSIGN_OR_RETURN(const UniqueFd target, OpenForWriting(target_path));
  for (const Span& span : spans) {
    if (!is_good(span)) continue;
    RETURN_IF_ERROR(CopyRange(source.get(), source_path, target.get(),
                              target_path, span.offset, span.size_bytes));
  }
  return {};
}

}  // namespace

Result<void> BringIn(const Metainfo& metainfo, const std::string& from,
                     const std::string& to, const PieceSet& good,
                     PieceSet& have) {
  for (const MetainfoFile& file : metainfo.files) {
    if (file.is_pad || file.size_bytes == 0) continue;
    RETURN_IF_ERROR(BringInFile(metainfo, file, from, to, good));
  }
  for (size_t i = 0; i < good.size(); ++i) have[i] = have[i] || good[i];
  return {};
}

namespace {

class Applier {
 public:
  Applier(const Metainfo& metainfo, const ApplyOptions& options)
      : metainfo_(metainfo), options_(options) {}

  Result<ApplyOutcome> Run() {
    for (size_t i = 0; i < metainfo_.files.size(); ++i) {
      if (metainfo_.files[i].is_pad || !options_.files[i]) continue;
      RETURN_IF_ERROR(ApplyFile(metainfo_.files[i]));
    }
    for (const std::string& folder : folders_) {
      RETURN_IF_ERROR(verify::SyncDirectory(folder));
    }
    return outcome_;
  }

 private:
  Result<void> ApplyFile(const MetainfoFile& file) {
    const std::string path = PayloadFilePath(metainfo_, file, options_.to);
    const std::vector<Span> spans = SpansOf(metainfo_, file);
    const bool any_fetched = std::any_of(
        spans.begin(), spans.end(),
        [&](const Span& span) { return options_.pieces[span.piece]; });
    struct stat info {};
    const bool there = ::lstat(path.c_str(), &info) == 0;
    if (there && !S_ISREG(info.st_mode)) return FailLink(path);
    const bool right_size =
        there && static_cast<uint64_t>(info.st_size) == file.size_bytes;
    if (!any_fetched && right_size) return {};
    RETURN_IF_ERROR(MakeFolders(metainfo_, options_.to, file.path));
    folders_.insert(fs::path(path).parent_path().empty()
                        ? "."
                        : fs::path(path).parent_path().native());
    const bool all_fetched =
        std::all_of(spans.begin(), spans.end(), [&](const Span& span) {
          return options_.pieces[span.piece] && !options_.good[span.piece];
        });
    ++(there ? outcome_.files_repaired : outcome_.files_made);
    if (all_fetched && file.size_bytes > 0) {
      outcome_.written_bytes += file.size_bytes;
      return Replace(file, path);
    }
    return Patch(file, spans, path);
  }

  // The fetched file takes the place of the other one, or of none.
  Result<void> Replace(const MetainfoFile& file, const std::string& path) {
    const std::string source = PayloadFilePath(metainfo_, file, options_.from);
    {
      const UniqueFd fd(
          ::open(source.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
      if (!fd.valid()) return FailErrno("open", source, errno);
      if (::fchmod(fd.get(), 0644) != 0) {
        return FailErrno("set permissions of", source, errno);
      }
      RETURN_IF_ERROR(verify::SyncFile(fd.get(), source));
    }
    if (::rename(source.c_str(), path.c_str()) == 0) return {};
    if (errno != EXDEV) return FailErrno("rename to", path, errno);
    ASSIGN_OR_RETURN(verify::AtomicFileWriter writer,
                     verify::AtomicFileWriter::Create(path));
    const UniqueFd fd(
        ::open(source.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return FailErrno("open", source, errno);
    RETURN_IF_ERROR(CopyRange(fd.get(), source, writer.fd(),
                              writer.temporary_path(), 0, file.size_bytes));
    return writer.Commit();
  }

  // Only bytes that are right are written, and what is too much is cut off
  // last.
  Result<void> Patch(const MetainfoFile& file, const std::vector<Span>& spans,
                     const std::string& path) {
    ASSIGN_OR_RETURN(const UniqueFd target, OpenForWriting(path));
    const std::string source_path =
        PayloadFilePath(metainfo_, file, options_.from);
    UniqueFd source;
    for (const Span& span : spans) {
      if (!options_.pieces[span.piece]) continue;
      if (!source.valid()) {
        source = UniqueFd(
            ::open(source_path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        if (!source.valid()) return FailErrno("open", source_path, errno);
      }
      RETURN_IF_ERROR(CopyRange(source.get(), source_path, target.get(), path,
                                span.offset, span.size_bytes));
      outcome_.written_bytes += span.size_bytes;
    }
    if (::ftruncate(target.get(), static_cast<off_t>(file.size_bytes)) != 0) {
      return FailWrite(path, errno);
    }
    return verify::SyncFile(target.get(), path);
  }

  const Metainfo& metainfo_;
  const ApplyOptions& options_;
  ApplyOutcome outcome_;
  std::set<std::string> folders_;
};

}  // namespace

Result<ApplyOutcome> ApplyPieces(const Metainfo& metainfo,
                                 const ApplyOptions& options) {
  return Applier(metainfo, options).Run();
}

}  // namespace p2p
