// SPDX-License-Identifier: Apache-2.0
#include "verify/base/direct_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "verify/base/file_stamp.h"
#include "verify/base/text.h"

namespace verify {
namespace {

// What a file system says that cannot read so.
bool IsRefusal(int error_number) {
  return error_number == EINVAL || error_number == EOPNOTSUPP;
}

Unexpected Refused(const std::string& path) {
  return Fail(ErrorCode::kUnsupported,
              StrCat("the file system of \"", EscapeForTerminal(path),
                     "\" cannot be read past the page cache"));
}

}  // namespace

AlignedBuffer::AlignedBuffer(size_t size)
    : storage_(std::make_unique_for_overwrite<std::byte[]>(size + kAlign)) {
  void* at = storage_.get();
  size_t space = size + kAlign;
  bytes_ = {static_cast<std::byte*>(std::align(kAlign, size, at, space)), size};
}

Result<DirectFile> DirectFile::Open(const ReadOnlyFile& file) {
  const std::string path(file.name());
  UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT));
  if (!fd.valid()) {
    if (IsRefusal(errno)) return Refused(path);
    return FailErrno("open", path, errno);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return FailErrno("stat", path, errno);
  if (IdentityOf(info) != file.identity()) {
    return Fail(ErrorCode::kIo, StrCat("\"", EscapeForTerminal(path),
                                       "\" changed while it was opened"));
  }
  return DirectFile(std::move(fd), path);
}

bool DirectFile::Fits(uint64_t offset, std::span<const std::byte> out) {
  return offset % AlignedBuffer::kAlign == 0 &&
         reinterpret_cast<uintptr_t>(out.data()) % AlignedBuffer::kAlign == 0;
}

Result<void> DirectFile::ReadAt(uint64_t offset,
                                std::span<std::byte> out) const {
  // The last bytes of a file fill no whole page, and are read to one of ours.
  const size_t whole =
      out.size() / AlignedBuffer::kAlign * AlignedBuffer::kAlign;
  if (whole > 0) RETURN_IF_ERROR(ReadAligned(offset, out.first(whole), whole));
  const std::span<std::byte> rest = out.subspan(whole);
  if (rest.empty()) return {};
  alignas(AlignedBuffer::kAlign) std::byte page[AlignedBuffer::kAlign];
  RETURN_IF_ERROR(ReadAligned(offset + whole, page, rest.size()));
  std::copy_n(page, rest.size(), rest.begin());
  return {};
}

// Reads until `needed` bytes of `out` are there.
Result<void> DirectFile::ReadAligned(uint64_t offset, std::span<std::byte> out,
                                     size_t needed) const {
  for (size_t done = 0; done < needed;) {
    const ssize_t got = ::pread(fd_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0) {
      if (errno == EINTR) continue;
      if (IsRefusal(errno)) return Refused(path_);
      return FailErrno("read", path_, errno);
    }
    if (got == 0) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("\"", EscapeForTerminal(path_), "\": truncated"))
          .At(offset + done);
    }
    done += static_cast<size_t>(got);
  }
  return {};
}

}  // namespace verify
