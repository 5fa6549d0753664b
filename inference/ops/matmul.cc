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
// The rows of such a range are a multiple of kRowStreams and of tiles, or with
// packed weights an odd multiple of the streams that they are read in: then no
// two streams have their lines in the same places of the first cache.
constexpr size_t kTileRows = 2 * kRowStreams;
constexpr size_t kPackedStreams = 16;

// Tokens that rows are multiplied with as they lie. For more it pays to lay
// both out anew.
constexpr size_t kDirectTokens = 8;
// Rows that are laid out together: the activations are read once for them, and
// come from far where rows are long. Whole tiles of every target.
constexpr size_t kFloatRows = 48;
constexpr size_t kFloatRowsOfLong = 96;
constexpr size_t kLongRow = 8192;
constexpr size_t kFloatRowsStep = 12;
constexpr size_t kFloatRangesPerThread = 4;

// Rows of a transposed matrix that are gathered together: as many as share the
// lines of memory.
constexpr size_t kGatherRows = 64;

size_t GatheredRowBytes(const TensorView& w) {
  return w.cols * static_cast<size_t>(verify::BlockBytes(w.dtype));
}

// Rows of packed weights for several tokens that a thread takes at a time.
constexpr size_t kSlabRows = 2 * kPackedRows;

// Tokens that a thread rounds at a time, unless a tile has more.
constexpr size_t kRoundGrain = 4;

}  // namespace

MatMul::MatMul(const Kernels& kernels, verify::ThreadPool& pool, bool exact)
    : kernels_(kernels),
      pool_(pool),
      exact_(exact),
      gathered_(pool.num_threads()),
      scratch_(pool.num_threads()) {}

MatMul::Way MatMul::WayOf(const MatMulJob& job) const {
  const verify::DType dtype = job.weight->dtype;
  const bool is_packed = IsPackedWeight(dtype);
  if (!exact_ && !job.exact) {
    if (is_packed) return Way::kPacked;
    if (dtype == verify::DType::kBF16 && kernels_.bf16_matmul != nullptr) {
      return Way::kBf16;
    }
  }
  return is_packed || job.num_tokens > kDirectTokens ? Way::kFloat
                                                     : Way::kDirect;
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
                            size_t decode_range_bytes) const {
  const TensorView& w = *job.weight;
  if (!w.has_rows()) return kGatherRows;
  if (way == Way::kFloat) {
    const size_t most = w.cols > kLongRow ? kFloatRowsOfLong : kFloatRows;
    const size_t share = w.rows / (pool_.num_threads() * kFloatRangesPerThread);
    return std::clamp(share / kFloatRowsStep * kFloatRowsStep, kFloatRowsStep,
                      most);
  }
  if (way == Way::kPacked && job.num_tokens > 1) return kSlabRows;
  const size_t rows = std::min<size_t>(
      decode_range_bytes / std::max<size_t>(1, w.row_bytes), 1024);
  if (way == Way::kPacked) {
    const size_t apart = std::max<size_t>(1, rows / kPackedStreams);
    return ((apart - 1) | 1) * kPackedStreams;
  }
  return std::max(rows / kTileRows * kTileRows, kTileRows);
}

size_t MatMul::FindActivations(const MatMulJob& job, Way way) {
  const size_t n = job.weight->cols;
  for (size_t i = activations_.size(); i-- > 0;) {
    const Activations& known = activations_[i];
    // Where floats lie depends on how many tokens there are.
    if (known.x == job.x && known.way == way && known.n == n &&
        (way == Way::kFloat ? known.num_tokens == job.num_tokens
                            : known.num_tokens >= job.num_tokens)) {
      return i;
    }
  }
  size_t& used = way == Way::kPacked  ? num_blocks_
                 : way == Way::kFloat ? num_floats_
                                      : num_halves_;
  activations_.push_back({job.x, job.num_tokens, n, way, used});
  used += way == Way::kPacked ? job.num_tokens * (n / kActivationElements)
          : way == Way::kFloat
              ? kernels_.float_tile.TokenFloats(job.num_tokens, n)
              : job.num_tokens * n;
  return activations_.size() - 1;
}

