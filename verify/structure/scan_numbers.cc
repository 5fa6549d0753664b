// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "verify/base/text.h"
#include "verify/structure/number_scan.h"
#include "verify/structure/structure_check.h"

namespace verify {
namespace {

// Small enough to stop soon and to share large tensors between threads. A
// multiple of every block of packed types.
constexpr uint64_t kChunkElements = 1u << 20;

struct Chunk {
  size_t tensor = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};

std::string NotFiniteDetail(const NumberScan& scan) {
  std::string text;
  if (scan.num_nan > 0) text += StrCat(scan.num_nan, " NaN");
  if (scan.num_infinite > 0) {
    text += StrCat(text.empty() ? "" : ", ", scan.num_infinite, " infinite");
  }
  return text + StrCat(", first at element ", scan.first_bad);
}

void Merge(const NumberScan& part, NumberScan& whole) {
  if (!part.finite()) {
    whole.first_bad = whole.finite()
                          ? part.first_bad
                          : std::min(whole.first_bad, part.first_bad);
  }
  whole.num_nan += part.num_nan;
  whole.num_infinite += part.num_infinite;
  whole.constant &= part.constant;
}

void AddFindings(const TensorInfo& tensor, ByteSpan bytes, uint64_t elements,
                 const NumberScan& scan, StructureReport& report) {
  if (!scan.finite()) {
    report.findings.push_back({.kind = FindingKind::kNotFinite,
                               .tensor = tensor.name,
                               .detail = NotFiniteDetail(scan),
                               .severity = Severity::kError});
    return;
  }
  // A norm of ones is what training starts from and is legal.
  if (!scan.constant || tensor.shape.size() < 2 || elements < 2) return;
  const auto value = FirstElement(tensor, bytes);
  report.findings.push_back(
      {.kind = FindingKind::kConstant,
       .tensor = tensor.name,
       .detail =
           value.has_value()
               ? StrCat("all ", elements, " elements are ", *value)
               : StrCat("all blocks of ", elements, " elements are the same"),
       .severity = Severity::kWarning});
}

}  // namespace

Result<void> ScanNumbers(const Checkpoint& checkpoint, ThreadPool& pool,
                         const CancelToken& cancel, ProgressSink* progress,
                         StructureReport& report) {
  const auto& tensors = checkpoint.tensors().tensors();
  std::vector<Chunk> chunks;
  uint64_t total_bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!CanScan(tensors[i].dtype)) continue;
    const uint64_t elements = NumScanned(tensors[i]);
    for (uint64_t at = 0; at < elements; at += kChunkElements) {
      chunks.push_back({i, at, std::min(elements, at + kChunkElements)});
    }
    total_bytes += tensors[i].size_bytes;
  }
  std::vector<NumberScan> scans(chunks.size());
  std::atomic<uint64_t> done_bytes{0};
  pool.ParallelFor(chunks.size(), 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (cancel.cancelled()) return;
      const Chunk& chunk = chunks[i];
      const TensorInfo& tensor = tensors[chunk.tensor];
      scans[i] = ScanElements(tensor, checkpoint.Bytes(tensor), chunk.begin,
                              chunk.end);
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
  for (size_t i = 0; i < chunks.size();) {
    const size_t index = chunks[i].tensor;
    NumberScan whole;
    uint64_t elements = 0;
    for (; i < chunks.size() && chunks[i].tensor == index; ++i) {
      Merge(scans[i], whole);
      elements = chunks[i].end;
    }
    AddFindings(tensors[index], checkpoint.Bytes(tensors[index]), elements,
                whole, report);
  }
  return {};
}

}  // namespace verify
