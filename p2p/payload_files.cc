// SPDX-License-Identifier: Apache-2.0
#include "p2p/payload_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "verify/base/confined_folder.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::StrCat;
using verify::UniqueFd;

// Stands for the parts file among the open ones.
constexpr int kPartsKey = -1;
constexpr char kPartsName[] = ".parts";
// One call's share. Linux gives a long write page-cache folios as long as the
// write, out of memory that was free in one stretch. On a virtual machine that
// is often memory which its host has yet to find (0.5 GB/s measured, where
// short writes reach 2 to 4 GB/s); elsewhere short calls cost a few percent.
constexpr size_t kWriteBytes = 16u << 10;

void SetError(lt::storage_error& error, int error_number, lt::file_index_t file,
              lt::operation_t operation) {
  if (error) return;  // the first one says most
  error.ec = lt::error_code(error_number, boost::system::system_category());
  error.file(file);
  error.operation = operation;
}

void SetTooShort(lt::storage_error& error, lt::file_index_t file) {
  if (error) return;
  error.ec = lt::errors::make_error_code(lt::errors::file_too_short);
  error.file(file);
  error.operation = lt::operation_t::file_read;
}

// Opens FOLDER/PATH without following a link below FOLDER; makes what is
// missing if `create`. -1 with errno on failure.
int OpenPayload(const std::string& folder, std::string_view path, int flags,
                bool create) {
  const UniqueFd at(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at.valid()) return -1;
  if (!create) return verify::OpenBeneath(at.get(), path, flags);
  if (verify::MakeParentsBeneath(at.get(), path) != 0) return -1;
  return verify::OpenBeneath(at.get(), path, flags | O_CREAT, 0600);
}

std::vector<bool> ZeroPriorities(
    const lt::file_storage& files,
    const std::vector<lt::download_priority_t>& priorities) {
  std::vector<bool> zero(static_cast<size_t>(files.num_files()), false);
  for (size_t i = 0; i < std::min(zero.size(), priorities.size()); ++i) {
    zero[i] = priorities[i] == lt::dont_download;
  }
  return zero;
}

}  // namespace

PayloadFiles::PayloadFiles(
    const lt::file_storage& files, std::string folder,
    const std::vector<lt::download_priority_t>& priorities,
    const PayloadFilesOptions& options)
    : files_(files),
      folder_(std::move(folder)),
      options_(options),
      in_parts_(ZeroPriorities(files, priorities)) {}

template <typename F>
void PayloadFiles::ForEachSlice(lt::piece_index_t piece, int64_t offset,
                                size_t size, F&& body) const {
  size_t at = 0;
  for (const lt::file_slice& slice :
       files_.map_block(piece, offset, static_cast<int64_t>(size))) {
    const auto slice_size = static_cast<size_t>(slice.size);
    if (slice_size > 0 && !body(slice, at, slice_size)) return;
    at += slice_size;
  }
}

bool PayloadFiles::InParts(lt::file_index_t file) const {
  const std::lock_guard lock(mu_);
  return in_parts_[static_cast<size_t>(static_cast<int>(file))];
}

PayloadFiles::SharedFd PayloadFiles::OpenNow(lt::file_index_t file, bool create,
                                             lt::storage_error& error) const {
  const bool parts = static_cast<int>(file) == kPartsKey;
  const std::string name = parts ? kPartsName : files_.file_path(file);
  int fd = -1;
  if (options_.mode == PayloadMode::kServe) {
    fd = ::open(StrCat(folder_, "/", name).c_str(), O_RDONLY | O_CLOEXEC);
  } else {
    fd = OpenPayload(folder_, name, O_RDWR, create);
  }
  if (fd < 0) {
    SetError(error, errno, file, lt::operation_t::file_open);
    return nullptr;
  }
  auto opened = std::make_shared<OpenedFile>(fd);
  // A pipe or device in a file's place would block or lie.
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    SetError(error, EINVAL, file, lt::operation_t::file_open);
    return nullptr;
  }
  return opened;
}

