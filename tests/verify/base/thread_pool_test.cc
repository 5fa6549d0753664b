// SPDX-License-Identifier: Apache-2.0
#include "verify/base/thread_pool.h"

#include <array>
#include <atomic>
#include <numeric>
#include <vector>

namespace verify {
namespace {

TEST(ThreadPoolTest, VisitsEachItemOnce) {
  for (const size_t threads : {1u, 2u, 3u, 8u}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.num_threads(), threads);
    for (const size_t count : {0u, 1u, 7u, 1000u}) {
      std::vector<std::atomic<int>> visits(count);
      pool.ParallelFor(count, 3, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) ++visits[i];
      });
      for (const auto& v : visits) EXPECT_EQ(v.load(), 1);
    }
  }
}

TEST(ThreadPoolTest, RangesDoNotDependOnThreads) {
  for (const size_t threads : {1u, 4u}) {
    ThreadPool pool(threads);
    std::vector<std::atomic<size_t>> ends(10);
    pool.ParallelFor(10, 4,
                     [&](size_t begin, size_t end) { ends[begin] = end; });
    EXPECT_EQ(ends[0], 4u);
    EXPECT_EQ(ends[4], 8u);
    EXPECT_EQ(ends[8], 10u);
  }
}

TEST(ThreadPoolTest, WorkerNumbersAreNeverSharedAtOnce) {
  ThreadPool pool(4);
  std::array<std::atomic<int>, 4> users{};
  std::atomic<int> clashes{0};
  std::atomic<int> items{0};
  for (int round = 0; round < 50; ++round) {
    pool.ParallelForWorkers(64, 3,
                            [&](size_t begin, size_t end, size_t worker) {
                              if (users.at(worker).fetch_add(1) != 0) ++clashes;
                              items += static_cast<int>(end - begin);
                              users.at(worker).fetch_sub(1);
                            });
  }
  EXPECT_EQ(clashes, 0);
  EXPECT_EQ(items, 50 * 64);
}

TEST(ThreadPoolTest, RunsManyShortLoopsInARow) {
  ThreadPool pool(4);
  uint64_t total = 0;
  for (int round = 0; round < 20000; ++round) {
    std::atomic<uint64_t> sum{0};
    pool.ParallelFor(8, 1, [&](size_t begin, size_t) { sum += begin; });
    total += sum;
  }
  EXPECT_EQ(total, 20000u * 28u);
}

}  // namespace
}  // namespace verify
