// SPDX-License-Identifier: Apache-2.0
// Bytes of a checkpoint copied from its files instead of looked at in its maps:
// a file that is cut off under a map ends the program by a signal, under a read
// it is an error. Tested by tests/inference/convert/source_reader_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/checkpoint/checkpoint.h"

namespace inference {

// Tells by its address where a byte of the checkpoint lies on disk. Memory that
// is not the checkpoint's is read as it is. Movable; thread-safe.
class SourceReader {
 public:
  // For sources that are memory alone.
  SourceReader() = default;
  // Opens all files once more. Errors: kNotFound, kIo.
  static verify::Result<SourceReader> Open(
      const verify::Checkpoint& checkpoint);

  // Starts reading into the cache of the system; returns at once.
  void WillNeed(verify::ByteSpan bytes) const;

  // Copies `bytes`, which lie in one tensor or one slice of it, to `out` of
  // the same size, without touching them. Errors, with the file: kMismatch
  // (E-CHANGED: it became shorter), kIo.
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

  std::vector<verify::ReadOnlyFile> files_;
  std::vector<Stretch> stretches_;  // sorted, disjoint
};

}  // namespace inference
