// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/partial_result.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "verify/base/text.h"

namespace inference {
namespace {

namespace fs = std::filesystem;
using verify::ByteSpan;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FailErrno;
using verify::Result;
using verify::StrCat;
using verify::UniqueFd;

// A second of work at most is done twice.
constexpr std::chrono::seconds kCheckpointAfter{1};
constexpr uint64_t kCheckpointBytes = 512u << 20;

// What is written goes to the disk while more is computed; this much may still
// be on its way.
constexpr uint64_t kWriteBehindBytes = 32u << 20;

// A folder of another plan holds no more files than a model has weights.
constexpr size_t kMaxOldFiles = 20'000;

std::string Quoted(const std::string& path) {
  return StrCat("\"", EscapeForTerminal(path), "\"");
}

verify::Unexpected Exists(const std::string& path, std::string_view hint) {
  return Fail(ErrorCode::kIo, StrCat(Quoted(path), " already exists"))
      .Id("E-EXISTS")
      .Hint(hint);
}

verify::Unexpected FailWrite(const std::string& path, int error) {
  verify::Unexpected failed = FailErrno("write", path, error);
  if (error != ENOSPC && error != EDQUOT) return failed;
  return std::move(failed).Id("E-DISK-FULL");
}

Result<void> WriteAt(int fd, uint64_t offset, ByteSpan bytes,
                     const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return FailWrite(path, errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return {};
}

Result<void> SyncData(int fd, const std::string& path) {
  if (::fdatasync(fd) != 0) return FailWrite(path, errno);
  return {};
}

// Regular files directly in `folder`; anything else is not ours.
Result<std::vector<std::string>> ListOldFiles(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    if (!fs::is_regular_file(it->symlink_status(ignored)) ||
        files.size() == kMaxOldFiles) {
      return Exists(it->path().string(),
                    "it is not of a conversion: move it away");
    }
    files.push_back(it->path().string());
  }
  if (error) return FailErrno("list", folder, error.value());
  return files;
}

Result<void> RemoveOld(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) return {};
  if (!fs::is_directory(status)) {
    if (!fs::is_regular_file(status)) {
      return Exists(path, "it is not of a conversion: move it away");
    }
    if (::unlink(path.c_str()) != 0) return FailErrno("remove", path, errno);
    return {};
  }
  ASSIGN_OR_RETURN(const auto files, ListOldFiles(path));
  for (const std::string& file : files) {
    if (::unlink(file.c_str()) != 0) return FailErrno("remove", file, errno);
  }
  if (::rmdir(path.c_str()) != 0) return FailErrno("remove", path, errno);
  return {};
}

uint64_t TakenBytesOf(const std::string& path, uint64_t at_most) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
  return std::min(at_most, static_cast<uint64_t>(info.st_blocks) * 512);
}

}  // namespace

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string FolderOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::vector<std::string> FinalPaths(const std::string& output,
                                    const ConvertPlan& plan) {
  if (plan.is_folder || plan.files.size() == 1) return {output};
  std::vector<std::string> paths;
  for (const PlannedFile& file : plan.files) {
    paths.push_back((fs::path(output).parent_path() / file.name).string());
  }
  return paths;
}

verify::Unexpected DiskFull(const std::string& path, uint64_t needed,
                            uint64_t free) {
  return Fail(ErrorCode::kIo,
              StrCat(Quoted(path), ": ", needed, " bytes (",
                     verify::FormatSize(needed), ") needed, ", free, " (",
                     verify::FormatSize(free), ") free"))
      .Id("E-DISK-FULL");
}

PartialResult::PartialResult(std::string output, const ConvertPlan& plan,
                             const verify::Sha256Digest& digest)
    : output_(std::move(output)),
      path_(output_ + ".partial"),
      journal_path_(output_ + ".partial-journal"),
      plan_(&plan),
      digest_(digest),
      last_checkpoint_(std::chrono::steady_clock::now()) {}

