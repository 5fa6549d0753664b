// SPDX-License-Identifier: Apache-2.0
// A fixed pool for loops over independent items.
// Tested by tests/verify/base/thread_pool_test.cc.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace verify {

// Runs loops on `num_threads` threads, the caller among them. Workers spin
// for a moment between loops, then sleep, so that a chain of short loops (the
// layers of a model) costs no wake-up and an idle pool costs nothing. A loop
// ends when its ranges have been run, not when every worker has seen it: a
// worker that the system keeps waiting holds nobody up.
// ParallelFor may be called from one thread at a time and not from inside a
// loop. Neither copyable nor movable: workers hold its address.
class ThreadPool {
 public:
  // 0: as many as the process may run on.
  explicit ThreadPool(size_t num_threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t num_threads() const { return workers_.size() + 1; }

  // Calls body(begin, end) for consecutive ranges of at most `grain` items
  // that cover [0, count), each once, in any order, and returns when all are
  // done. `body` must not throw. Which range runs on which thread is not
  // determined; which ranges there are depends on count and grain alone, so
  // results that depend on a range do not depend on the number of threads.
  void ParallelFor(size_t count, size_t grain,
                   const std::function<void(size_t, size_t)>& body);

  // The same with the number of the thread, below num_threads(), as third
  // argument: for scratch memory that a thread keeps to itself. Results must
  // not depend on it.
  using WorkerBody =
      std::function<void(size_t begin, size_t end, size_t worker)>;
  void ParallelForWorkers(size_t count, size_t grain, const WorkerBody& body);

 private:
  // Written while no range is out, read by whoever has taken a range of it.
  struct Loop {
    const WorkerBody* body = nullptr;
    size_t count = 0;
    size_t grain = 1;
    size_t num_ranges = 0;
  };

  void WorkerMain(size_t worker);
  void RunRanges(size_t worker);

  std::mutex mu_;
  std::condition_variable wake_;
  Loop loop_;
  std::atomic<size_t> untaken_{0};  // ranges that nobody has taken
  std::atomic<size_t> done_{0};     // ranges that have been run
  std::atomic<bool> stop_{false};
  size_t sleeping_ = 0;  // guarded by mu_
  std::vector<std::jthread> workers_;
};

// Processors that this process may run on (its affinity mask), at least 1.
size_t AvailableProcessors();

}  // namespace verify
