// SPDX-License-Identifier: Apache-2.0
// How long work reports and how it is asked to stop. Passed in, never global.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace verify {

// Set once, from any thread or from a signal handler; work looks at it often
// enough to stop within a second, and returns kCancelled. Thread-safe.
class CancelToken {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
  static_assert(std::atomic<bool>::is_always_lock_free);
};

// Receives how far work has come. Implementations are thread-safe and cheap:
// they are called once per block of bytes.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;

  // `item`: the file or tensor at hand. Bytes of the whole stage, not of the
  // item; total 0 if unknown.
  virtual void OnProgress(std::string_view item, uint64_t done_bytes,
                          uint64_t total_bytes) = 0;
};

// Who waits for work that is long only at times; neither need be there.
struct Waiter {
  const CancelToken* cancel = nullptr;
  ProgressSink* progress = nullptr;

  bool gave_up() const { return cancel != nullptr && cancel->cancelled(); }
};

}  // namespace verify
