// SPDX-License-Identifier: Apache-2.0
// Bytes of a checkpoint copied from its files instead of looked at in its maps:
// a file that is cut off under a map ends the program by a signal, under a read
// it is an error. Tested by tests/inference/convert/source_reader_test.cc.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"

namespace inference {

// Tells by its address where a byte of the checkpoint lies on disk, or in what
// comes out of a compressed file. Memory that is not the checkpoint's is read
// as it is. Movable; thread-safe.
class SourceReader {
 public:
  // For sources that are memory alone.
  SourceReader() = default;
  // Opens all files once more, but for compressed ones, which are read through
  // the checkpoint; it must outlive this then. Of a source that is only read
  // forward, small tensors that go with others (factors of fp8) are read at
  // once and kept. Errors: kNotFound, kIo, those of Read.
  static verify::Result<SourceReader> Open(
      const verify::Checkpoint& checkpoint);

  // Bytes are best read in the order of place(), by one thread at a time.
  bool is_forward_only() const { return forward_only_; }
  // Tells which of two tensors' bytes stand first in the files.
  struct Place {
    size_t file = 0;
    uint64_t offset = 0;
    auto operator<=>(const Place&) const = default;
  };
  Place PlaceOf(verify::ByteSpan bytes) const;

  // Starts reading into the cache of the system; returns at once.
  void WillNeed(verify::ByteSpan bytes) const;

  // Copies `bytes`, which lie in one tensor or one slice of it, to `out` of
  // the same size, without touching them. Errors, with the file: kMismatch
  // (E-CHANGED: it became shorter), kIo, those of decompressing.
  verify::Result<void> Read(verify::ByteSpan bytes,
                            std::span<std::byte> out) const;

 private:
  // `size` bytes from the address `begin` on are those from `offset` on.
  struct Stretch {
    uintptr_t begin = 0;
    uint64_t size = 0;
    size_t file = 0;
    uint64_t offset = 0;
  };
  // The stretch that holds that address, or the end.
  std::vector<Stretch>::const_iterator Find(uintptr_t address) const;

  // A file as it is, or what comes out of it.
  struct Source {
    std::optional<verify::ReadOnlyFile> file;
    const verify::ByteSource* content = nullptr;
  };
  verify::Result<void> KeepFactors(const verify::Checkpoint& checkpoint);

  std::vector<Source> sources_;
  std::vector<Stretch> stretches_;  // sorted, disjoint
  bool forward_only_ = false;
  std::map<uintptr_t, std::vector<std::byte>> kept_;  // by address
};

}  // namespace inference
