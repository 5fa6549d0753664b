// SPDX-License-Identifier: Apache-2.0
// Owning storage for activations, aligned to a cache line.
// Tested by tests/inference/tensor/aligned_buffer_test.cc.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>
#include <type_traits>

namespace inference {

inline constexpr size_t kCacheLineBytes = 64;

// Elements are not initialised. Movable; thread-compatible.
template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  // Makes room for at least `count` elements; what was in it is lost when it
  // has to grow. False if there is no memory: then it is unchanged.
  [[nodiscard]] bool Reserve(size_t count) {
    if (count <= capacity_) return true;
    constexpr size_t kMaxBytes =
        std::numeric_limits<size_t>::max() / 2 - kCacheLineBytes;
    if (count > kMaxBytes / sizeof(T)) return false;
    const size_t bytes = (count * sizeof(T) + kCacheLineBytes - 1) /
                         kCacheLineBytes * kCacheLineBytes;
    void* memory = std::aligned_alloc(kCacheLineBytes, bytes);
    if (memory == nullptr) return false;
    data_.reset(static_cast<T*>(memory));
    capacity_ = bytes / sizeof(T);
    return true;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t capacity() const { return capacity_; }
  // Requires count <= capacity().
  std::span<T> first(size_t count) { return {data_.get(), count}; }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T[], Free> data_;
  size_t capacity_ = 0;
};

}  // namespace inference