Result<PartialResult> PartialResult::Open(std::string output,
                                          const ConvertPlan& plan,
                                          const verify::Sha256Digest& digest) {
  PartialResult partial(std::move(output), plan, digest);
  partial.journal_fd_ = UniqueFd(
      ::open(partial.journal_path_.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!partial.journal_fd_.valid()) {
    if (errno != ENOENT) return FailErrno("open", partial.journal_path_, errno);
    std::error_code error;
    if (fs::exists(fs::symlink_status(partial.path_, error))) {
      return Exists(partial.path_,
                    "no journal says that it is of a conversion: move it away");
    }
    return partial;
  }
  const int fd = partial.journal_fd_.get();
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return FailErrno("lock", partial.journal_path_, errno);
    }
    return Fail(ErrorCode::kBusy,
                StrCat(Quoted(partial.path_), ": in use by another process"))
        .Id("E-LOCKED")
        .Hint("wait for the other conversion, or stop it");
  }
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return Exists(partial.journal_path_,
                  "it is not of a conversion: move it away");
  }
  // Another run may have ended between the two calls above.
  struct stat named {};
  if (::lstat(partial.journal_path_.c_str(), &named) != 0 ||
      named.st_ino != info.st_ino || named.st_dev != info.st_dev) {
    partial.journal_fd_ = UniqueFd();
    return partial;
  }
  partial.has_journal_ = true;
  if (static_cast<uint64_t>(info.st_size) > kMaxJournalBytes) return partial;
  ASSIGN_OR_RETURN(
      const std::string text,
      verify::ReadSmallTextFile(partial.journal_path_, kMaxJournalBytes));
  partial.journal_ = ReadJournal(text, digest, plan.units.size());
  return partial;
}

std::string PartialResult::PathOf(size_t file) const {
  if (!in_folder()) return path_;
  return (fs::path(path_) / plan_->files[file].name).string();
}

uint64_t PartialResult::TakenBytes() const {
  uint64_t sum = 0;
  // What is there of another plan goes before anything is written.
  if (starts_anew()) {
    std::error_code error;
    if (!fs::is_directory(fs::symlink_status(path_, error))) {
      return TakenBytesOf(path_, UINT64_MAX / 2);
    }
    const auto files = ListOldFiles(path_);
    if (!files) return 0;
    for (const std::string& file : *files) {
      sum += TakenBytesOf(file, UINT64_MAX / 2 / kMaxOldFiles);
    }
    return sum;
  }
  for (size_t i = 0; i < plan_->files.size(); ++i) {
    sum += TakenBytesOf(PathOf(i), plan_->files[i].bytes);
  }
  return sum;
}

