// SPDX-License-Identifier: Apache-2.0
#include "verify/base/thread_pool.h"

#include <sched.h>

#include <algorithm>

namespace verify {
namespace {

// Some ten to two hundred microseconds, as a pause takes 10 to 140 cycles:
// longer than the gap between two products of a layer.
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
      body(begin, begin + std::min(grain, count - begin), 0);
    }
    return;
  }
  // All ranges of the loop before have been run, so nobody reads loop_.
  loop_ = {&body, count, grain, (count - 1) / grain + 1};
  done_.store(0, std::memory_order_relaxed);
  bool wake = false;
  {
    const std::lock_guard lock(mu_);
    untaken_.store(loop_.num_ranges, std::memory_order_release);
    wake = sleeping_ > 0;
  }
  if (wake) wake_.notify_all();
  RunRanges(0);
  for (int round = 0; done_.load(std::memory_order_acquire) != loop_.num_ranges;
       ++round) {
    if (round < kSpinRounds) {
      SpinPause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::RunRanges(size_t worker) {
  size_t untaken = untaken_.load(std::memory_order_relaxed);
  while (untaken > 0) {
    // Success gives a range of the loop that is running now, whichever loop
    // the number was read in, and keeps that loop from ending.
    if (!untaken_.compare_exchange_weak(untaken, untaken - 1,
                                        std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
      continue;
    }
    const size_t begin = (loop_.num_ranges - untaken) * loop_.grain;
    const size_t end = begin + std::min(loop_.grain, loop_.count - begin);
    (*loop_.body)(begin, end, worker);
    done_.fetch_add(1, std::memory_order_acq_rel);
    untaken = untaken_.load(std::memory_order_relaxed);
  }
}

void ThreadPool::WorkerMain(size_t worker) {
  while (!stop_.load(std::memory_order_relaxed)) {
    for (int round = 0; round < kSpinRounds; ++round) {
      if (untaken_.load(std::memory_order_relaxed) != 0 ||
          stop_.load(std::memory_order_relaxed)) {
        break;
      }
      SpinPause();
    }
    if (untaken_.load(std::memory_order_relaxed) == 0) {
      std::unique_lock lock(mu_);
      ++sleeping_;
      wake_.wait(lock, [&] { return stop_.load() || untaken_.load() != 0; });
      --sleeping_;
    }
    RunRanges(worker);
  }
}

}  // namespace verify
