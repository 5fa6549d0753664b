// SPDX-License-Identifier: Apache-2.0
// Memory for pieces on their way from peers to the disk: buffers of one piece
// each that are used again, since the first touch of fresh memory costs more
// than the copy into it. Internal to p2p. Tested by tests/p2p/disk_io_test.cc.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace p2p {

class PieceBuffers;

// Movable; gives its memory back when it goes, to the pool if there is room.
class PieceBuffer {
 public:
  PieceBuffer() = default;
  PieceBuffer(PieceBuffer&& other) noexcept;
  PieceBuffer& operator=(PieceBuffer&& other) noexcept;
  PieceBuffer(const PieceBuffer&) = delete;
  PieceBuffer& operator=(const PieceBuffer&) = delete;
  ~PieceBuffer() { Release(); }

  bool valid() const { return data_ != nullptr; }
  std::span<char> bytes() const { return {data_, size_}; }
  void Release();

 private:
  friend class PieceBuffers;
  PieceBuffers* pool_ = nullptr;  // outlives this
  char* data_ = nullptr;
  size_t size_ = 0;
};

// Thread-safe.
class PieceBuffers {
 public:
  // Keeps returned memory while there is at most `max_bytes` of it, with what
  // is taken.
  explicit PieceBuffers(size_t max_bytes) : max_bytes_(max_bytes) {}
  ~PieceBuffers();
  PieceBuffers(const PieceBuffers&) = delete;
  PieceBuffers& operator=(const PieceBuffers&) = delete;

  // Address space for `size` bytes, backed page by page as it is touched; not
  // valid where the system has none. Contents are undefined.
  PieceBuffer Take(size_t size);

 private:
  friend class PieceBuffer;
  void Return(char* data, size_t size);

  const size_t max_bytes_;
  std::mutex mu_;
  // Guarded by mu_.
  struct Idle {
    char* data;
    size_t size;
  };
  std::vector<Idle> idle_;
  size_t idle_bytes_ = 0;
  size_t taken_bytes_ = 0;
};

}  // namespace p2p
