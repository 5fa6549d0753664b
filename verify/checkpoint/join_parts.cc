// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/join_parts.h"

#include <string_view>
#include <unordered_map>
#include <utility>

#include "verify/base/text.h"

namespace verify {
namespace {

std::string Shown(const PartTable& part) {
  return StrCat("\"", EscapeForTerminal(part.path), "\"");
}

bool SameNames(const TensorTable& a, const TensorTable& b) {
  if (a.size() != b.size()) return false;
  for (const TensorInfo& tensor : a.tensors()) {
    if (b.Find(tensor.name) == nullptr) return false;
  }
  return true;
}

Unexpected RefuseShared(const std::vector<PartTable>& parts,
                        const PartTable& first, const PartTable& second,
                        const TensorInfo& tensor) {
  bool all_same = true;
  for (const PartTable& part : parts) {
    all_same &= SameNames(parts.front().tensors, part.tensors);
  }
  if (all_same) {
    return Fail(ErrorCode::kUnsupported,
                StrCat(Shown(first), " and ", parts.size() - 1,
                       " more files are slices of a tensor-parallel run: each "
                       "has every tensor, cut along one dimension"))
        .Id("E-PARTS")
        .Hint("fetch the same model as safetensors or as GGUF; both are read");
  }
  return Fail(ErrorCode::kCorrupt,
              StrCat("tensor \"", EscapeForTerminal(tensor.name, 128),
                     "\" is in ", Shown(first), " and in ", Shown(second),
                     ": no parts of one model"))
      .Id("E-PARTS")
      .Hint("files of two downloads may have been mixed");
}

}  // namespace

Result<TensorTable> JoinParts(const std::vector<PartTable>& parts) {
  CHECK(parts.size() > 1);
  TensorTable joined;
  std::unordered_map<std::string_view, const PartTable*> owner;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (const TensorInfo& tensor : parts[i].tensors.tensors()) {
      const auto [it, is_new] = owner.emplace(tensor.name, &parts[i]);
      if (!is_new) return RefuseShared(parts, *it->second, parts[i], tensor);
      TensorInfo placed = tensor;
      placed.file_index = static_cast<uint32_t>(i);
      RETURN_IF_ERROR(joined.Add(std::move(placed), parts[i].file_size));
    }
  }
  return joined;
}

}  // namespace verify
