// SPDX-License-Identifier: Apache-2.0
#include "inference/ops/matmul.h"

#include <algorithm>
#include <functional>

#include "verify/base/check.h"

namespace inference {
namespace {

// Weight bytes of one range for one token: long, because a thread reads best
// what follows what it has read, but so many ranges for each thread that all
// finish together.
constexpr size_t kMinDecodeRangeBytes = 64 << 10;
constexpr size_t kMaxDecodeRangeBytes = 1 << 20;
constexpr size_t kDecodeRangesPerThread = 16;
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

// Rows of packed weights for several tokens that a thread takes at a time.
constexpr size_t kSlabRows = 2 * kPackedRows;

// Tokens that a thread rounds at a time.
constexpr size_t kRoundGrain = 4;

}  // namespace

MatMul::MatMul(const Kernels& kernels, verify::ThreadPool& pool, bool exact)
    : kernels_(kernels),
      pool_(pool),
      exact_(exact),
      panels_(pool.num_threads()),
      gathered_(pool.num_threads()),
      scratch_(pool.num_threads()) {}

MatMul::Way MatMul::WayOf(const MatMulJob& job) const {
  if (exact_ || job.exact) return Way::kFloat;
  const verify::DType dtype = job.weight->dtype;
  if (IsPackedWeight(dtype)) return Way::kPacked;
  return dtype == verify::DType::kBF16 && kernels_.bf16_matmul != nullptr
             ? Way::kBf16
             : Way::kFloat;
}

bool MatMul::NeedsPanel(const MatMulJob& job) {
  return job.num_tokens > 1 || IsPackedWeight(job.weight->dtype);
}

size_t MatMul::DecodeRangeBytes(std::span<const MatMulJob> jobs) const {
  size_t bytes = 0;
  for (const MatMulJob& job : jobs) {
    if (job.num_tokens == 1) bytes += job.weight->rows * job.weight->row_bytes;
  }
  return std::clamp(bytes / (pool_.num_threads() * kDecodeRangesPerThread),
                    kMinDecodeRangeBytes, kMaxDecodeRangeBytes);
}

size_t MatMul::RowsPerRange(const MatMulJob& job, Way way,
                            size_t decode_range_bytes) {
  const TensorView& w = *job.weight;
  if (!w.has_rows()) return kGatherRows;
  if (way == Way::kPacked && job.num_tokens > 1) return kSlabRows;
  // Of q8_0 there is so little to compute that the processor keeps enough reads
  // under way by itself; long ranges measured 7 % slower there.
  if (w.dtype == verify::DType::kQ8_0) {
    decode_range_bytes = kMinDecodeRangeBytes;
  }
  const size_t rows =
      way == Way::kFloat && NeedsPanel(job)
          ? kPanelFloats / std::max<size_t>(1, w.cols)
          : decode_range_bytes / std::max<size_t>(1, w.row_bytes);
  const size_t tile = way == Way::kPacked ? kPackedRows : kTileRows;
  return std::clamp<size_t>(rows / tile * tile, tile, 1024);
}

size_t MatMul::FindActivations(const MatMulJob& job, Way way) {
  const size_t n = job.weight->cols;
  for (size_t i = activations_.size(); i-- > 0;) {
    const Activations& known = activations_[i];
    if (known.x == job.x && known.way == way && known.n == n &&
        known.num_tokens >= job.num_tokens) {
      return i;
    }
  }
  size_t& used = way == Way::kPacked ? num_blocks_ : num_halves_;
  activations_.push_back({job.x, job.num_tokens, n, way, used});
  used += job.num_tokens * (way == Way::kPacked ? n / kActivationElements : n);
  return activations_.size() - 1;
}

bool MatMul::RoundActivations() {
  if (!blocks_.Reserve(num_blocks_) || !halves_.Reserve(num_halves_)) {
    return false;
  }
  for (const Activations& a : activations_) {
    const auto round = [&](size_t begin, size_t end) {
      for (size_t t = begin; t < end; ++t) {
        if (a.way == Way::kPacked) {
          kernels_.quantize_row(
              a.x + t * a.n, a.n,
              blocks_.data() + a.offset + t * (a.n / kActivationElements));
        } else {
          kernels_.to_bf16(a.x + t * a.n, a.n,
                           halves_.data() + a.offset + t * a.n);
        }
      }
    };
    pool_.ParallelFor(a.num_tokens, kRoundGrain, std::ref(round));
  }
  return true;
}

bool MatMul::Run(std::span<const MatMulJob> jobs) {
  ranges_.clear();
  activations_.clear();
  num_blocks_ = 0;
  num_halves_ = 0;
  size_t panel_floats = 0;
  size_t gathered_bytes = 0;
  size_t scratch_bytes = 0;
  const size_t decode_range_bytes = DecodeRangeBytes(jobs);
  for (const MatMulJob& job : jobs) {
    if (job.num_tokens == 0) continue;
    const TensorView& w = *job.weight;
    const Way way = WayOf(job);
    const size_t step = RowsPerRange(job, way, decode_range_bytes);
    const size_t most_rows = std::min(step, w.rows);
    if (way == Way::kFloat && NeedsPanel(job)) {
      panel_floats = std::max(panel_floats, most_rows * w.cols);
    }
    if (way == Way::kPacked) {
      scratch_bytes =
          std::max(scratch_bytes, PackedScratchBytes(w.rows, w.row_bytes));
    }
    if (!w.has_rows()) {
      gathered_bytes =
          std::max(gathered_bytes, most_rows * GatheredRowBytes(w));
    }
    const size_t x_index = way == Way::kFloat ? 0 : FindActivations(job, way);
    for (size_t begin = 0; begin < w.rows; begin += step) {
      ranges_.push_back(
          {&job, way, x_index, begin, std::min(w.rows, begin + step)});
    }
  }
  for (size_t i = 0; i < panels_.size(); ++i) {
    if (!panels_[i].Reserve(panel_floats) ||
        !gathered_[i].Reserve(gathered_bytes) ||
        !scratch_[i].Reserve(scratch_bytes)) {
      return false;
    }
  }
  if (!RoundActivations()) return false;
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
  if (range.way == Way::kPacked) {
    PackedArgs args;
    args.dtype = w.dtype;
    args.rows = w.data;
    args.row_bytes = w.row_bytes;
    args.num_rows = w.rows;
    args.n = w.cols;
    args.begin = range.begin;
    args.end = range.end;
    args.x = blocks_.data() + activations_[range.x_index].offset;
    args.num_tokens = job.num_tokens;
    args.y = job.y;
    args.y_stride = job.y_stride;
    args.scratch = scratch_[worker].data();
    return kernels_.packed_matmul(args);
  }
  const std::byte* rows = w.data + range.begin * w.row_bytes;
  size_t row_bytes = w.row_bytes;
  if (!w.has_rows()) {
    GatherRows(w, range.begin, num_rows, gathered_[worker].data());
    rows = gathered_[worker].data();
    row_bytes = GatheredRowBytes(w);
  }
  if (range.way == Way::kFloat) {
    return RunFloats(job, rows, row_bytes, range.begin, num_rows, worker);
  }
  Bf16Args args;
  args.rows = rows;
  args.row_bytes = row_bytes;
  args.num_rows = num_rows;
  args.n = w.cols;
  args.x = halves_.data() + activations_[range.x_index].offset;
  args.num_tokens = job.num_tokens;
  args.y = job.y + range.begin;
  args.y_stride = job.y_stride;
  kernels_.bf16_matmul(args);
}

void MatMul::RunFloats(const MatMulJob& job, const std::byte* rows,
                       size_t row_bytes, size_t begin, size_t num_rows,
                       size_t worker) {
  const TensorView& w = *job.weight;
  float* y = job.y + begin;
  if (!NeedsPanel(job)) {
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