PayloadFiles::SharedFd PayloadFiles::Open(lt::file_index_t file, bool create,
                                          lt::storage_error& error) {
  const int key = static_cast<int>(file);
  const std::lock_guard lock(mu_);
  const auto found = open_.find(key);
  if (found != open_.end()) {
    uses_.splice(uses_.end(), uses_, found->second.use);
    return found->second.fd;
  }
  SharedFd fd = OpenNow(file, create, error);
  if (fd == nullptr) return nullptr;
  while (open_.size() >= std::max<size_t>(options_.max_open_files, 1)) {
    open_.erase(uses_.front());  // whoever still uses it has a share
    uses_.pop_front();
  }
  uses_.push_back(key);
  open_[key] = {fd, std::prev(uses_.end())};
  return fd;
}

void PayloadFiles::Read(lt::piece_index_t piece, int64_t offset,
                        std::span<char> out, lt::storage_error& error) {
  ForEachSlice(piece, offset, out.size(),
               [&](const lt::file_slice& slice, size_t at, size_t size) {
                 std::span<char> part = out.subspan(at, size);
                 if (files_.pad_file_at(slice.file_index)) {
                   std::memset(part.data(), 0, part.size());
                   return true;
                 }
                 const bool parts = InParts(slice.file_index);
                 const SharedFd fd = Open(
                     parts ? lt::file_index_t(kPartsKey) : slice.file_index,
                     false, error);
                 if (fd == nullptr) {
                   error.file(slice.file_index);
                   return false;
                 }
                 int64_t from = slice.offset;
                 if (parts) from += files_.file_offset(slice.file_index);
                 while (!part.empty()) {
                   const ssize_t got =
                       ::pread(fd->get(), part.data(), part.size(), from);
                   if (got < 0 && errno == EINTR) continue;
                   if (got < 0) {
                     SetError(error, errno, slice.file_index,
                              lt::operation_t::file_read);
                     return false;
                   }
                   if (got == 0) {
                     SetTooShort(error, slice.file_index);
                     return false;
                   }
                   part = part.subspan(static_cast<size_t>(got));
                   from += got;
                 }
                 return true;
               });
}

bool PayloadFiles::ReadIfCached(lt::piece_index_t piece, int64_t offset,
                                std::span<char> out) {
  bool all = true;
  ForEachSlice(
      piece, offset, out.size(),
      [&](const lt::file_slice& slice, size_t at, size_t size) {
        const std::span<char> part = out.subspan(at, size);
        if (files_.pad_file_at(slice.file_index)) {
          std::memset(part.data(), 0, part.size());
          return true;
        }
        lt::storage_error ignored;
        const SharedFd fd = InParts(slice.file_index)
                                ? nullptr
                                : Open(slice.file_index, false, ignored);
        if (fd != nullptr) {
          const struct iovec vector { part.data(), part.size() };
          all = ::preadv2(fd->get(), &vector, 1, slice.offset, RWF_NOWAIT) ==
                static_cast<ssize_t>(part.size());
        } else {
          all = false;
        }
        return all;
      });
  return all;
}

void PayloadFiles::Write(lt::piece_index_t piece, int64_t offset,
                         std::span<const char> bytes,
                         lt::storage_error& error) {
  if (options_.mode == PayloadMode::kServe) {
    SetError(error, EROFS, lt::file_index_t(0), lt::operation_t::file_write);
    return;
  }
  ForEachSlice(
      piece, offset, bytes.size(),
      [&](const lt::file_slice& slice, size_t at, size_t size) {
        if (files_.pad_file_at(slice.file_index)) return true;
        std::span<const char> part = bytes.subspan(at, size);
        const bool parts = InParts(slice.file_index);
        const SharedFd fd =
            Open(parts ? lt::file_index_t(kPartsKey) : slice.file_index, true,
                 error);
        if (fd == nullptr) {
          error.file(slice.file_index);
          return false;
        }
        int64_t to = slice.offset;
        if (parts) to += files_.file_offset(slice.file_index);
        const std::lock_guard turn(fd->writing);
        while (!part.empty()) {
          const size_t share = std::min(
              part.size(), kWriteBytes - static_cast<size_t>(to) % kWriteBytes);
          const ssize_t put = ::pwrite(fd->get(), part.data(), share, to);
          if (put < 0 && errno == EINTR) continue;
          if (put <= 0) {
            SetError(error, put == 0 ? EIO : errno, slice.file_index,
                     lt::operation_t::file_write);
            return false;
          }
          part = part.subspan(static_cast<size_t>(put));
          to += put;
        }
        return true;
      });
}

