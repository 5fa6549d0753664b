// SPDX-License-Identifier: Apache-2.0
#include "verify/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "verify/base/file_stamp.h"
#include "verify/base/text.h"

namespace verify {
namespace {

Unexpected PastEnd(std::string_view name, uint64_t offset, uint64_t count,
                   uint64_t size) {
  return Fail(ErrorCode::kCorrupt,
              StrCat("\"", EscapeForTerminal(name), "\": truncated: ", count,
                     " bytes wanted, file has ", size))
      .At(offset);
}

bool RangeFits(uint64_t offset, uint64_t count, uint64_t size) {
  return offset <= size && count <= size - offset;
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    if (valid()) ::close(fd_);
    fd_ = other.Release();
  }
  return *this;
}

UniqueFd::~UniqueFd() {
  if (valid()) ::close(fd_);
}

int UniqueFd::Release() { return std::exchange(fd_, -1); }

Unexpected FailErrno(std::string_view action, std::string_view path,
                     int error_number) {
  const ErrorCode code =
      error_number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  Unexpected failure =
      Fail(code, StrCat(action, " \"", EscapeForTerminal(path),
                        "\": ", std::generic_category().message(error_number)));
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return std::move(failure)
        .Id("E-DISK-FULL")
        .Hint("free some space and run the same command again");
  }
  return failure;
}

Result<void> MemorySource::ReadAt(uint64_t offset,
                                  std::span<std::byte> out) const {
  if (!RangeFits(offset, out.size(), bytes_.size())) {
    return PastEnd(name_, offset, out.size(), bytes_.size());
  }
  if (!out.empty()) {
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }
  return {};
}

Result<ReadOnlyFile> ReadOnlyFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return FailErrno("open", path, errno);
  return Adopt(std::move(fd), path);
}

Result<ReadOnlyFile> ReadOnlyFile::Adopt(UniqueFd fd, std::string path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return FailErrno("stat", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return Fail(ErrorCode::kIo, StrCat("open \"", EscapeForTerminal(path),
                                       "\": not a regular file"));
  }
  return ReadOnlyFile(std::move(fd), std::move(path), IdentityOf(info));
}

Result<void> ReadOnlyFile::ReadAt(uint64_t offset,
                                  std::span<std::byte> out) const {
  if (!RangeFits(offset, out.size(), size())) {
    return PastEnd(path_, offset, out.size(), size());
  }
  while (!out.empty()) {
    const ssize_t got =
        ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      return FailErrno("read", path_, errno);
    }
    if (got == 0) return PastEnd(path_, offset, out.size(), offset);
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  return {};
}

Result<FileIdentity> ReadOnlyFile::CurrentIdentity() const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0) return FailErrno("stat", path_, errno);
  return IdentityOf(info);
}

Result<MappedFile> MappedFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(const ReadOnlyFile file, ReadOnlyFile::Open(path));
  if (file.size() == 0) return MappedFile(path, {});
  void* address = ::mmap(nullptr, static_cast<size_t>(file.size()), PROT_READ,
                         MAP_PRIVATE, file.fd(), 0);
  if (address == MAP_FAILED) return FailErrno("map", path, errno);
  return MappedFile(path, {static_cast<const std::byte*>(address),
                           static_cast<size_t>(file.size())});
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    std::swap(path_, other.path_);
    std::swap(bytes_, other.bytes_);
  }
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

Result<void> MappedFile::ReadAt(uint64_t offset,
                                std::span<std::byte> out) const {
  if (!RangeFits(offset, out.size(), bytes_.size())) {
    return PastEnd(path_, offset, out.size(), bytes_.size());
  }
  if (!out.empty()) {
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }
  return {};
}

Result<std::vector<std::byte>> ReadSmallFile(const std::string& path,
                                             uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const ReadOnlyFile file, ReadOnlyFile::Open(path));
  if (file.size() > max_bytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("\"", EscapeForTerminal(path), "\": ", file.size(),
                       " bytes, at most ", max_bytes, " expected"));
  }
  std::vector<std::byte> bytes(static_cast<size_t>(file.size()));
  RETURN_IF_ERROR(file.ReadAt(0, bytes));
  return bytes;
}

Result<std::string> ReadSmallTextFile(const std::string& path,
                                      uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const std::vector<std::byte> bytes,
                   ReadSmallFile(path, max_bytes));
  return std::string(AsText(bytes));
}

Result<void> WriteAll(int fd, ByteSpan bytes, std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return FailErrno("write", name, errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<void> SyncFile(int fd, std::string_view name) {
  if (::fsync(fd) != 0) return FailErrno("sync", name, errno);
  return {};
}

Result<void> SyncDirectory(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("open", path, errno);
  // Some file systems cannot sync a directory and say EINVAL; then there is
  // nothing more to do.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) {
    return FailErrno("sync", path, errno);
  }
  return {};
}

Result<AtomicFileWriter> AtomicFileWriter::Create(const std::string& path,
                                                  mode_t mode) {
  // Process and counter make the name unique without trusting file locks.
  static std::atomic<unsigned> counter{0};
  const std::string temporary =
      StrCat(path, ".tmp-", ::getpid(), "-", counter.fetch_add(1));
  UniqueFd fd(::open(temporary.c_str(),
                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                     mode));
  if (!fd.valid()) return FailErrno("create", temporary, errno);
  return AtomicFileWriter(std::move(fd), path, temporary);
}

AtomicFileWriter::AtomicFileWriter(AtomicFileWriter&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, {})) {}

AtomicFileWriter::~AtomicFileWriter() {
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

Result<void> AtomicFileWriter::Write(ByteSpan bytes) {
  return WriteAll(fd_.get(), bytes, path_);
}

Result<void> AtomicFileWriter::Commit() {
  RETURN_IF_ERROR(SyncFile(fd_.get(), temporary_path_));
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    return FailErrno("rename to", path_, errno);
  }
  temporary_path_.clear();
  return SyncDirectory(ParentOf(path_));
}

Result<void> WriteFileAtomically(const std::string& path, ByteSpan bytes,
                                 mode_t mode) {
  ASSIGN_OR_RETURN(AtomicFileWriter writer,
                   AtomicFileWriter::Create(path, mode));
  RETURN_IF_ERROR(writer.Write(bytes));
  return writer.Commit();
}

Result<uint64_t> FreeBytes(const std::string& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) {
    return FailErrno("look at", path, errno);
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace verify
