// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/structure_check.h"

#include <array>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "verify/base/text.h"

namespace verify {
namespace {

// So many of one kind are listed; the rest is one line.
constexpr size_t kMaxListed = 20;

bool CanBeWeight(DType dtype) {
  switch (dtype) {
    case DType::kI64:
    case DType::kI32:
    case DType::kI16:
    case DType::kI8:
    case DType::kU64:
    case DType::kU32:
    case DType::kU16:
    case DType::kU8:
    case DType::kBool:
      return false;
    default:
      return true;
  }
}

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         text.substr(text.size() - suffix.size()) == suffix;
}

// Buffers that old writers saved beside the weights: the rotary frequencies,
// which follow from rope_theta.
bool IsSavedBuffer(std::string_view name) {
  return EndsWith(name, ".rotary_emb.inv_freq") || name == "rope.freqs";
}

class Findings {
 public:
  explicit Findings(StructureReport& report) : report_(report) {}

  void Add(FindingKind kind, const std::string& tensor, std::string detail,
           bool fatal = true) {
    if (++counts_[Index(kind)] > kMaxListed) return;
    report_.findings.push_back({.kind = kind,
                                .tensor = tensor,
                                .detail = std::move(detail),
                                .fatal = fatal});
  }

  // One finding for what was not listed.
  void Summarise() {
    for (const FindingKind kind :
         {FindingKind::kMissing, FindingKind::kMisshapen,
          FindingKind::kWrongDType, FindingKind::kExtra}) {
      const size_t count = counts_[Index(kind)];
      if (count <= kMaxListed) continue;
      report_.findings.push_back(
          {.kind = kind,
           .tensor = "",
           .detail = StrCat(count - kMaxListed, " more of ", count),
           .fatal = true});
    }
  }

 private:
  static size_t Index(FindingKind kind) { return static_cast<size_t>(kind); }

  StructureReport& report_;
  std::array<size_t, 8> counts_{};
};

}  // namespace

StructureReport CheckStructure(const TensorTable& tensors,
                               const ModelConfig& config) {
  StructureReport report;
  report.num_tensors = tensors.size();
  Findings findings(report);
  const auto specs = ExpectedTensors(config, config.names);
  std::unordered_set<std::string_view> expected;
  expected.reserve(specs.size());
  for (const TensorSpec& spec : specs) {
    expected.insert(spec.name);
    const TensorInfo* const tensor = tensors.Find(spec.name);
    if (tensor == nullptr) {
      findings.Add(FindingKind::kMissing, spec.name,
                   StrCat("expected with shape ", ShapeText(spec.shape)));
      continue;
    }
    report.num_parameters += NumElements(tensor->shape).value_or(0);
    if (tensor->shape != spec.shape) {
      findings.Add(FindingKind::kMisshapen, spec.name,
                   StrCat("shape ", ShapeText(tensor->shape), ", expected ",
                          ShapeText(spec.shape)));
    }
    if (!CanBeWeight(tensor->dtype)) {
      findings.Add(FindingKind::kWrongDType, spec.name,
                   StrCat("dtype ", DTypeName(tensor->dtype),
                          ", expected a floating-point or quantised one"));
    }
  }
  const std::string output =
      TensorName(config.names, TensorRole::kOutput, -1, -1);
  for (const TensorInfo& tensor : tensors.tensors()) {
    if (expected.count(tensor.name) > 0 || IsSavedBuffer(tensor.name)) {
      continue;
    }
    if (config.tied_embeddings && tensor.name == output) {
      findings.Add(FindingKind::kExtra, tensor.name,
                   "not used: the embedding is the output", false);
      continue;
    }
    findings.Add(FindingKind::kExtra, tensor.name,
                 StrCat("shape ", ShapeText(tensor.shape),
                        ", the configuration has no such tensor"));
  }
  findings.Summarise();
  return report;
}

StructureReport CheckStructure(const Checkpoint& checkpoint,
                               const ModelConfig& config) {
  return CheckStructure(checkpoint.tensors(), config);
}

}  // namespace verify
