// SPDX-License-Identifier: Apache-2.0
#include "inference/ops/matmul.h"

#include <algorithm>
#include <functional>

#include "verify/base/check.h"

namespace inference {
namespace {

// Weight bytes of one range for one token: long enough that taking a range
// costs nothing, short enough that threads finish together.
constexpr size_t kDecodeRangeBytes = 64 << 10;
// Floats of a decoded panel: together with a few rows of activations it stays
// in a second-level cache.
constexpr size_t kPanelFloats = 64 << 10;
constexpr size_t kTileRows = 4;

// Rows of a transposed matrix that are gathered together: as many as share the
// lines of memory.
constexpr size_t kGatherRows = 64;

size_t GatheredRowBytes(const TensorView& w) {
  return w.cols * static_cast<size_t>(verify::BlockBytes(w.dtype));
}

size_t RowsPerRange(const MatMulJob& job) {
  const TensorView& w = *job.weight;
  if (!w.has_rows()) return kGatherRows;
  const size_t rows = job.num_tokens == 1
                          ? kDecodeRangeBytes / std::max<size_t>(1, w.row_bytes)
                          : kPanelFloats / std::max<size_t>(1, w.cols);
  return std::clamp<size_t>(rows / kTileRows * kTileRows, kTileRows, 1024);
}

}  // namespace

MatMul::MatMul(const Kernels& kernels, verify::ThreadPool& pool)
    : kernels_(kernels),
      pool_(pool),
      panels_(pool.num_threads()),
      gathered_(pool.num_threads()) {}

bool MatMul::Run(std::span<const MatMulJob> jobs) {
  ranges_.clear();
  size_t panel_floats = 0;
  size_t gathered_bytes = 0;
  for (const MatMulJob& job : jobs) {
    if (job.num_tokens == 0) continue;
    const size_t rows = job.weight->rows;
    const size_t step = RowsPerRange(job);
    if (job.num_tokens > 1) {
      panel_floats =
          std::max(panel_floats, std::min(step, rows) * job.weight->cols);
    }
    if (!job.weight->has_rows()) {
      gathered_bytes = std::max(
          gathered_bytes, std::min(step, rows) * GatheredRowBytes(*job.weight));
    }
    for (size_t begin = 0; begin < rows; begin += step) {
      ranges_.push_back({&job, begin, std::min(rows, begin + step)});
    }
  }
  for (auto& panel : panels_) {
    if (!panel.Reserve(panel_floats)) return false;
  }
  for (auto& buffer : gathered_) {
    if (!buffer.Reserve(gathered_bytes)) return false;
  }
  const auto body = [this](size_t begin, size_t end, size_t worker) {
    for (size_t i = begin; i < end && !cancelled(); ++i) {
      RunRange(ranges_[i], worker);
    }
  };
  pool_.ParallelForWorkers(ranges_.size(), 1, std::ref(body));
  return true;
}

void MatMul::RunRange(const Range& range, size_t worker) {
  const MatMulJob& job = *range.job;
  const TensorView& w = *job.weight;
  const size_t num_rows = range.end - range.begin;
  const std::byte* rows = w.data + range.begin * w.row_bytes;
  size_t row_bytes = w.row_bytes;
  if (!w.has_rows()) {
    GatherRows(w, range.begin, num_rows, gathered_[worker].data());
    rows = gathered_[worker].data();
    row_bytes = GatheredRowBytes(w);
  }
  float* y = job.y + range.begin;
  if (job.num_tokens == 1) {
    kernels_.dot_rows(w.dtype, rows, row_bytes, num_rows, job.x, w.cols, y);
    return;
  }
  float* panel = panels_[worker].data();
  for (size_t r = 0; r < num_rows; ++r) {
    kernels_.decode_row(w.dtype, rows + r * row_bytes, w.cols,
                        panel + r * w.cols);
  }
  kernels_.panel_matmul(panel, num_rows, job.x, job.num_tokens, w.cols, y,
                        job.y_stride);
}

}  // namespace inference