void PayloadFiles::Prepare(lt::storage_error& error) {
  if (options_.mode == PayloadMode::kServe) return;
  for (const lt::file_index_t file : files_.file_range()) {
    if (files_.pad_file_at(file) || InParts(file)) continue;
    const int64_t size = files_.file_size(file);
    lt::storage_error missing;
    // Not by Open: thousands of files must not push each other out.
    const SharedFd fd = OpenNow(file, size == 0, missing);
    if (fd == nullptr) {
      if (size == 0 ||
          missing.ec != boost::system::errc::no_such_file_or_directory) {
        error = missing;
        return;
      }
      continue;
    }
    struct stat info {};
    if (::fstat(fd->get(), &info) == 0 && info.st_size > size &&
        ::ftruncate(fd->get(), size) != 0) {
      SetError(error, errno, file, lt::operation_t::file_truncate);
      return;
    }
  }
}

bool PayloadFiles::Holds(const lt::typed_bitfield<lt::piece_index_t>& have,
                         bool whole, lt::storage_error& error) {
  for (const lt::file_index_t file : files_.file_range()) {
    const int64_t size = files_.file_size(file);
    if (files_.pad_file_at(file) || size == 0 || InParts(file)) continue;
    bool needed = whole;
    if (!needed) {
      const auto first = files_.map_file(file, 0, 1).piece;
      const auto last = files_.map_file(file, size - 1, 1).piece;
      for (auto piece = first; piece <= last && !needed; ++piece) {
        needed = piece < have.end_index() && have.get_bit(piece);
      }
    }
    if (!needed) continue;
    const SharedFd fd = OpenNow(file, false, error);
    if (fd == nullptr) return false;
    struct stat info {};
    if (::fstat(fd->get(), &info) != 0) {
      SetError(error, errno, file, lt::operation_t::file_stat);
      return false;
    }
    if (whole && info.st_size != size) {
      error.ec = lt::errors::make_error_code(lt::errors::mismatching_file_size);
      error.file(file);
      error.operation = lt::operation_t::file_stat;
      return false;
    }
  }
  return true;
}

void PayloadFiles::SetPriorities(
    const std::vector<lt::download_priority_t>& priorities,
    lt::storage_error& error) {
  const std::vector<bool> zero = ZeroPriorities(files_, priorities);
  for (const lt::file_index_t file : files_.file_range()) {
    const auto index = static_cast<size_t>(static_cast<int>(file));
    // A file that is there already stays in use, wanted or not.
    if (!InParts(file) || zero[index]) continue;
    ExportParts(file, error);
    if (error) return;
    const std::lock_guard lock(mu_);
    in_parts_[index] = false;
  }
}

void PayloadFiles::ExportParts(lt::file_index_t file,
                               lt::storage_error& error) {
  lt::storage_error missing;
  const SharedFd parts = Open(lt::file_index_t(kPartsKey), false, missing);
  if (parts == nullptr) return;  // nothing was ever kept
  const int64_t base = files_.file_offset(file);
  const int64_t end = base + files_.file_size(file);
  int64_t at = base;
  std::array<char, 64 << 10> buffer{};
  SharedFd target;
  // Only what was written: the rest of the parts file is holes.
  while (at < end) {
    const int64_t data = ::lseek(parts->get(), at, SEEK_DATA);
    if (data < 0 || data >= end) return;
    const int64_t hole =
        std::min<int64_t>(::lseek(parts->get(), data, SEEK_HOLE), end);
    if (target == nullptr) target = Open(file, true, error);
    if (target == nullptr) return;
    for (at = data; at < hole;) {
      const auto want = static_cast<size_t>(
          std::min<int64_t>(hole - at, static_cast<int64_t>(buffer.size())));
      const ssize_t got = ::pread(parts->get(), buffer.data(), want, at);
      if (got <= 0 || ::pwrite(target->get(), buffer.data(),
                               static_cast<size_t>(got), at - base) != got) {
        SetError(error, got == 0 ? EIO : errno, file,
                 lt::operation_t::file_write);
        return;
      }
      at += got;
    }
  }
}

void PayloadFiles::Release() {
  const std::lock_guard lock(mu_);
  open_.clear();
  uses_.clear();
}

}  // namespace p2p
