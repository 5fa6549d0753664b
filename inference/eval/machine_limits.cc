// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/machine_limits.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "inference/ops/kernels.h"
#include "inference/tensor/aligned_buffer.h"
#include "verify/base/check.h"

namespace inference {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPasses = 5;
constexpr size_t kMaxBytes = size_t{512} << 20;
constexpr size_t kRangeBytes = size_t{1} << 20;
// A matrix and activations that near caches hold; whole tiles of every target.
constexpr size_t kPeakRows = 24;
constexpr size_t kPeakTokens = 48;
constexpr size_t kPeakColumns = 1024;
constexpr size_t kPeakRounds = 100;

size_t BufferBytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page <= 0) return kMaxBytes;
  const size_t memory = static_cast<size_t>(pages) * static_cast<size_t>(page);
  return std::clamp(memory / 8 / kRangeBytes * kRangeBytes, kRangeBytes,
                    kMaxBytes);
}

// The shortest of several passes, in seconds.
template <typename Body>
double BestSeconds(const Body& body) {
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = Clock::now();
    body();
    const std::chrono::duration<double> took = Clock::now() - start;
    if (pass == 0 || took.count() < best) best = took.count();
  }
  return best;
}

}  // namespace

verify::Result<double> MeasureReadBandwidth(verify::ThreadPool& pool) {
  const size_t bytes = BufferBytes();
  AlignedBuffer<float> buffer;
  if (!buffer.Reserve(bytes / sizeof(float))) {
    return verify::Fail(verify::ErrorCode::kLimit,
                        "no memory to measure the bandwidth of memory with")
        .Id("E-MEMORY");
  }
  float* const data = buffer.data();
  constexpr size_t kRangeFloats = kRangeBytes / sizeof(float);
  const size_t ranges = bytes / kRangeBytes;
  const auto touch = [&](size_t begin, size_t end) {
    std::fill(data + begin * kRangeFloats, data + end * kRangeFloats, 1.0f);
  };
  pool.ParallelFor(ranges, 1, std::ref(touch));
  // The engine's own way of reading: rows times a vector that stays near.
  const std::vector<float> x(1024, 1.0f);
  std::vector<float> sums(ranges * (kRangeFloats / x.size()));
  const Kernels& kernels = BestKernels();
  const auto read = [&](size_t begin, size_t end) {
    const size_t rows = kRangeFloats / x.size();
    for (size_t r = begin; r < end; ++r) {
      kernels.dot_rows(
          verify::DType::kF32,
          reinterpret_cast<const std::byte*>(data) + r * kRangeBytes,
          x.size() * sizeof(float), rows, x.data(), 1, x.size(),
          sums.data() + r * rows, rows);
    }
  };
  const double seconds =
      BestSeconds([&] { pool.ParallelFor(ranges, 1, std::ref(read)); });
  return static_cast<double>(bytes) / seconds;
}

double MeasureFloatPeak(verify::ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const std::vector<float> rows(kPeakRows * kPeakColumns, 0.5f);
  const std::vector<float> x(kPeakTokens * kPeakColumns, 0.5f);
  const size_t threads = pool.num_threads();
  struct Work {
    AlignedBuffer<float> x;
    AlignedBuffer<float> scratch;
    std::vector<float> y;
  };
  std::vector<Work> works(threads);
  for (Work& work : works) {
    const FloatTile& tile = kernels.float_tile;
    CHECK(work.x.Reserve(tile.TokenFloats(kPeakTokens, kPeakColumns)));
    CHECK(work.scratch.Reserve(
        tile.ScratchFloats(kPeakRows, kPeakTokens, kPeakColumns)));
    kernels.pack_tokens(x.data(), kPeakTokens, kPeakColumns, 0, kPeakTokens,
                        work.x.data());
    work.y.resize(kPeakRows * kPeakTokens);
  }
  const auto multiply = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      FloatArgs args;
      args.rows = reinterpret_cast<const std::byte*>(rows.data());
      args.row_bytes = kPeakColumns * sizeof(float);
      args.num_rows = kPeakRows;
      args.n = kPeakColumns;
      args.x = works[i].x.data();
      args.num_tokens = kPeakTokens;
      args.y = works[i].y.data();
      args.y_stride = kPeakRows;
      args.scratch = works[i].scratch.data();
      for (size_t round = 0; round < kPeakRounds; ++round) {
        kernels.float_matmul(args);
      }
    }
  };
  const double seconds =
      BestSeconds([&] { pool.ParallelFor(threads, 1, std::ref(multiply)); });
  return 2.0 *
         static_cast<double>(kPeakRows * kPeakTokens * kPeakColumns *
                             kPeakRounds * threads) /
         seconds;
}

}  // namespace inference
