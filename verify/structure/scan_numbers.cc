// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "verify/base/text.h"
#include "verify/structure/number_findings.h"
#include "verify/structure/number_scan.h"
#include "verify/structure/structure_check.h"

namespace verify {
namespace {

// Small enough to stop soon and to share large tensors between threads. A
// multiple of every block of packed types.
constexpr uint64_t kChunkElements = kMaxRowElements;

// More slabs than a layer has experts are no experts.
constexpr uint64_t kMaxSlabs = 1024;

struct Chunk {
  size_t tensor = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Merged experts: the tensor is so many matrices one after the other.
uint64_t NumSlabs(const TensorInfo& tensor, uint64_t elements) {
  if (tensor.shape.size() < 3 || !tensor.contiguous()) return 1;
  const uint64_t slabs = tensor.shape[0];
  if (slabs < 2 || slabs > kMaxSlabs || elements % slabs != 0) return 1;
  return elements / slabs % BlockElements(tensor.dtype) == 0 ? slabs : 1;
}

// Chunks of whole rows that do not cross from one slab into the next.
void AddChunks(const TensorInfo& tensor, size_t index,
               std::vector<Chunk>& chunks) {
  const uint64_t elements = NumScanned(tensor);
  if (elements == 0) return;
  const uint64_t slab = elements / NumSlabs(tensor, elements);
  uint64_t step = kChunkElements;
  if (tensor.shape.size() >= 2 && tensor.contiguous()) {
    const uint64_t row = tensor.shape.back();
    if (row <= kMaxRowElements) step = kChunkElements / row * row;
  }
  for (uint64_t begin = 0; begin < elements; begin += slab) {
    for (uint64_t at = begin; at < begin + slab; at += step) {
      chunks.push_back({index, at, std::min(begin + slab, at + step)});
    }
  }
}

// Whole rows of a tensor in slices, put together in memory: what ScanElements
// finds in the same range of the tensor in one piece.
NumberScan ScanSliced(const Checkpoint& checkpoint, const TensorInfo& tensor,
                      const Chunk& chunk) {
  const uint64_t columns = tensor.shape[1];
  const uint64_t first_row = chunk.begin / columns;
  TensorInfo rows;
  rows.dtype = tensor.dtype;
  rows.shape = {(chunk.end - chunk.begin) / columns, columns};
  const auto item_bytes = static_cast<size_t>(BlockBytes(tensor.dtype));
  std::vector<std::byte> bytes(static_cast<size_t>(chunk.end - chunk.begin) *
                               item_bytes);
  rows.size_bytes = bytes.size();
  checkpoint.CopyRows(tensor, first_row, rows.shape[0], bytes);
  NumberScan scan = ScanElements(rows, bytes, 0, chunk.end - chunk.begin);
  if (!scan.finite()) scan.first_bad += chunk.begin;
  if (scan.constant_rows > 0) scan.first_constant_row += first_row;
  const ByteSpan first = checkpoint.Slices(tensor).front().first(item_bytes);
  scan.constant =
      scan.constant && std::equal(first.begin(), first.end(), bytes.begin());
  return scan;
}

}  // namespace

Result<std::vector<TensorStatistics>> ScanNumbers(const Checkpoint& checkpoint,
                                                  ThreadPool& pool,
                                                  const CancelToken& cancel,
                                                  ProgressSink* progress,
                                                  StructureReport& report) {
  const auto& tensors = checkpoint.tensors().tensors();
  std::vector<Chunk> chunks;
  uint64_t total_bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!CanScan(tensors[i].dtype)) continue;
    AddChunks(tensors[i], i, chunks);
    total_bytes += tensors[i].size_bytes;
  }
  std::vector<NumberScan> scans(chunks.size());
  std::atomic<uint64_t> done_bytes{0};
  pool.ParallelFor(chunks.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (cancel.cancelled()) return;
      const Chunk& chunk = chunks[i];
      const TensorInfo& tensor = tensors[chunk.tensor];
      scans[i] = tensor.sliced()
                     ? ScanSliced(checkpoint, tensor, chunk)
                     : ScanElements(tensor, checkpoint.Bytes(tensor),
                                    chunk.begin, chunk.end);
      if (progress == nullptr) continue;
      const uint64_t bytes =
          DTypeBytes(tensor.dtype, chunk.end - chunk.begin).value_or(0);
      const uint64_t done = done_bytes.fetch_add(bytes) + bytes;
      progress->OnProgress(tensor.name, std::min(done, total_bytes),
                           total_bytes);
    }
  });
  if (cancel.cancelled()) {
    return Fail(ErrorCode::kCancelled, "the scan for NaN was stopped");
  }
  // Chunks of one tensor stand together, in order.
  std::vector<TensorStatistics> statistics;
  for (size_t i = 0; i < chunks.size();) {
    TensorStatistics one;
    one.tensor = chunks[i].tensor;
    const TensorInfo& tensor = tensors[one.tensor];
    one.elements = NumScanned(tensor);
    const uint64_t num_slabs = NumSlabs(tensor, one.elements);
    const uint64_t slab = one.elements / num_slabs;
    if (num_slabs > 1) one.slabs.resize(static_cast<size_t>(num_slabs));
    for (; i < chunks.size() && chunks[i].tensor == one.tensor; ++i) {
      one.whole.Merge(scans[i]);
      if (num_slabs > 1) {
        one.slabs[static_cast<size_t>(chunks[i].begin / slab)].Merge(scans[i]);
      }
    }
    statistics.push_back(std::move(one));
  }
  FindInNumbers(checkpoint, statistics, report);
  return statistics;
}

}  // namespace verify
