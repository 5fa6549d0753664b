// SPDX-License-Identifier: Apache-2.0
// A file that was cut by its bytes into several, as the one file it was: read
// across the cuts, and mapped. Tested by tests/verify/base/joined_file_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/result.h"

namespace verify {

// The bytes of several sources, one after the other. Thread-safe.
class JoinedSource final : public ByteSource {
 public:
  // `name`: that of the whole, for messages. Requires at least one part; kLimit
  // if their sizes pass 2^64.
  static Result<std::unique_ptr<JoinedSource>> Create(
      std::string name, std::vector<std::unique_ptr<ByteSource>> parts);

  std::string_view name() const override { return name_; }
  uint64_t size() const override { return begins_.back(); }
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override;

  // Where each part begins in the whole; one more for the end.
  const std::vector<uint64_t>& begins() const { return begins_; }

 private:
  JoinedSource(std::string name, std::vector<std::unique_ptr<ByteSource>> parts,
               std::vector<uint64_t> begins)
      : name_(std::move(name)),
        parts_(std::move(parts)),
        begins_(std::move(begins)) {}

  std::string name_;
  std::vector<std::unique_ptr<ByteSource>> parts_;
  std::vector<uint64_t> begins_;
};

// A range of bytes of a whole file.
struct ByteRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// What of mapped parts may be copied to memory, all together.
inline constexpr uint64_t kMaxBridgeBytes = uint64_t{1} << 30;

// The parts of a file, each mapped by itself. What lies across a cut is put in
// one piece by a bridge: the pages of the larger side are mapped a second time
// and the smaller side is copied behind or before them; where parts are whole
// pages nothing is copied. Movable; thread-compatible, reading is thread-safe.
class JoinedMap {
 public:
  // One path: a file that is whole. Errors: those of MappedFile.
  static Result<JoinedMap> Open(const std::vector<std::string>& paths);

  // Addresses for `size` bytes of a file that cannot be mapped. They tell its
  // bytes apart and must not be touched before Fill. Takes no memory.
  // Errors: kIo.
  static Result<JoinedMap> Reserve(std::string path, uint64_t size);

  // Is told how many bytes are there; false ends the work.
  using FillStep = std::function<bool(uint64_t done_bytes)>;

  // Reads all of what was reserved into memory, on all processors. `step` is
  // called by this thread every few MiB. Requires content.size() == size().
  // Errors: those of `content`, kIo (no memory), kCancelled (by `step`).
  Result<void> Fill(const ByteSource& content, const FillStep& step);

  JoinedMap(JoinedMap&&) noexcept = default;
  JoinedMap& operator=(JoinedMap&&) noexcept = default;

  uint64_t size() const { return begins_.back(); }

  // Makes Bytes() of each range possible, whatever cuts it. Ranges that overlap
  // across a cut are bridged together. Errors: kLimit (E-BRIDGE: more than
  // kMaxBridgeBytes would have to be copied), kIo.
  Result<void> Bridge(std::vector<ByteRange> ranges);

  // Requires that the range is in the file, and in one part or bridged. Valid
  // while this lives.
  ByteSpan Bytes(uint64_t offset, uint64_t size) const;

 private:
  // Pages of our own; unmapped with them. Movable.
  class Pages {
   public:
    explicit Pages(std::span<std::byte> bytes) : bytes_(bytes) {}
    Pages(Pages&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    Pages& operator=(Pages&& other) noexcept {
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Pages();
    std::span<std::byte> bytes() const { return bytes_; }

   private:
    std::span<std::byte> bytes_;
  };
  struct Span {
    ByteRange range;
    Pages pages;
    size_t first = 0;  // where in the pages the range begins
  };

  JoinedMap(std::vector<std::string> paths, std::vector<MappedFile> parts,
            std::vector<uint64_t> begins)
      : paths_(std::move(paths)),
        parts_(std::move(parts)),
        begins_(std::move(begins)) {}

  ByteSpan PartBytes(size_t part) const;

  Result<void> BridgeOne(ByteRange range);
  // The part that holds byte `offset`, or the last.
  size_t PartOf(uint64_t offset) const;

  std::vector<std::string> paths_;
  std::vector<MappedFile> parts_;
  std::optional<Pages> reserved_;  // instead of parts
  std::vector<uint64_t> begins_;   // of each part in the whole, and the end
  std::vector<Span> bridges_;      // in order, disjoint
  uint64_t copied_bytes_ = 0;
};

}  // namespace verify
