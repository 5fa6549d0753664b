// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/join_parts.h"

#include <array>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/checkpoint/dtype.h"

namespace verify {
namespace {

std::string Shown(const PartTable& part) {
  return StrCat("\"", EscapeForTerminal(part.path), "\"");
}

std::string Shown(const TensorInfo& tensor) {
  return StrCat("tensor \"", EscapeForTerminal(tensor.name, 128), "\"");
}

bool SameNames(const TensorTable& a, const TensorTable& b) {
  if (a.size() != b.size()) return false;
  for (const TensorInfo& tensor : a.tensors()) {
    if (b.Find(tensor.name) == nullptr) return false;
  }
  return true;
}

bool AllHaveEveryTensor(const std::vector<PartTable>& parts) {
  if (parts.front().tensors.size() == 0) return false;
  for (const PartTable& part : parts) {
    if (!SameNames(parts.front().tensors, part.tensors)) return false;
  }
  return true;
}

Result<JoinedParts> JoinDisjoint(const std::vector<PartTable>& parts) {
  JoinedParts joined;
  std::unordered_map<std::string_view, const PartTable*> owner;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (const TensorInfo& tensor : parts[i].tensors.tensors()) {
      const auto [it, is_new] = owner.emplace(tensor.name, &parts[i]);
      if (!is_new) {
        return Fail(ErrorCode::kCorrupt,
                    StrCat(Shown(tensor), " is in ", Shown(*it->second),
                           " and in ", Shown(parts[i]),
                           ", and others are not: no parts of one model"))
            .Id("E-PARTS")
            .Hint("files of two downloads may have been mixed");
      }
      TensorInfo placed = tensor;
      placed.file_index = static_cast<uint32_t>(i);
      RETURN_IF_ERROR(
          joined.tensors.Add(std::move(placed), parts[i].file_size));
    }
  }
  return joined;
}

// How a tensor-parallel run cuts a matrix: one side is as wide as the model and
// the other is shared out; an embedding is cut along either.
enum class Cut {
  kRows,     // the columns are as wide as the model
  kColumns,  // the rows are
  kEither,
};

struct KnownCut {
  std::string_view name_end;
  Cut cut;
};

// Sources: ggml-org/llama.cpp convert.py (merge_sharded), huggingface/
// transformers convert_mistral_weights_to_hf.py.
constexpr std::array kKnownCuts = {
    KnownCut{"attention.wq.weight", Cut::kRows},
    KnownCut{"attention.wk.weight", Cut::kRows},
    KnownCut{"attention.wv.weight", Cut::kRows},
    KnownCut{"attention.wo.weight", Cut::kColumns},
    KnownCut{".w1.weight", Cut::kRows},
    KnownCut{".w2.weight", Cut::kColumns},
    KnownCut{".w3.weight", Cut::kRows},
    KnownCut{"output.weight", Cut::kRows},
    KnownCut{"tok_embeddings.weight", Cut::kEither},
};

// Slices of all tensors, put together by the width of the model, which the last
// norm tells: a norm is never cut.
class SliceJoiner {
 public:
  explicit SliceJoiner(const std::vector<PartTable>& parts) : parts_(parts) {}

  Result<JoinedParts> Join() {
    const TensorInfo* const norm = First().Find("norm.weight");
    if (norm == nullptr || norm->shape.size() != 1 || norm->shape[0] == 0) {
      return Fail(ErrorCode::kUnsupported,
                  StrCat(Shown(parts_.front()), " and ", parts_.size() - 1,
                         " more files have the same tensors, but not the names "
                         "of the slices of a tensor-parallel run"))
          .Id("E-PARTS")
          .Hint("name one of the files if they are copies of one model");
    }
    width_ = norm->shape[0];
    for (const TensorInfo& tensor : First().tensors()) {
      RETURN_IF_ERROR(JoinOne(tensor));
    }
    if (num_cut_ > 0) return std::move(joined_);
    return Fail(ErrorCode::kCorrupt,
                StrCat(Shown(parts_.front()), " and ", parts_.size() - 1,
                       " more files hold the same tensors, none of them cut"))
        .Id("E-PARTS")
        .Hint("they may be copies of one file; keep one of them");
  }

 private:
  const TensorTable& First() const { return parts_.front().tensors; }

