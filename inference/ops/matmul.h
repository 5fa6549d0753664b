// SPDX-License-Identifier: Apache-2.0
// Weight matrices times activations, blocked and threaded.
// Tested by tests/inference/ops/matmul_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/ops/kernels.h"
#include "inference/tensor/aligned_buffer.h"
#include "inference/tensor/tensor_view.h"
#include "verify/base/progress.h"
#include "verify/base/thread_pool.h"

namespace inference {

// y = x * W^T: y[t * y_stride + r] = row r of W . x[t]. Not owning.
// Activations are rounded to what the weights are multiplied with: signed bytes
// with a scale for 32 of them for packed weights, bf16 for bf16 where the CPU
// has such products; floats for the rest, and for all if `exact`.
struct MatMulJob {
  const TensorView* weight = nullptr;  // [rows, cols]
  const float* x = nullptr;            // [num_tokens, cols]
  size_t num_tokens = 0;
  float* y = nullptr;
  size_t y_stride = 0;  // >= rows
  bool exact = false;
};

// Runs products on a pool. A result has the same bits for any number of
// threads and for any number of tokens that are multiplied together. Few
// tokens read the weights as they are; more share rows that are decoded or laid
// out once. Rows that do not lie side by side are gathered first. Keeps scratch
// per thread and the activations of one run, rounded or laid out. One thread at
// a time; kernels and pool must outlive it.
class MatMul {
 public:
  // `exact`: as if all jobs were.
  MatMul(const Kernels& kernels, verify::ThreadPool& pool, bool exact = false);

  // All jobs in one parallel loop: fewer meetings of the threads. False if
  // there is no memory for the scratch.
  [[nodiscard]] bool Run(std::span<const MatMulJob> jobs);

  // While `cancel` (null: none) is set, Run returns soon with results that are
  // not defined: products of a large model take longer than a user waits.
  void set_cancel(const verify::CancelToken* cancel) { cancel_ = cancel; }
  bool cancelled() const { return cancel_ != nullptr && cancel_->cancelled(); }

 private:
  // How a job is multiplied.
  enum class Way { kDirect, kFloat, kPacked, kBf16 };
  struct Range {
    const MatMulJob* job;
    Way way;
    size_t x_index;  // into activations_ of its way; unused by kDirect
    size_t begin;
    size_t end;
  };
  // Activations of jobs that share them, once.
  struct Activations {
    const float* x;
    size_t num_tokens;
    size_t n;
    Way way;
    size_t offset;  // of the first block, half or float
  };

  Way WayOf(const MatMulJob& job) const;
  // Of the jobs with one token: what a thread takes at a time.
  size_t DecodeRangeBytes(std::span<const MatMulJob> jobs) const;
  size_t RowsPerRange(const MatMulJob& job, Way way,
                      size_t decode_range_bytes) const;
  size_t FindActivations(const MatMulJob& job, Way way);
  bool PrepareActivations();
  void RunRange(const Range& range, size_t worker);

  const Kernels& kernels_;
  verify::ThreadPool& pool_;
  const bool exact_;
  const verify::CancelToken* cancel_ = nullptr;
  std::vector<AlignedBuffer<std::byte>> gathered_;  // one per thread
  std::vector<AlignedBuffer<std::byte>> scratch_;   // the same
  std::vector<Activations> activations_;            // reused
  AlignedBuffer<ActivationBlock> blocks_;
  AlignedBuffer<uint16_t> halves_;
  AlignedBuffer<float> floats_;
  size_t num_blocks_ = 0;
  size_t num_halves_ = 0;
  size_t num_floats_ = 0;
  std::vector<Range> ranges_;  // reused
};

}  // namespace inference
