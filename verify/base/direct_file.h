// SPDX-License-Identifier: Apache-2.0
// Reading past the page cache (O_DIRECT): what the disk holds, not what memory
// remembers of it, and nothing else is pushed out of memory for it.
// Tested by tests/verify/base/direct_file_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/result.h"

namespace verify {

// Bytes that start on a page of their own: for direct reading, and the system
// copies to them faster. Movable.
class AlignedBuffer {
 public:
  static constexpr size_t kAlign = 4096;

  // Of no bytes.
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size);

  std::span<std::byte> bytes() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }

 private:
  std::unique_ptr<std::byte[]> storage_;
  std::span<std::byte> bytes_;
};

// A second way into a file that is open already. Movable; thread-safe.
class DirectFile {
 public:
  // Errors: kUnsupported (the file system has no such reading), kIo (the path
  // now leads to another file, or as ReadOnlyFile::Open says).
  static Result<DirectFile> Open(const ReadOnlyFile& file);

  // Whether place and buffer are such that they can be read so: both aligned.
  // The length may be any.
  static bool Fits(uint64_t offset, std::span<const std::byte> out);

  // As ReadOnlyFile's. Requires Fits. kUnsupported: the file system says only
  // now that it has no such reading.
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const;

 private:
  DirectFile(UniqueFd fd, std::string path)
      : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<void> ReadAligned(uint64_t offset, std::span<std::byte> out,
                           size_t needed) const;

  UniqueFd fd_;
  std::string path_;
};

}  // namespace verify