  Result<void> JoinOne(const TensorInfo& tensor) {
    std::vector<TensorSlice> places;
    for (size_t i = 0; i < parts_.size(); ++i) {
      const TensorInfo& slice = *parts_[i].tensors.Find(tensor.name);
      if (slice.dtype != tensor.dtype || slice.shape != tensor.shape) {
        return Fail(
                   ErrorCode::kCorrupt,
                   StrCat(Shown(tensor), " is ", DTypeName(tensor.dtype), " ",
                          ShapeText(tensor.shape), " in ",
                          Shown(parts_.front()), " and ",
                          DTypeName(slice.dtype), " ", ShapeText(slice.shape),
                          " in ", Shown(parts_[i]), ": no slices of one model"))
            .Id("E-PARTS")
            .Hint("files of two downloads may have been mixed");
      }
      if (!slice.contiguous()) return Unsupported(tensor, "strided");
      places.push_back(
          {static_cast<uint32_t>(i), slice.offset, slice.size_bytes});
    }
    for (const KnownCut& known : kKnownCuts) {
      if (tensor.shape.size() == 2 &&
          std::string_view(tensor.name).ends_with(known.name_end)) {
        return JoinMatrix(tensor, known.cut, std::move(places));
      }
    }
    if (tensor.size_bytes > kMaxCopyBytes) {
      return Unsupported(tensor, "too large to be in every file");
    }
    RETURN_IF_ERROR(joined_.tensors.Add(tensor, parts_.front().file_size));
    joined_.copies.push_back({tensor.name, std::move(places)});
    return {};
  }

  // The dimension along which slices of this shape make up a matrix as wide as
  // the model; nothing if there is none. There are never two: with more than
  // one slice either the side as it is or the sum is the width.
  std::optional<size_t> SlicedDim(const TensorInfo& tensor, Cut cut) const {
    const bool whole_rows = tensor.shape[1] == width_;
    const auto joined_width =
        CheckedMul<uint64_t>(tensor.shape[1], parts_.size());
    if (cut == Cut::kRows && whole_rows) return 0;
    if (cut == Cut::kColumns && tensor.shape[0] == width_) return 1;
    if (cut == Cut::kEither && whole_rows) return 0;
    if (cut == Cut::kEither && joined_width == width_) return 1;
    return std::nullopt;
  }

  Result<void> JoinMatrix(const TensorInfo& tensor, Cut cut,
                          std::vector<TensorSlice> places) {
    const auto dim = SlicedDim(tensor, cut);
    if (!dim.has_value()) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat(Shown(tensor), ": ", parts_.size(), " slices of ",
                         ShapeText(tensor.shape),
                         " make up no matrix of a model of the width ", width_))
          .Id("E-PARTS")
          .Hint("a file of the run may be missing, or of another model");
    }
    if (BlockElements(tensor.dtype) != 1) return Unsupported(tensor, "packed");
    TensorInfo whole = tensor;
    const auto extent = CheckedMul<uint64_t>(whole.shape[*dim], parts_.size());
    const auto bytes = CheckedMul<uint64_t>(whole.size_bytes, parts_.size());
    if (!extent.has_value() || !bytes.has_value()) {
      return Fail(ErrorCode::kLimit,
                  StrCat(Shown(tensor), ": the slices pass 2^64 bytes"));
    }
    whole.shape[*dim] = *extent;
    whole.size_bytes = *bytes;
    if (whole.shape[1] > kMaxSlicedRow) {
      return Fail(ErrorCode::kLimit,
                  StrCat(Shown(tensor), ": rows of ", whole.shape[1],
                         " elements in slices, at most ", kMaxSlicedRow));
    }
    whole.file_index = places.front().file_index;
    whole.offset = places.front().offset;
    whole.slices = std::move(places);
    whole.sliced_dim = *dim;
    ++num_cut_;
    return joined_.tensors.AddSliced(std::move(whole));
  }

  static Unexpected Unsupported(const TensorInfo& tensor,
                                std::string_view what) {
    return Fail(ErrorCode::kUnsupported,
                StrCat(Shown(tensor),
                       ", in every file of a tensor-parallel "
                       "run, is ",
                       what, ": not known how it is cut"))
        .Id("E-PARTS")
        .Hint("fetch the same model as safetensors or as GGUF; both are read");
  }

  const std::vector<PartTable>& parts_;
  uint64_t width_ = 0;
  size_t num_cut_ = 0;
  JoinedParts joined_;
};

}  // namespace

Result<JoinedParts> JoinParts(const std::vector<PartTable>& parts) {
  CHECK(parts.size() > 1);
  if (AllHaveEveryTensor(parts)) return SliceJoiner(parts).Join();
  return JoinDisjoint(parts);
}

}  // namespace verify
