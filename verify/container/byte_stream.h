// SPDX-License-Identifier: Apache-2.0
// Bytes one after the other, from a file or out of a decompressor.
// Tested by tests/verify/container/tar_reader_test.cc and zstd_reader_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "verify/base/file.h"
#include "verify/base/result.h"

namespace verify {

// One thread.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // For messages; a path as a rule.
  virtual std::string_view name() const = 0;

  // Writes at least one byte into `out`, which is not empty, and says how
  // many; 0 only at the end.
  virtual Result<size_t> Read(std::span<std::byte> out) = 0;

  // Passes over bytes. kCorrupt (id E-TRUNCATED) if there are fewer.
  virtual Result<void> Skip(uint64_t count);

  // How many bytes are left, if that is known for certain.
  virtual std::optional<uint64_t> remaining() const { return std::nullopt; }
};

// As many bytes as `out` takes, fewer only at the end of what `read`, a form of
// ByteStream::Read, gives.
template <typename Reader>
Result<size_t> FillFrom(Reader&& read, std::span<std::byte> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    ASSIGN_OR_RETURN(const size_t got, read(out.subspan(filled)));
    if (got == 0) break;
    filled += got;
  }
  return filled;
}
Result<size_t> ReadUpTo(ByteStream& stream, std::span<std::byte> out);

// A file from its first byte to its last. Skips without reading. `source` must
// outlive it.
class SourceStream final : public ByteStream {
 public:
  explicit SourceStream(const ByteSource& source) : source_(source) {}

  std::string_view name() const override { return source_.name(); }
  Result<size_t> Read(std::span<std::byte> out) override;
  Result<void> Skip(uint64_t count) override;
  std::optional<uint64_t> remaining() const override {
    return source_.size() - position_;
  }

 private:
  const ByteSource& source_;
  uint64_t position_ = 0;
};

}  // namespace verify
