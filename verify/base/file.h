// SPDX-License-Identifier: Apache-2.0
// Files as the rest of the project sees them: read-only byte sources (by pread
// or mapped) and atomic writes. Tested by tests/verify/base/file_test.cc.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/result.h"

namespace verify {

// An owned file descriptor, closed on destruction. Movable.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release();

 private:
  int fd_ = -1;
};

// What tells one state of a file from another without reading it.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size_bytes = 0;
  int64_t mtime_ns = 0;

  bool operator==(const FileIdentity&) const = default;
};

// Random-access bytes of known size. Thread-safe: ReadAt may be called from
// several threads.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // For messages; a path as a rule.
  virtual std::string_view name() const = 0;
  virtual uint64_t size() const = 0;

  // Fills `out` from `offset`. kCorrupt if the range reaches past the end
  // (a truncated file), kIo if the read fails.
  virtual Result<void> ReadAt(uint64_t offset,
                              std::span<std::byte> out) const = 0;
};

// Bytes in memory that it does not own; they must outlive it.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteSpan bytes, std::string name = "memory")
      : bytes_(bytes), name_(std::move(name)) {}

  std::string_view name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override;

 private:
  ByteSpan bytes_;
  std::string name_;
};

// A regular file opened for reading, read by pread. Refuses directories,
// devices and pipes. Movable; thread-safe.
class ReadOnlyFile final : public ByteSource {
 public:
  // kNotFound, or kIo (permission, not a regular file).
  static Result<ReadOnlyFile> Open(const std::string& path);
  // Of a file that is open for reading; `path` for messages.
  static Result<ReadOnlyFile> Adopt(UniqueFd fd, std::string path);

  std::string_view name() const override { return path_; }
  uint64_t size() const override { return identity_.size_bytes; }
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override;

  int fd() const { return fd_.get(); }
  // As it was when the file was opened.
  const FileIdentity& identity() const { return identity_; }
  // As it is now, of the open descriptor.
  Result<FileIdentity> CurrentIdentity() const;

 private:
  ReadOnlyFile(UniqueFd fd, std::string path, const FileIdentity& identity)
      : fd_(std::move(fd)), path_(std::move(path)), identity_(identity) {}

  UniqueFd fd_;
  std::string path_;
  FileIdentity identity_;
};

// A whole file mapped read-only and private. The bytes are paged in when they
// are touched and are never copied to the heap. A file truncated while it is
// mapped raises SIGBUS on access, so only verified files are mapped. Movable.
class MappedFile final : public ByteSource {
 public:
  static Result<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() override;

  std::string_view name() const override { return path_; }
  uint64_t size() const override { return bytes_.size(); }
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override;

  // Valid while this object lives.
  ByteSpan bytes() const { return bytes_; }

 private:
  MappedFile(std::string path, ByteSpan bytes)
      : path_(std::move(path)), bytes_(bytes) {}

  std::string path_;
  ByteSpan bytes_;
};

// The whole file, if it is at most `max_bytes` (else kLimit). For small files.
Result<std::vector<std::byte>> ReadSmallFile(const std::string& path,
                                             uint64_t max_bytes);
Result<std::string> ReadSmallTextFile(const std::string& path,
                                      uint64_t max_bytes);

// Writes all bytes to `fd` at its position; kIo with the system's reason.
Result<void> WriteAll(int fd, ByteSpan bytes, std::string_view name);

// fsync of a file, or of a directory so that a rename in it lasts.
Result<void> SyncFile(int fd, std::string_view name);
Result<void> SyncDirectory(const std::string& path);

// Writes `bytes` to a sibling temporary file, syncs it, renames it over `path`
// and syncs the directory: after a crash `path` holds the old bytes or the
// new. `mode` is that of the new file.
Result<void> WriteFileAtomically(const std::string& path, ByteSpan bytes,
                                 mode_t mode = 0644);

// A file being written beside its final place: rows of Write, then Commit.
// Without Commit the temporary file is removed. Movable; one thread.
class AtomicFileWriter {
 public:
  static Result<AtomicFileWriter> Create(const std::string& path,
                                         mode_t mode = 0644);
  AtomicFileWriter(AtomicFileWriter&& other) noexcept;
  AtomicFileWriter& operator=(AtomicFileWriter&&) = delete;
  ~AtomicFileWriter();

  int fd() const { return fd_.get(); }
  const std::string& temporary_path() const { return temporary_path_; }
  Result<void> Write(ByteSpan bytes);
  // Syncs, renames over the final path, syncs the directory.
  Result<void> Commit();

 private:
  AtomicFileWriter(UniqueFd fd, std::string path, std::string temporary_path)
      : fd_(std::move(fd)),
        path_(std::move(path)),
        temporary_path_(std::move(temporary_path)) {}

  UniqueFd fd_;
  std::string path_;
  std::string temporary_path_;
};

// Fails with the system's words for errno: 'open "x": No such file ...'.
// ENOENT is kNotFound, all else kIo.
Unexpected FailErrno(std::string_view action, std::string_view path,
                     int error_number);

// Bytes that an unprivileged user can still write on the file system of
// `path`.
Result<uint64_t> FreeBytes(const std::string& path);

}  // namespace verify
