// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/part_kind.h"

#include <string_view>
#include <vector>

#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"

namespace verify {
namespace {

struct Explanation {
  std::string_view what;
  std::string_view hint;
};

Explanation Explain(PartKind kind) {
  switch (kind) {
    case PartKind::kStackedExperts:
      return {
          "the first upload of Mixtral to Hugging Face: experts stacked in one "
          "tensor for each layer, the down matrix transposed, each file with "
          "layers of its own",
          "fetch the release from its magnet link, or the model-*.safetensors "
          "of the same repository; both are read"};
    case PartKind::kDisjoint:
      return {"parts with tensors of their own, to be joined by name",
              "fetch the same model as model-*.safetensors with its index, or "
              "as one file; both are read"};
    case PartKind::kSlices:
      return {
          "slices of a tensor-parallel run: each file has every tensor, cut "
          "along one dimension",
          "fetch the same model as safetensors or as GGUF; both are read"};
    case PartKind::kOther:
      return {"no parts of one model: they share some tensors and not others",
              "files of two downloads may have been mixed"};
  }
  return {};
}

}  // namespace

bool HasStackedExperts(const TensorTable& tensors) {
  for (const TensorInfo& tensor : tensors.tensors()) {
    for (const std::string_view end :
         {".block_sparse_moe.w1", ".block_sparse_moe.w2",
          ".block_sparse_moe.w3"}) {
      if (tensor.name.ends_with(end)) return true;
    }
  }
  return false;
}

PartKind KindOfParts(const TensorTable& first, const TensorTable& second) {
  size_t shared = 0;
  for (const TensorInfo& tensor : first.tensors()) {
    if (second.Find(tensor.name) != nullptr) ++shared;
  }
  if (shared == 0) {
    return HasStackedExperts(first) || HasStackedExperts(second)
               ? PartKind::kStackedExperts
               : PartKind::kDisjoint;
  }
  if (shared == first.size() && shared == second.size()) {
    return PartKind::kSlices;
  }
  return PartKind::kOther;
}

Error ExplainParts(const std::string& folder, Error refused) {
  const auto parts = ListWeightParts(folder);
  if (!parts || parts->size() < 2) return refused;
  const auto first = Checkpoint::OpenTables((*parts)[0]);
  const auto second = Checkpoint::OpenTables((*parts)[1]);
  if (!first) return first.error();
  if (!second) return second.error();
  const Explanation explanation =
      Explain(KindOfParts(first->tensors(), second->tensors()));
  refused.id = "E-UNSUPPORTED";
  refused.message =
      StrCat("\"", EscapeForTerminal(folder), "\" holds weights in ",
             parts->size(), " files: ", explanation.what);
  refused.hint = explanation.hint;
  return refused;
}

}  // namespace verify