bool MatMul::PrepareActivations() {
  if (!blocks_.Reserve(num_blocks_) || !halves_.Reserve(num_halves_) ||
      !floats_.Reserve(num_floats_)) {
    return false;
  }
  for (const Activations& a : activations_) {
    const auto some = [&](size_t begin, size_t end) {
      if (a.way == Way::kFloat) {
        return kernels_.pack_tokens(a.x, a.num_tokens, a.n, begin, end,
                                    floats_.data() + a.offset);
      }
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
    const size_t grain =
        a.way == Way::kFloat ? kernels_.float_tile.tokens : kRoundGrain;
    pool_.ParallelFor(a.num_tokens, grain, std::ref(some));
  }
  return true;
}

bool MatMul::Run(std::span<const MatMulJob> jobs) {
  ranges_.clear();
  activations_.clear();
  num_blocks_ = 0;
  num_halves_ = 0;
  num_floats_ = 0;
  size_t gathered_bytes = 0;
  size_t scratch_bytes = 0;
  const size_t decode_range_bytes = DecodeRangeBytes(jobs);
  for (const MatMulJob& job : jobs) {
    if (job.num_tokens == 0) continue;
    const TensorView& w = *job.weight;
    const Way way = WayOf(job);
    const size_t step = RowsPerRange(job, way, decode_range_bytes);
    const size_t most_rows = std::min(step, w.rows);
    if (way == Way::kFloat) {
      scratch_bytes =
          std::max(scratch_bytes,
                   sizeof(float) * kernels_.float_tile.ScratchFloats(
                                       most_rows, job.num_tokens, w.cols));
    }
    if (way == Way::kPacked) {
      scratch_bytes =
          std::max(scratch_bytes, PackedScratchBytes(w.rows, w.row_bytes));
    }
    if (!w.has_rows()) {
      gathered_bytes =
          std::max(gathered_bytes, most_rows * GatheredRowBytes(w));
    }
    const size_t x_index = way == Way::kDirect ? 0 : FindActivations(job, way);
    for (size_t begin = 0; begin < w.rows; begin += step) {
      ranges_.push_back(
          {&job, way, x_index, begin, std::min(w.rows, begin + step)});
    }
  }
  for (size_t i = 0; i < scratch_.size(); ++i) {
    if (!gathered_[i].Reserve(gathered_bytes) ||
        !scratch_[i].Reserve(scratch_bytes)) {
      return false;
    }
  }
  if (!PrepareActivations()) return false;
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
  float* const y = job.y + range.begin;
  if (range.way == Way::kDirect) {
    return kernels_.dot_rows(w.dtype, rows, row_bytes, num_rows, job.x,
                             job.num_tokens, w.cols, y, job.y_stride);
  }
  const size_t offset = activations_[range.x_index].offset;
  if (range.way == Way::kFloat) {
    FloatArgs args;
    args.dtype = w.dtype;
    args.rows = rows;
    args.row_bytes = row_bytes;
    args.num_rows = num_rows;
    args.n = w.cols;
    args.x = floats_.data() + offset;
    args.num_tokens = job.num_tokens;
    args.y = y;
    args.y_stride = job.y_stride;
    args.scratch = reinterpret_cast<float*>(scratch_[worker].data());
    return kernels_.float_matmul(args);
  }
  Bf16Args args;
  args.rows = rows;
  args.row_bytes = row_bytes;
  args.num_rows = num_rows;
  args.n = w.cols;
  args.x = halves_.data() + offset;
  args.num_tokens = job.num_tokens;
  args.y = y;
  args.y_stride = job.y_stride;
  kernels_.bf16_matmul(args);
}

}  // namespace inference
