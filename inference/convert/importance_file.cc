// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/importance_file.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/convert/gguf_writer.h"
#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/checkpoint/gguf_reader.h"

namespace inference {
namespace {

using verify::DType;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using verify::TensorInfo;

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";

// What the reader holds itself to: a matrix of any model is below it.
constexpr uint64_t kMaxExperts = 65536;
constexpr size_t kMaxDatasetBytes = 4096;

verify::Unexpected Bad(std::string_view tensor, std::string_view what) {
  return Fail(ErrorCode::kCorrupt,
              StrCat("tensor \"", EscapeForTerminal(tensor), "\": ", what))
      .Id("E-IMATRIX");
}

void AppendTensor(std::span<const float> values, uint64_t padded_bytes,
                  std::string& out) {
  const size_t begin = out.size();
  out.resize(begin + static_cast<size_t>(padded_bytes), '\0');
  std::memcpy(out.data() + begin, values.data(), values.size_bytes());
}

// Numbers that may be a sum of squares, or a count.
Result<std::vector<float>> ReadNumbers(const verify::ByteSource& file,
                                       const TensorInfo& tensor) {
  if (tensor.dtype != DType::kF32) {
    return Bad(tensor.name, StrCat(verify::DTypeName(tensor.dtype),
                                   " where f32 is expected"));
  }
  std::vector<float> values(
      static_cast<size_t>(tensor.size_bytes / sizeof(float)));
  RETURN_IF_ERROR(
      file.ReadAt(tensor.offset, std::as_writable_bytes(std::span(values))));
  for (const float value : values) {
    if (value >= 0 && std::isfinite(value)) continue;
    return Bad(tensor.name, "a number that is no sum of squares");
  }
  return values;
}

// [experts, columns]; a dimension of 1 may have been left out.
Result<ImportanceEntry> ReadEntry(const verify::ByteSource& file,
                                  const TensorInfo& sums,
                                  const TensorInfo& counts) {
  ImportanceEntry entry;
  if (sums.shape.size() > 2 || counts.shape.size() > 2) {
    return Bad(sums.name, "more than two dimensions");
  }
  entry.cols = sums.shape.back();
  const uint64_t num_matrices = sums.shape.size() == 2 ? sums.shape.front() : 1;
  if (verify::NumElements(counts.shape) != num_matrices ||
      num_matrices > kMaxExperts) {
    return Bad(counts.name,
               StrCat("shape ", verify::ShapeText(counts.shape), " for sums ",
                      verify::ShapeText(sums.shape)));
  }
  ASSIGN_OR_RETURN(entry.sums, ReadNumbers(file, sums));
  ASSIGN_OR_RETURN(entry.counts, ReadNumbers(file, counts));
  return entry;
}

}  // namespace

std::string SerializeImportance(const ImportanceMatrix& matrix) {
  GgufHeader header;
  header.AddString("general.type", "imatrix");
  header.AddStrings("imatrix.datasets", {&matrix.dataset, 1});
  header.AddUint32("imatrix.chunk_count",
                   static_cast<uint32_t>(matrix.num_chunks));
  header.AddUint32("imatrix.chunk_size",
                   static_cast<uint32_t>(matrix.chunk_tokens));
  std::vector<std::span<const float>> data;
  const auto add = [&](const std::string& name, std::span<const uint64_t> shape,
                       const std::vector<float>& values) {
    const auto added = header.AddTensor(name, shape, DType::kF32);
    CHECK(added.has_value());
    data.emplace_back(values);
  };
  for (const auto& [name, entry] : matrix.entries) {
    const uint64_t num_matrices = entry.counts.size();
    CHECK(entry.sums.size() == num_matrices * entry.cols);
    add(StrCat(name, kSums), std::array{num_matrices, entry.cols}, entry.sums);
    add(StrCat(name, kCounts), std::array{num_matrices, uint64_t{1}},
        entry.counts);
  }
  std::string out = header.Bytes();
  for (size_t i = 0; i < data.size(); ++i) {
    AppendTensor(data[i], header.padded_bytes(i), out);
  }
  return out;
}

Result<ImportanceMatrix> ParseImportance(const verify::ByteSource& file) {
  if (file.size() > kMaxImportanceBytes) {
    return Fail(ErrorCode::kLimit,
                StrCat(file.size(), " bytes, an importance matrix has at most ",
                       kMaxImportanceBytes));
  }
  ASSIGN_OR_RETURN(const verify::GgufFile gguf, verify::ReadGguf(file));
  const std::string* const type = gguf.String("general.type");
  if (type == nullptr || *type != "imatrix") {
    return Fail(ErrorCode::kCorrupt,
                "a GGUF file, but no importance matrix: general.type is not "
                "\"imatrix\"")
        .Id("E-IMATRIX")
        .Hint("--imatrix takes what --save-imatrix or llama-imatrix wrote");
  }
  ImportanceMatrix matrix;
  for (const TensorInfo& sums : gguf.tensors.tensors()) {
    const std::string_view name = sums.name;
    if (name.ends_with(kCounts)) {
      const auto base = name.substr(0, name.size() - kCounts.size());
      if (gguf.tensors.Find(StrCat(base, kSums)) == nullptr) {
        return Bad(name, "counts without sums");
      }
      continue;
    }
    // Other statistics of the same file are not needed.
    if (!name.ends_with(kSums)) continue;
    const std::string base(name.substr(0, name.size() - kSums.size()));
    const TensorInfo* const counts = gguf.tensors.Find(StrCat(base, kCounts));
    if (counts == nullptr) return Bad(name, "sums without counts");
    ASSIGN_OR_RETURN(matrix.entries[base], ReadEntry(file, sums, *counts));
  }
  if (matrix.entries.empty()) {
    return Fail(ErrorCode::kCorrupt, "an importance matrix of nothing")
        .Id("E-IMATRIX");
  }
  if (const auto* sets = gguf.Strings("imatrix.datasets")) {
    for (const std::string& set : *sets) {
      // It goes into the result and to the screen: nothing but a short text.
      if (matrix.dataset.size() + set.size() > kMaxDatasetBytes ||
          !verify::IsValidUtf8(set)) {
        continue;
      }
      matrix.dataset += StrCat(matrix.dataset.empty() ? "" : ", ", set);
    }
  }
  matrix.num_chunks = gguf.Unsigned("imatrix.chunk_count").value_or(0);
  matrix.chunk_tokens = gguf.Unsigned("imatrix.chunk_size").value_or(0);
  return matrix;
}

Result<ImportanceMatrix> ReadImportance(const std::string& path) {
  ASSIGN_OR_RETURN(const auto file, verify::ReadOnlyFile::Open(path));
  auto matrix = ParseImportance(file);
  if (matrix) return matrix;
  return verify::WithContext(std::move(matrix).error(),
                             StrCat('"', EscapeForTerminal(path), '"'));
}

}  // namespace inference
