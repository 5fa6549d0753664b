// SPDX-License-Identifier: Apache-2.0
#include "p2p/piece_buffer.h"

#include <sys/mman.h>

#include <utility>

namespace p2p {

PieceBuffer::PieceBuffer(PieceBuffer&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

PieceBuffer& PieceBuffer::operator=(PieceBuffer&& other) noexcept {
  if (this != &other) {
    Release();
    pool_ = std::exchange(other.pool_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void PieceBuffer::Release() {
  if (data_ != nullptr) pool_->Return(data_, size_);
  data_ = nullptr;
}

PieceBuffers::~PieceBuffers() {
  for (const Idle& idle : idle_) ::munmap(idle.data, idle.size);
}

PieceBuffer PieceBuffers::Take(size_t size) {
  PieceBuffer buffer;
  {
    const std::lock_guard lock(mu_);
    // The last one returned is the most likely to be in the processor's cache.
    for (size_t i = idle_.size(); i-- > 0;) {
      if (idle_[i].size != size) continue;
      buffer.data_ = idle_[i].data;
      idle_bytes_ -= size;
      idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    }
  }
  if (buffer.data_ == nullptr) {
    void* const data =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) return {};
    buffer.data_ = static_cast<char*>(data);
  }
  buffer.pool_ = this;
  buffer.size_ = size;
  const std::lock_guard lock(mu_);
  taken_bytes_ += size;
  return buffer;
}

void PieceBuffers::Return(char* data, size_t size) {
  {
    const std::lock_guard lock(mu_);
    taken_bytes_ -= size;
    if (taken_bytes_ + idle_bytes_ + size <= max_bytes_) {
      idle_.push_back({data, size});
      idle_bytes_ += size;
      return;
    }
  }
  ::munmap(data, size);
}

}  // namespace p2p
