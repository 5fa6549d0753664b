// SPDX-License-Identifier: Apache-2.0
#include "verify/base/thread_pool.h"

#include <sched.h>

#include <algorithm>

namespace verify {
namespace {

// About 20 microseconds: longer than the gap between two products of one
// layer, shorter than what a wake-up costs twice.
constexpr int kSpinRounds = 4000;

void SpinPause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

size_t AvailableProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) {
    return std::max(1u, std::thread::hardware_concurrency());
  }
  return std::max<size_t>(1, static_cast<size_t>(CPU_COUNT(&set)));
}

ThreadPool::ThreadPool(size_t num_threads) {
  if (num_threads == 0) num_threads = AvailableProcessors();
  for (size_t i = 1; i < num_threads; ++i) {
    workers_.emplace_back([this, i] { WorkerMain(i); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mu_);
    stop_.store(true);
  }
  wake_.notify_all();
}

void ThreadPool::ParallelFor(size_t count, size_t grain,
                             const std::function<void(size_t, size_t)>& body) {
  ParallelForWorkers(count, grain,
                     [&body](size_t begin, size_t end, size_t /*worker*/) {
                       body(begin, end);
                     });
}

void ThreadPool::ParallelForWorkers(size_t count, size_t grain,
                                    const WorkerBody& body) {
  if (count == 0) return;
  grain = std::max<size_t>(1, grain);
  if (workers_.empty() || count <= grain) {
    for (size_t begin = 0; begin < count; begin += grain) {
      body(begin, std::min(count, begin + grain), 0);
    }
    return;
  }
  bool wake = false;
  {
    const std::lock_guard lock(mu_);
    loop_ = {&body, count, grain};
    next_.store(0, std::memory_order_relaxed);
    busy_.store(workers_.size(), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    wake = sleeping_ > 0;
  }
  if (wake) wake_.notify_all();
  RunRanges(loop_, 0);
  for (int round = 0; busy_.load(std::memory_order_acquire) != 0; ++round) {
    if (round < kSpinRounds) {
      SpinPause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::RunRanges(const Loop& loop, size_t worker) {
  for (;;) {
    const size_t begin = next_.fetch_add(loop.grain, std::memory_order_relaxed);
    if (begin >= loop.count) return;
    (*loop.body)(begin, std::min(loop.count, begin + loop.grain), worker);
  }
}

void ThreadPool::WorkerMain(size_t worker) {
  uint64_t seen = 0;
  for (;;) {
    for (int round = 0; round < kSpinRounds; ++round) {
      if (generation_.load(std::memory_order_acquire) != seen ||
          stop_.load(std::memory_order_relaxed)) {
        break;
      }
      SpinPause();
    }
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mu_);
      ++sleeping_;
      wake_.wait(lock,
                 [&] { return stop_.load() || generation_.load() != seen; });
      --sleeping_;
    }
    if (generation_.load(std::memory_order_acquire) == seen) return;  // stop
    ++seen;
    RunRanges(loop_, worker);
    busy_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace verify