Result<void> PartialResult::BeginJournal() {
  const std::string head = JournalHead(digest_);
  if (!has_journal_) {
    journal_fd_ = UniqueFd(
        ::open(journal_path_.c_str(),
               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!journal_fd_.valid()) return FailErrno("create", journal_path_, errno);
    has_journal_ = true;
    // Nobody else can have it: it is new. Should the lock fail, as on some
    // network file systems, a second run is not noticed.
    ::flock(journal_fd_.get(), LOCK_EX | LOCK_NB);
  }
  if (journal_.has_value()) {
    if (::ftruncate(journal_fd_.get(),
                    static_cast<off_t>(journal_->good_bytes)) != 0) {
      return FailWrite(journal_path_, errno);
    }
  } else {
    if (::ftruncate(journal_fd_.get(), 0) != 0) {
      return FailWrite(journal_path_, errno);
    }
    // Its own space first, so that a full disk can still be told of.
    ::fallocate(journal_fd_.get(), FALLOC_FL_KEEP_SIZE, 0,
                static_cast<off_t>(head.size() +
                                   plan_->units.size() * kMaxJournalLineBytes));
    RETURN_IF_ERROR(
        WriteAt(journal_fd_.get(), 0, verify::AsBytes(head), journal_path_));
    journal_ = Journal{{}, head.size()};
    journal_->sums.resize(plan_->units.size());
  }
  if (::fsync(journal_fd_.get()) != 0) return FailWrite(journal_path_, errno);
  return verify::SyncDirectory(FolderOf(output_));
}

Result<void> PartialResult::Begin() {
  if (starts_anew()) RETURN_IF_ERROR(RemoveOld(path_));
  RETURN_IF_ERROR(BeginJournal());
  RETURN_IF_ERROR(OpenFiles());
  for (size_t i = 0; i < files_.size(); ++i) {
    RETURN_IF_ERROR(Write(files_[i], 0, verify::AsBytes(plan_->files[i].head)));
    files_[i].is_dirty = true;
  }
  if (in_folder()) RETURN_IF_ERROR(verify::SyncDirectory(path_));
  last_checkpoint_ = std::chrono::steady_clock::now();
  return verify::SyncDirectory(FolderOf(output_));
}

Result<void> PartialResult::OpenFiles() {
  if (in_folder() && ::mkdir(path_.c_str(), 0755) != 0 && errno != EEXIST) {
    return FailErrno("make folder", path_, errno);
  }
  std::error_code error;
  if (in_folder() && !fs::is_directory(fs::symlink_status(path_, error))) {
    return Exists(path_, "it is not of a conversion: move it away");
  }
  for (size_t i = 0; i < plan_->files.size(); ++i) {
    OpenFile file;
    file.path = PathOf(i);
    file.fd = UniqueFd(::open(file.path.c_str(),
                              O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file.fd.valid()) return FailErrno("create", file.path, errno);
    struct stat info {};
    if (::fstat(file.fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return Exists(file.path, "it is not of a conversion: move it away");
    }
    RETURN_IF_ERROR(Reserve(file, plan_->files[i].bytes));
    files_.push_back(std::move(file));
  }
  return {};
}

// Takes the space at once, so that a disk cannot fill up after an hour.
Result<void> PartialResult::Reserve(const OpenFile& file,
                                    uint64_t bytes) const {
  if (::ftruncate(file.fd.get(), static_cast<off_t>(bytes)) != 0) {
    return FailWrite(file.path, errno);
  }
  if (bytes > 0 &&
      ::fallocate(file.fd.get(), 0, 0, static_cast<off_t>(bytes)) != 0 &&
      (errno == ENOSPC || errno == EDQUOT)) {
    return FailWrite(file.path, errno);
  }
  return {};  // else a file system that cannot; writing will tell
}

std::optional<uint64_t> PartialResult::SumOf(size_t unit) const {
  if (!journal_.has_value()) return std::nullopt;
  return journal_->sums[unit];
}

Result<void> PartialResult::ReadUnit(const Unit& unit,
                                     std::span<std::byte> out) const {
  const OpenFile& file = files_[unit.file];
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        ::pread(file.fd.get(), out.data() + done, out.size() - done,
                static_cast<off_t>(unit.offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("read", file.path, errno);
    if (count == 0) {
      return Fail(ErrorCode::kIo, StrCat(Quoted(file.path), ": cut off"));
    }
    done += static_cast<size_t>(count);
  }
  ::posix_fadvise(file.fd.get(), static_cast<off_t>(unit.offset),
                  static_cast<off_t>(out.size()), POSIX_FADV_DONTNEED);
  return {};
}

Result<void> PartialResult::Write(OpenFile& file, uint64_t offset,
                                  ByteSpan bytes) {
  RETURN_IF_ERROR(WriteAt(file.fd.get(), offset, bytes, file.path));
  file.is_dirty = true;
  WriteBehind(file, offset + bytes.size());
  return {};
}

void PartialResult::WriteBehind(OpenFile& file, uint64_t end) {
  const int fd = file.fd.get();
  if (end < file.written_to) return;
  const uint64_t length = end - file.written_to;
  if (length < kWriteBehindBytes) return;
  // The half before was asked for last time: by now most of it is there.
  const auto begin = static_cast<off_t>(file.written_to);
  const auto half = static_cast<off_t>(length / 2);
  ::sync_file_range(fd, begin + half, static_cast<off_t>(length) - half,
                    SYNC_FILE_RANGE_WRITE);
  ::sync_file_range(fd, begin, half,
                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                        SYNC_FILE_RANGE_WAIT_AFTER);
  ::posix_fadvise(fd, begin, half, POSIX_FADV_DONTNEED);
  file.written_to += static_cast<uint64_t>(half);
}

Result<void> PartialResult::WriteUnit(size_t index, ByteSpan bytes,
                                      uint64_t sum) {
  const Unit& unit = plan_->units[index];
  CHECK(bytes.size() == unit.bytes);
  RETURN_IF_ERROR(Write(files_[unit.file], unit.offset, bytes));
  lines_ += JournalLine(index, sum);
  since_checkpoint_ += bytes.size();
  if (since_checkpoint_ >= kCheckpointBytes ||
      std::chrono::steady_clock::now() - last_checkpoint_ >= kCheckpointAfter) {
    return Checkpoint();
  }
  return {};
}

Result<void> PartialResult::Checkpoint() {
  for (OpenFile& file : files_) {
    if (!file.is_dirty) continue;
    RETURN_IF_ERROR(SyncData(file.fd.get(), file.path));
    file.is_dirty = false;
  }
  if (!lines_.empty()) {
    RETURN_IF_ERROR(WriteAt(journal_fd_.get(), journal_->good_bytes,
                            verify::AsBytes(lines_), journal_path_));
    RETURN_IF_ERROR(SyncData(journal_fd_.get(), journal_path_));
    journal_->good_bytes += lines_.size();
    lines_.clear();
  }
  since_checkpoint_ = 0;
  last_checkpoint_ = std::chrono::steady_clock::now();
  return {};
}

Result<void> PartialResult::Promote(const std::string& from,
                                    const std::string& to,
                                    bool overwrite) const {
  if (overwrite) {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return FailErrno("rename to", to, errno);
  }
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(),
                  RENAME_NOREPLACE) == 0) {
    return {};
  }
  if (errno == EEXIST) {
    return Exists(to, "choose another name, or remove what is there");
  }
  // File systems that cannot promise it.
  if (errno == EINVAL || errno == ENOSYS) {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
  }
  return FailErrno("rename to", to, errno);
}

Result<void> PartialResult::Commit(bool overwrite) {
  RETURN_IF_ERROR(Checkpoint());
  for (const OpenFile& file : files_) {
    if (::fsync(file.fd.get()) != 0) return FailWrite(file.path, errno);
  }
  if (in_folder()) RETURN_IF_ERROR(verify::SyncDirectory(path_));
  const std::vector<std::string> final_paths = FinalPaths(output_, *plan_);
  if (final_paths.size() == 1) {
    RETURN_IF_ERROR(Promote(path_, output_, overwrite && !in_folder()));
  } else {
    // The first file, without which the others are nothing, comes last.
    for (size_t i = final_paths.size(); i > 0; --i) {
      RETURN_IF_ERROR(
          Promote(files_[i - 1].path, final_paths[i - 1], overwrite));
    }
    if (::rmdir(path_.c_str()) != 0) return FailErrno("remove", path_, errno);
  }
  RETURN_IF_ERROR(verify::SyncDirectory(FolderOf(output_)));
  ::unlink(journal_path_.c_str());
  return {};
}

void PartialResult::Discard() {
  files_.clear();
  // In this order: what is left alone without its journal would be nobody's.
  if (has_journal_ && RemoveOld(path_)) ::unlink(journal_path_.c_str());
}

}  // namespace inference
